package jsonrpc

import "testing"

func TestDrop(t *testing.T) {
	for _, c := range []struct{ params, want string }{
		{`{"a":1,"x":2,"b":3}`, `{"a":1,"b":3}`},
		{`{"x":2 , "b":3}`, `{"b":3}`},
		{`{ "a":1 , "x":[2,"}"]}`, `{ "a":1}`},
		{`{"x":1,"y":{"x":1},"a":1}`, `{"a":1}`},
		{`{"x":1,"a":1,"y":2}`, `{"a":1}`},
		{`{"a":1,"x":1,"y":2,"b":2}`, `{"a":1,"b":2}`},
		{`{"x":1,"y":2}`, `{}`},
		{`{"a":{"x":1}}`, `{"a":{"x":1}}`},
		{`{}`, `{}`},
	} {
		m, err := Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":` + c.params + `}`))
		if err != nil {
			t.Fatal(err)
		}
		var e Edits
		e.Drop(m.Raw, m.Params, "x", "y")
		got, err := Parse(e.Apply(nil, m.Raw))
		if err != nil {
			t.Errorf("%s: %v", c.params, err)
			continue
		}
		if p := string(got.Params.Of(got.Raw)); p != c.want {
			t.Errorf("%s became %s, want %s", c.params, p, c.want)
		}
	}
	m, _ := Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"m"}`))
	var e Edits
	e.Drop(m.Raw, m.Params, "x")
	if !e.Empty() {
		t.Error("without params there is something to drop")
	}
}

// What is set where everything was dropped needs no comma.
func TestSetMetaAfterDrop(t *testing.T) {
	for _, c := range []struct{ meta, want string }{
		{`{"x":1}`, `{"traceparent":"t"}`},
		{`{"x":1,"y":2}`, `{"traceparent":"t"}`},
		{`{ "x":1,"a":2,"y":3}`, `{"traceparent":"t", "a":2}`},
		{`{"x":1,"progressToken":1}`, `{"traceparent":"t","progressToken":1}`},
		{`{"traceparent":"s","x":1}`, `{"traceparent":"t"}`},
		{`{}`, `{"traceparent":"t"}`},
	} {
		m, err := Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":` + c.meta + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		var first, e Edits
		first.Drop(m.Raw, m.Meta, "x", "y")
		e.Copy(&first)
		e.SetMeta(&m, Member{Name: "traceparent", Value: []byte(`"t"`)})
		got, err := Parse(e.Apply(nil, m.Raw))
		if err != nil {
			t.Errorf("%s: %v", c.meta, err)
			continue
		}
		if s := string(got.Meta.Of(got.Raw)); s != c.want {
			t.Errorf("%s became %s, want %s", c.meta, s, c.want)
		}
	}
	m, _ := Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"m","params":{ "x":1 }}`))
	var e Edits
	e.Drop(m.Raw, m.Params, "x")
	e.SetMeta(&m, Member{Name: "traceparent", Value: []byte(`"t"`)})
	if got, want := string(e.Apply(nil, m.Raw)), `{"jsonrpc":"2.0","id":1,"method":"m","params":{"_meta":{"traceparent":"t"}  }}`; got != want {
		t.Errorf("params without members became %s, want %s", got, want)
	}
}

func TestEmptyObject(t *testing.T) {
	for s, want := range map[string]bool{`{}`: true, `{ }`: true, "{\n}": true, `{"a":1}`: false, `[]`: false, `null`: false} {
		if got := EmptyObject([]byte(s), Whole([]byte(s))); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
}
