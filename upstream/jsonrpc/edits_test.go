package jsonrpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEditsApply(t *testing.T) {
	const raw = "0123456789"
	for _, c := range []struct {
		name string
		edit func(*Edits)
		want string
	}{
		{"nothing", func(*Edits) {}, raw},
		{"out of order", func(e *Edits) { e.Replace(Span{8, 9}, []byte("B")); e.Replace(Span{1, 3}, []byte("AAA")) }, "0AAA34567B9"},
		{"delete", func(e *Edits) { e.Delete(Span{0, 2}); e.Delete(Span{9, 10}) }, "2345678"},
		{"inserts keep their order", func(e *Edits) {
			e.Insert(5, []byte("a"))
			e.Insert(5, []byte("b"))
			e.Insert(0, []byte("<"))
			e.Insert(10, []byte(">"))
		}, "<01234ab56789>"},
		{"insert before a replacement, added after it", func(e *Edits) {
			e.Replace(Span{5, 7}, []byte("XY"))
			e.Insert(5, []byte("a"))
			e.Insert(7, []byte("b"))
		}, "01234aXYb789"},
		{"neighbours", func(e *Edits) { e.Replace(Span{5, 7}, []byte("B")); e.Replace(Span{3, 5}, []byte("A")) }, "012AB789"},
		{"replaced again", func(e *Edits) {
			e.Replace(Span{5, 7}, []byte("old"))
			e.Insert(5, nil)
			e.Replace(Span{5, 7}, []byte("new"))
		}, "01234new789"},
		{"absent span", func(e *Edits) { e.Replace(Span{}, []byte("x")) }, raw},
		{"more than fit", func(e *Edits) {
			for i := 9; i >= 0; i-- {
				e.Insert(i, []byte("-"))
			}
		}, "-0-1-2-3-4-5-6-7-8-9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var e Edits
			c.edit(&e)
			if got := string(e.Apply([]byte("> "), []byte(raw))); got != "> "+c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			if got := string(e.Clone().Apply(nil, []byte(raw))); got != c.want {
				t.Errorf("clone: got %s", got)
			}
			if got := string(bytes.Join(e.Pieces(nil, []byte(raw)), nil)); got != c.want || e.Size([]byte(raw)) != len(got) {
				t.Errorf("pieces: got %s of %d bytes", got, e.Size([]byte(raw)))
			}
		})
	}
	var none *Edits
	if got := string(none.Apply(nil, []byte(raw))); got != raw || !none.Empty() || !none.Clone().Empty() {
		t.Errorf("nil edits: got %s", got)
	}
}

func TestEditsCloneIsItsOwn(t *testing.T) {
	m, err := Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"m"}`))
	if err != nil {
		t.Fatal(err)
	}
	var e Edits
	e.Replace(m.ID, []byte("2"))
	e.SetMeta(&m, Member{Name: "a", Value: []byte("1")})
	before := string(e.Apply(nil, m.Raw))
	other := e.Clone()
	other.SetMeta(&m, Member{Name: "a", Value: []byte("7")})
	c := e.Clone()
	c.Replace(m.ID, []byte("3"))
	c.SetMeta(&m, Member{Name: "b", Value: []byte("2")})
	c.SetMeta(&m, Member{Name: "a", Value: []byte("9")})
	if got := string(e.Apply(nil, m.Raw)); got != before {
		t.Errorf("the clone changed the original: %s", got)
	}
	e.SetMeta(&m, Member{Name: "z", Value: []byte("0")})
	if got := string(e.Apply(nil, m.Raw)); got != `{"jsonrpc":"2.0","id":2,"method":"m","params":{"_meta":{"a":1,"z":0}}}` {
		t.Errorf("the clone changed what the original sets: %s", got)
	}
	if got := string(c.Apply(nil, m.Raw)); got != `{"jsonrpc":"2.0","id":3,"method":"m","params":{"_meta":{"a":9,"b":2}}}` {
		t.Errorf("got %s", got)
	}
}

func TestSetMeta(t *testing.T) {
	set := []Member{{Name: "progressToken", Value: []byte("5")}, {Name: "traceparent", Value: []byte(`"00-a"`)}, {Name: "x/y", Value: []byte("null")}}
	for _, c := range []struct{ name, params, want string }{
		{"no params", ``, `,"params":{"_meta":{"progressToken":5,"traceparent":"00-a","x/y":null}}`},
		{"empty params", `,"params":{}`, `,"params":{"_meta":{"progressToken":5,"traceparent":"00-a","x/y":null}}`},
		{"spaced params", `,"params":{ }`, `,"params":{"_meta":{"progressToken":5,"traceparent":"00-a","x/y":null} }`},
		{"no meta", `,"params":{ "name":"n"}`, `,"params":{"_meta":{"progressToken":5,"traceparent":"00-a","x/y":null}, "name":"n"}`},
		{"empty meta", `,"params":{"_meta":{ } }`, `,"params":{"_meta":{"progressToken":5,"traceparent":"00-a","x/y":null } }`},
		{"filled meta", `,"params":{"_meta":{"k":[1]}}`, `,"params":{"_meta":{"progressToken":5,"traceparent":"00-a","x/y":null,"k":[1]}}`},
		{"members there", `,"params":{"_meta":{"x/y":{},"progressToken": "old" ,"b":1}}`, `,"params":{"_meta":{"traceparent":"00-a","x/y":null,"progressToken": 5 ,"b":1}}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := `{"jsonrpc":"2.0","id":1,"method":"m"` + c.params + `}`
			m, err := Parse([]byte(raw))
			if err != nil {
				t.Fatal(err)
			}
			want := `{"jsonrpc":"2.0","id":1,"method":"m"` + c.want + `}`
			var once, twice Edits
			once.SetMeta(&m, set...)
			if got := string(once.Apply(nil, m.Raw)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			// The gateway and the link may each set theirs.
			twice.SetMeta(&m, Member{Name: "progressToken", Value: []byte("1")})
			twice.SetMeta(&m, set[:2]...)
			twice.SetMeta(&m, set[2:]...)
			if got := string(twice.Apply(nil, m.Raw)); got != want {
				t.Errorf("in turns:\ngot  %s\nwant %s", got, want)
			}
		})
	}
}

// A server may send what Parse refuses; no second _meta comes of it.
func TestSetMetaOnWhatIsNoObject(t *testing.T) {
	for raw, want := range map[string]string{
		`{"method":"m","params":null}`:         `{"method":"m","params":{"_meta":{"a":1}}}`,
		`{"method":"m","params":{"_meta":[]}}`: `{"method":"m","params":{"_meta":{"a":1}}}`,
	} {
		m, err := ParseServer([]byte(raw))
		if err != nil {
			t.Fatal(err)
		}
		var e Edits
		e.SetMeta(&m, Member{Name: "a", Value: []byte("1")})
		if got := string(e.Apply(nil, m.Raw)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// jsonText draws the text of a JSON value as no encoder writes it: with white
// space, escapes, big numbers, members in any order.
func jsonText(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kind := rapid.IntRange(0, 6).Draw(t, "kind")
		if depth == 0 {
			kind = min(kind, 4)
		}
		switch kind {
		case 0:
			return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "word")
		case 1:
			return rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?`).Draw(t, "number")
		case 2, 3, 4:
			return quote(t, rapid.String().Draw(t, "string"))
		case 5:
			items := rapid.SliceOfN(jsonText(depth-1), 0, 4).Draw(t, "items")
			return "[" + blank(t) + strings.Join(items, blank(t)+","+blank(t)) + blank(t) + "]"
		}
		return objectText(t, rapid.MapOfN(rapid.StringN(0, 6, 20), jsonText(depth-1), 0, 5).Draw(t, "members"))
	})
}

func objectText(t *rapid.T, members map[string]string) string {
	maps.DeleteFunc(members, func(k, _ string) bool { return strings.Contains(k, "\x00") })
	var b strings.Builder
	for i, k := range rapid.Permutation(slices.Sorted(maps.Keys(members))).Draw(t, "order") {
		if i > 0 {
			b.WriteString(blank(t) + ",")
		}
		b.WriteString(blank(t) + quote(t, k) + blank(t) + ":" + blank(t) + members[k])
	}
	return "{" + b.String() + blank(t) + "}"
}

func blank(t *rapid.T) string {
	return rapid.SampledFrom([]string{"", "", "", "", " ", "\n", "\t\r\n "}).Draw(t, "blank")
}

// quote writes s as a JSON string, some of it in escapes that are not needed.
func quote(t *rapid.T, s string) string {
	if !rapid.Bool().Draw(t, "escaped") {
		return string(AppendString(nil, s))
	}
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		if r >= 0x10000 {
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		} else {
			fmt.Fprintf(&b, `\u%04X`, r)
		}
	}
	return b.String() + `"`
}

// A message that is only carried is equal to the byte but for its splices, and
// what is spliced in is what a reader then finds, beside all that was there.
func TestCarriedMessagesAreEqualToTheByte(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		params := rapid.MapOfN(rapid.StringMatching(`[a-z_]{1,8}!`), jsonText(3), 0, 4).Draw(t, "params")
		if rapid.Bool().Draw(t, "has name") {
			params["name"] = quote(t, rapid.String().Draw(t, "name"))
		}
		if rapid.Bool().Draw(t, "has arguments") {
			params["arguments"] = objectText(t, rapid.MapOfN(rapid.String(), jsonText(2), 0, 4).Draw(t, "arguments"))
		}
		if rapid.Bool().Draw(t, "has meta") {
			meta := rapid.MapOfN(rapid.StringMatching(`[a-z/]{1,8}!`), jsonText(2), 0, 3).Draw(t, "meta")
			if rapid.Bool().Draw(t, "has token") {
				meta["progressToken"] = rapid.SampledFrom([]string{"1", `"t"`, "9007199254740993"}).Draw(t, "token")
			}
			params["_meta"] = objectText(t, meta)
		}
		envelope := map[string]string{
			"jsonrpc": `"2.0"`, "method": quote(t, "tools/call"), "x": jsonText(2).Draw(t, "unknown"),
			"id": rapid.SampledFrom([]string{"1", "-7", "9007199254740993", `"a\u0062"`}).Draw(t, "id"),
		}
		if len(params) > 0 || rapid.Bool().Draw(t, "empty params") {
			envelope["params"] = objectText(t, params)
		}
		raw := []byte(blank(t) + objectText(t, envelope) + blank(t))
		kept := bytes.Clone(raw)

		m, err := Parse(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		var e Edits
		want := string(raw)
		splice := func(s Span, b string) {
			if s.Ok() && rapid.Bool().Draw(t, "edit") {
				e.Replace(s, []byte(b))
			}
		}
		splice(m.ID, `"mine"`)
		splice(m.Name, `"other"`)
		splice(m.Arguments, `{}`)
		// What an edit leaves alone is the very bytes, in their order.
		got := e.Apply(nil, raw)
		for _, v := range slices.Backward(e.list) {
			want = want[:v.at.Start] + string(v.new) + want[v.at.End:]
		}
		if string(got) != want {
			t.Fatalf("got  %q\nwant %q", got, want)
		}

		e.SetMeta(&m, Member{Name: "progressToken", Value: []byte("77")}, Member{Name: "traceparent", Value: []byte(`"00-x"`)})
		got = e.Apply(nil, raw)
		if diff := cmp.Diff(withMeta(t, want), tree(t, got)); diff != "" {
			t.Fatalf("from %q\nto %q\n(-want +got) %s", raw, got, diff)
		}
		again, err := Parse(got)
		if err != nil || string(again.MetaProgressToken.Of(got)) != "77" {
			t.Fatalf("%s: %v", got, err)
		}
		if !bytes.Equal(raw, kept) {
			t.Fatal("the original was changed")
		}
	})
}

func tree(t *rapid.T, raw []byte) map[string]any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

// withMeta is what SetMeta should make of raw, done the slow way.
func withMeta(t *rapid.T, raw string) map[string]any {
	v := tree(t, []byte(raw))
	params, _ := v["params"].(map[string]any)
	if params == nil {
		params = map[string]any{}
		v["params"] = params
	}
	meta, _ := params["_meta"].(map[string]any)
	if meta == nil {
		meta = map[string]any{}
		params["_meta"] = meta
	}
	meta["progressToken"], meta["traceparent"] = json.Number("77"), "00-x"
	return v
}
