package jsonrpc

import (
	"errors"
	"math/big"
	"strings"
	"testing"
)

const call = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"fs__read","arguments":{"path":"/tmp/a b","n":9007199254740993},` +
	`"_meta":{"progressToken":"t-1","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","x":{"y":[1,2]}}}}`

func TestParseRecordsWhereThePartsAre(t *testing.T) {
	m, err := Parse([]byte(" " + call + "\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Kind != Request || m.MethodName() != "tools/call" {
		t.Fatalf("got %v %q", m.Kind, m.MethodName())
	}
	for _, c := range []struct {
		name string
		span Span
		want string
	}{
		{"id", m.ID, `7`},
		{"method", m.Method, `"tools/call"`},
		{"name", m.Name, `"fs__read"`},
		{"arguments", m.Arguments, `{"path":"/tmp/a b","n":9007199254740993}`},
		{"progressToken", m.MetaProgressToken, `"t-1"`},
		{"traceparent", m.TraceParent, `"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"`},
		{"tracestate", m.TraceState, ``},
	} {
		if got := string(c.span.Of(m.Raw)); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if got := string(m.Params.Of(m.Raw)); !strings.HasPrefix(got, `{"name"`) || !strings.HasSuffix(got, `]}}}`) {
		t.Errorf("params: got %s", got)
	}
	if got := string(m.Meta.Of(m.Raw)); !strings.HasPrefix(got, `{"progressToken"`) || !strings.HasSuffix(got, `]}}`) {
		t.Errorf("_meta: got %s", got)
	}
}

func TestParseRecordsEveryField(t *testing.T) {
	m, err := Parse([]byte(`{"jsonrpc":"2.0","id":"a","method":"x","params":{"uri":"u","cursor":"c","level":"l","ref":{"type":"r"},` +
		`"requestId":12,"progressToken":"p","_meta":{"tracestate":"s","baggage":"b"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]Span{
		`"u"`: m.URI, `"c"`: m.Cursor, `"l"`: m.Level, `{"type":"r"}`: m.Ref, `12`: m.RequestID, `"p"`: m.ProgressToken,
		`"s"`: m.TraceState, `"b"`: m.Baggage,
	} {
		if got := string(s.Of(m.Raw)); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestParseKinds(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want Kind
	}{
		{`{"jsonrpc":"2.0","id":1,"method":"ping"}`, Request},
		{`{"method":"ping","id":"","jsonrpc":"2.0"}`, Request},
		{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, Notification},
		{`{"jsonrpc":"2.0","id":1,"result":{}}`, Result},
		{`{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}`, Failure},
		{`{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"m"}}`, Failure},
		{`{"jsonrpc":"2.0","error":{"code":1,"message":"m"}}`, Failure},
		{`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":null}}`, Request},
		{`{"json\u0072pc":"2.0","\u0069d":1,"method":"ping"}`, Request}, // the same keys, once unquoted
		{`{"jsonrpc":"2.0","id":1,"method":"ping","extra":{"Method":1,"a":{"id":2}}}`, Request},
		// What is only carried may hold half a pair: programs cut text anywhere.
		{`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"n","arguments":{"t":"\ud83d"}}}`, Request},
		{`{"jsonrpc":"2.0","id":"\ud83d\ude00","method":"ping"}`, Request},
	} {
		m, err := Parse([]byte(c.raw))
		if err != nil || m.Kind != c.want {
			t.Errorf("%s: got %v, %v; want %v", c.raw, m.Kind, err, c.want)
		}
	}
}

// The table of bad input: what a client may send, and the answer it gets.
func TestParseRefuses(t *testing.T) {
	const head = `{"jsonrpc":"2.0","id":7,"method":"tools/call"`
	for _, c := range []struct {
		name, raw string
		code      int
		id, says  string
	}{
		{"empty", "", CodeParse, "", "empty body"},
		{"white space", " \r\n\t", CodeParse, "", "empty body"},
		{"truncated", call[:len(call)-1], CodeParse, "", "unexpected end"},
		{"truncated in a string", call[:60], CodeParse, "", "unexpected end"},
		{"binary", "\x00\x01\x02\xff", CodeParse, "", "offset 0"},
		{"byte order mark", "\xef\xbb\xbf" + call, CodeParse, "", "byte order mark"},
		{"UTF-16", "{\x00\"\x00", CodeParse, "", "offset 1"},
		{"two documents", call + call, CodeParse, "", "data after the message"},
		{"two lines", call + "\n" + call, CodeParse, "", "data after the message"},
		{"trailing bytes", call + "x", CodeParse, "", "data after the message"},
		{"trailing NUL", call + "\x00", CodeParse, "", "data after the message"},
		{"bad UTF-8 in a string", head + `,"params":{"name":"a` + "\xff" + `"}}`, CodeParse, "", "invalid UTF-8 at offset 65"},
		{"bad UTF-8 in a key", head + `,"params":{"a` + "\xc3" + `":1}}`, CodeParse, "", "invalid UTF-8"},
		{"overlong UTF-8", head + `,"x":"` + "\xc0\xaf" + `"}`, CodeParse, "", "invalid UTF-8"},
		{"surrogate in UTF-8", head + `,"x":"` + "\xed\xa0\x80" + `"}`, CodeParse, "", "invalid UTF-8"},
		{"control character", head + `,"x":"` + "a\nb" + `"}`, CodeParse, "", "control character"},
		{"unknown escape", head + `,"x":"\x41"}`, CodeParse, "", "malformed escape"},
		{"short escape", head + `,"x":"\u12"}`, CodeParse, "", "malformed escape"},
		{"trailing comma", head + `,}`, CodeParse, "", "expected a string"},
		{"trailing comma in an array", head + `,"x":[1,]}`, CodeParse, "", "expected a value"},
		{"missing colon", head + `,"x" 1}`, CodeParse, "", "expected :"},
		{"missing comma", head + ` "x":1}`, CodeParse, "", "expected , or }"},
		{"mismatched brackets", head + `,"x":[1}}`, CodeParse, "", "expected , or ]"},
		{"leading zero", head + `,"x":01}`, CodeParse, "", "expected , or }"},
		{"bare point", head + `,"x":1.}`, CodeParse, "", "expected a digit"},
		{"NaN", head + `,"x":NaN}`, CodeParse, "", "expected a value"},
		{"single quotes", `{'id':1}`, CodeParse, "", "expected a string"},
		{"comment", `{/**/}`, CodeParse, "", "expected a string"},

		{"half a pair in the id", `{"jsonrpc":"2.0","id":"\ud83d","method":"m"}`, CodeParse, "", "surrogate"},
		{"half a pair in the method", `{"jsonrpc":"2.0","id":7,"method":"a\udc00"}`, CodeParse, "", "surrogate"},
		{"half a pair in the name", head + `,"params":{"name":"\ud83dx"}}`, CodeParse, "", "surrogate"},
		{"half a pair in the uri", head + `,"params":{"uri":"\ud83d\ud83d\ude00"}}`, CodeParse, "", "surrogate"},
		{"two first halves in the uri", head + `,"params":{"uri":"\ud83d\ud83d"}}`, CodeParse, "", "surrogate"},
		{"half a pair in the ref", head + `,"params":{"ref":{"name":"\udfff"}}}`, CodeParse, "", "surrogate"},
		{"half a pair in a token", head + `,"params":{"_meta":{"progressToken":"\uD800"}}}`, CodeParse, "", "surrogate"},
		{"half a pair in a key", head + `,"\ud83d":1}`, CodeParse, "", "surrogate"},
		{"half a pair in a key of params", head + `,"params":{"\ud83d":1}}`, CodeParse, "", "surrogate"},
		{"half a pair in a key of arguments", head + `,"params":{"arguments":{"a":[{"\uDC00":1}]}}}`, CodeParse, "", "surrogate"},
		{"half a pair in a key of _meta", head + `,"params":{"_meta":{"\ud83dx":1}}}`, CodeParse, "", "surrogate"},

		{"duplicate key", head + `,"method":"x"}`, CodeInvalidRequest, "7", `"method"`},
		{"duplicate id", head + `,"id":8}`, CodeInvalidRequest, "", `"id"`},
		{"duplicate key, escaped", head + `,"m\u0065thod":"x"}`, CodeInvalidRequest, "7", `"method"`},
		{"duplicate unknown key", head + `,"x":1,"x":1}`, CodeInvalidRequest, "7", `"x"`},
		{"duplicate key in params", head + `,"params":{"name":"a","name":"b"}}`, CodeInvalidRequest, "7", `"name"`},
		{"duplicate key in arguments", head + `,"params":{"arguments":{"p":1,"p":2}}}`, CodeInvalidRequest, "7", `"p"`},
		{"duplicate key deep in arguments", head + `,"params":{"arguments":{"a":[1,{"b":{"p":1,"q":1,"p":2}}]}}}`, CodeInvalidRequest, "7", `"p"`},
		{"duplicate key in arguments, escaped", head + `,"params":{"arguments":{"p":1,"\u0070":2}}}`, CodeInvalidRequest, "7", `"p"`},
		{"duplicate key in arguments, an escape that says nothing", head + `,"params":{"arguments":{"a/b":1,"a\/b":2}}}`, CodeInvalidRequest, "7", `"a/b"`},
		{"duplicate keys, both escaped", head + `,"params":{"arguments":{"\u00e9":1,"\u00E9":2}}}`, CodeInvalidRequest, "7", `"\u00e9"`},
		{"duplicate key in _meta", head + `,"params":{"_meta":{"progressToken":1,"progressToken":2}}}`, CodeInvalidRequest, "7", `"progressToken"`},
		{"duplicate key deep in _meta", head + `,"params":{"_meta":{"x":{"a":1,"a":1}}}}`, CodeInvalidRequest, "7", `"a"`},
		{"duplicate key in a result", `{"jsonrpc":"2.0","id":7,"result":{"a":1,"a":2}}`, CodeInvalidRequest, "7", `"a"`},
		{"Method", `{"jsonrpc":"2.0","id":7,"Method":"ping"}`, CodeInvalidRequest, "7", "must be written method"},
		{"Method beside method", head + `,"Method":"ping"}`, CodeInvalidRequest, "7", "must be written method"},
		{"ID", `{"jsonrpc":"2.0","ID":7,"method":"ping"}`, CodeInvalidRequest, "", "must be written id"},
		{"Params by the long s", head + `,"param` + "\u017f" + `":{}}`, CodeInvalidRequest, "7", "must be written params"},
		{"Name", head + `,"params":{"name":"a","Name":"b"}}`, CodeInvalidRequest, "7", "must be written params.name"},
		{"Arguments", head + `,"params":{"ARGUMENTS":{}}}`, CodeInvalidRequest, "7", "must be written params.arguments"},
		{"ProgressToken", head + `,"params":{"_meta":{"ProgressToken":1}}}`, CodeInvalidRequest, "7", "must be written params._meta.progressToken"},
		{"NUL in a key", head + `,"a\u0000":1}`, CodeInvalidRequest, "7", "NUL in key"},
		{"NUL in a key of params", head + `,"params":{"name\u0000":1}}`, CodeInvalidRequest, "7", "NUL in key"},
		{"NUL in a key of arguments", head + `,"params":{"arguments":{"a":{"\u0000":1}}}}`, CodeInvalidRequest, "7", "NUL in key"},

		{"batch", `[` + call + `]`, CodeInvalidRequest, "", "batches"},
		{"string", `"x"`, CodeInvalidRequest, "", "must be an object"},
		{"null", `null`, CodeInvalidRequest, "", "must be an object"},
		{"empty object", `{}`, CodeInvalidRequest, "", `"2.0"`},
		{"id null", `{"jsonrpc":"2.0","id":null,"method":"ping"}`, CodeInvalidRequest, "", "id must be"},
		{"id object", `{"jsonrpc":"2.0","id":{},"method":"ping"}`, CodeInvalidRequest, "", "id must be"},
		{"id array", `{"jsonrpc":"2.0","id":[1],"method":"ping"}`, CodeInvalidRequest, "", "id must be"},
		{"id true", `{"jsonrpc":"2.0","id":true,"method":"ping"}`, CodeInvalidRequest, "", "id must be"},
		{"id 1.5", `{"jsonrpc":"2.0","id":1.5,"method":"ping"}`, CodeInvalidRequest, "", "id must be"},
		{"id 1.0", `{"jsonrpc":"2.0","id":1.0,"method":"ping"}`, CodeInvalidRequest, "", "id must be"},
		{"id 1e3", `{"jsonrpc":"2.0","id":1e3,"method":"ping"}`, CodeInvalidRequest, "", "id must be"},
		{"jsonrpc 1.0", `{"jsonrpc":"1.0","id":7,"method":"ping"}`, CodeInvalidRequest, "7", `"2.0"`},
		{"jsonrpc 2.0 as a number", `{"jsonrpc":2.0,"id":7,"method":"ping"}`, CodeInvalidRequest, "7", `"2.0"`},
		{"no jsonrpc", `{"id":7,"method":"ping"}`, CodeInvalidRequest, "7", `"2.0"`},
		{"method 5", `{"jsonrpc":"2.0","id":7,"method":5}`, CodeInvalidRequest, "7", "method must be"},
		{"method beside a result", `{"jsonrpc":"2.0","id":7,"method":"m","result":{}}`, CodeInvalidRequest, "7", "beside"},
		{"result and error", `{"jsonrpc":"2.0","id":7,"result":{},"error":{}}`, CodeInvalidRequest, "7", "both"},
		{"neither", `{"jsonrpc":"2.0","id":7}`, CodeInvalidRequest, "7", "no method"},
		{"a result without id", `{"jsonrpc":"2.0","result":{}}`, CodeInvalidRequest, "", "needs an id"},
		{"an error that is a string", `{"jsonrpc":"2.0","id":7,"error":"x"}`, CodeInvalidRequest, "7", "error must be"},

		{"params array", head + `,"params":[1]}`, CodeInvalidParams, "7", "params must be an object"},
		{"params null", head + `,"params":null}`, CodeInvalidParams, "7", "params must be an object"},
		{"arguments array", head + `,"params":{"arguments":[]}}`, CodeInvalidParams, "7", "params.arguments must be an object"},
		{"arguments null", head + `,"params":{"arguments":null}}`, CodeInvalidParams, "7", "params.arguments must be an object"},
		{"arguments string", head + `,"params":{"arguments":"{}"}}`, CodeInvalidParams, "7", "params.arguments must be an object"},
		{"_meta string", head + `,"params":{"_meta":"x"}}`, CodeInvalidParams, "7", "params._meta must be an object"},
		{"name 5", head + `,"params":{"name":5}}`, CodeInvalidParams, "7", "params.name must be a string"},
		{"uri null", head + `,"params":{"uri":null}}`, CodeInvalidParams, "7", "params.uri must be a string"},
		{"cursor 5", head + `,"params":{"cursor":5}}`, CodeInvalidParams, "7", "params.cursor must be a string"},
		{"ref string", head + `,"params":{"ref":"x"}}`, CodeInvalidParams, "7", "params.ref must be an object"},
		{"requestId 1.5", head + `,"params":{"requestId":1.5}}`, CodeInvalidParams, "7", "params.requestId must be a string or an integer"},
		{"the first of two", head + `,"params":{"uri":1,"name":2}}`, CodeInvalidParams, "7", "params.uri must be a string"},
		{"token 1.5", head + `,"params":{"_meta":{"progressToken":1.5}}}`, CodeInvalidParams, "7", "params._meta.progressToken must be a string or an integer"},
		{"token null", head + `,"params":{"_meta":{"progressToken":null}}}`, CodeInvalidParams, "7", "params._meta.progressToken must be"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := Parse([]byte(c.raw))
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("accepted as %v (%v)", m.Kind, err)
			}
			if e.Code != c.code || string(e.ID) != c.id || !strings.Contains(e.Message, c.says) {
				t.Errorf("got %d id %q %s; want %d id %q ...%s...", e.Code, e.ID, e.Message, c.code, c.id, c.says)
			}
			if m.Kind != Invalid {
				t.Errorf("kind %v", m.Kind)
			}
		})
	}
}

func TestParseDepth(t *testing.T) {
	nest := func(n int) string {
		return `{"jsonrpc":"2.0","id":7,"method":"m","params":{"arguments":{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `}}}`
	}
	if _, err := Parse([]byte(nest(MaxDepth - 3))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	for _, n := range []int{MaxDepth - 2, 100_000} {
		var e *Error
		if _, err := Parse([]byte(nest(n))); !errors.As(err, &e) || e.Code != CodeParse || !strings.Contains(e.Message, "deep") {
			t.Errorf("depth %d: %v", n, err)
		}
		if _, err := ParseServer([]byte(`{"jsonrpc":"2.0","id":1,"result":` + strings.Repeat(`{"a":`, n+2))); !errors.As(err, &e) || !strings.Contains(e.Message, "deep") {
			t.Errorf("server, depth %d: %v", n, err)
		}
	}
	for _, parse := range []func([]byte) (Message, error){Parse, ParseServer} {
		for _, raw := range []string{strings.Repeat("[", 100_000), `{"result":` + strings.Repeat("[", 100_000)} {
			if _, err := parse([]byte(raw)); err == nil || !strings.Contains(err.Error(), "deep") {
				t.Errorf("arrays 100k deep: %v", err)
			}
		}
	}
}

func TestIDsAreKeptToTheByte(t *testing.T) {
	for _, id := range []string{
		"0", "-0", "-1", "9007199254740993", "123456789012345678901234567890", `""`, `"` + strings.Repeat("i", 198) + `"`,
		`"\u0041\/\n"`, `"é` + "\u2028" + `"`, `"` + strings.Repeat(`\"`, 100) + `"`,
	} {
		raw := []byte(`{"jsonrpc":"2.0","id":` + id + ` ,"method":"ping"}`)
		m, err := Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		want := `{"jsonrpc":"2.0","id":` + id + `,"result":{}}`
		answer := AppendResult(nil, m.ID.Of(raw), []byte("{}"))
		if string(answer) != want {
			t.Errorf("got %s, want %s", answer, want)
		}
		back, err := ParseServer(answer)
		if err != nil || string(back.ID.Of(answer)) != id {
			t.Errorf("%s came back as %s (%v)", id, back.ID.Of(answer), err)
		}
	}
}

func TestMethodNameAllocatesNothingForKnownOnes(t *testing.T) {
	m, err := Parse([]byte(call))
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = m.MethodName() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	m, err = Parse([]byte(`{"jsonrpc":"2.0","method":"a\/b"}`))
	if err != nil || m.MethodName() != "a/b" {
		t.Errorf("got %q, %v", m.MethodName(), err)
	}
}

func TestParseOfASmallCallAllocatesNothing(t *testing.T) {
	raw := []byte(call)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Parse(raw); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// Duplicates are found in objects of any size, wherever the two keys stand.
func TestDuplicatesAmongManyKeys(t *testing.T) {
	for _, n := range []int{1, 2, 23, 24, 25, many - 1, many, many + 1, 1000, 100_000} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = `"k` + big.NewInt(int64(i)).String() + `":0`
			if i%7 == 3 {
				keys[i] = `"\u006b` + big.NewInt(int64(i)).String() + `":0`
			}
		}
		body := func(more string) []byte {
			return []byte(`{"jsonrpc":"2.0","id":7,"method":"m","params":{"arguments":{` + strings.Join(keys, ",") + more + `}}}`)
		}
		if _, err := Parse(body("")); err != nil {
			t.Errorf("%d keys: %v", n, err)
		}
		for _, i := range []int{0, n / 2, n - 1} {
			dup := `"k` + big.NewInt(int64(i)).String() + `"`
			if _, err := Parse(body("," + dup + ":1")); err == nil || !strings.Contains(err.Error(), "duplicate key "+dup) {
				t.Errorf("%d keys, %s again: %v", n, dup, err)
			}
		}
	}
}

// A key of one object is not one of its container, nor of the next one.
func TestTheSameKeyInSeveralObjects(t *testing.T) {
	for _, params := range []string{
		`{"a":{"a":{"a":1,"b":{"a":2}},"b":3},"b":[{"a":1},{"a":1}],"c":{}}`,
		// A and a share a bit of the sieve, so that a is compared.
		`{"A":1,"n":{"a":1},"a":2}`, `{"arguments":{"A":1,"n":{"a":1},"a":2}}`, `{"A":1,"_meta":{"a":1},"a":2}`,
	} {
		if _, err := Parse([]byte(`{"jsonrpc":"2.0","id":7,"method":"m","params":` + params + `}`)); err != nil {
			t.Errorf("%s: %v", params, err)
		}
	}
}

func TestANullCursorIsNone(t *testing.T) {
	m, err := Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":null}}`))
	if err != nil || m.Cursor.Ok() {
		t.Errorf("got %v, %v", m.Cursor, err)
	}
}

// Strings are looked at eight bytes at a time: a bad byte is found wherever it
// stands, before and after an escape, near the end of the input or not.
func TestABadByteIsFoundAtEveryPlace(t *testing.T) {
	for _, bad := range []string{"\n", "\x00", "\x1f", "\x80", "\xff", "\xc3", `\x`} {
		for n := range 40 {
			for at := range n {
				for _, escape := range []string{"", `\n`, "é"} {
					for _, after := range []string{"", strings.Repeat(" ", 20)} {
						good := `"` + strings.Repeat("a", at) + escape + strings.Repeat("b", n-at) + `"`
						if !Valid([]byte(good + after)) {
							t.Fatalf("%q is refused", good)
						}
						if in := good[:at+1] + bad + good[at+1:] + after; Valid([]byte(in)) {
							t.Fatalf("%q is accepted", in)
						}
					}
				}
			}
		}
	}
}
