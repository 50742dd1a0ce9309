package jsonrpc

import (
	"errors"
	"strings"
	"testing"
)

func TestParseServerTolerates(t *testing.T) {
	for _, c := range []struct {
		name, raw  string
		kind       Kind
		id, result string
	}{
		{"plain", `{"jsonrpc":"2.0","id":1,"result":{"a":1}}`, Result, "1", `{"a":1}`},
		{"no jsonrpc", `{"id":1,"result":{}}`, Result, "1", "{}"},
		{"unknown members", `{"x":{"y":[]},"jsonrpc":"2.0","id":"s","result":{},"z":null}`, Result, `"s"`, "{}"},
		{"duplicates within the result", `{"id":1,"result":{"a":1,"a":2}}`, Result, "1", `{"a":1,"a":2}`},
		{"bad UTF-8 within the result", `{"id":1,"result":{"a":"` + "\xff" + `"}}`, Result, "1", `{"a":"` + "\xff" + `"}`},
		{"escaped quotes", `{"id":1,"result":{"a":"\\","b\"":"\\\"}]","c":"\\\\"}}`, Result, "1", `{"a":"\\","b\"":"\\\"}]","c":"\\\\"}`},
		{"a result that is no object", `{"id":1,"result":[1,"]"]}`, Result, "1", `[1,"]"]`},
		{"an error", `{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"}"}}`, Failure, "1", ""},
		{"an error for nobody", `{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"m"}}`, Failure, "null", ""},
		{"null params", `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":null}`, Notification, "", ""},
		{"params of odd kinds", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":1,"_meta":null,"uri":[]}}`, Request, "1", ""},
		{"half a pair in a name", `{"jsonrpc":"2.0","id":1,"method":"m","params":{"name":"\ud83d","\ud83d":1}}`, Request, "1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := ParseServer([]byte(c.raw))
			if err != nil {
				t.Fatal(err)
			}
			if m.Kind != c.kind || string(m.ID.Of(m.Raw)) != c.id || string(m.Result.Of(m.Raw)) != c.result {
				t.Errorf("got %v id %s result %s", m.Kind, m.ID.Of(m.Raw), m.Result.Of(m.Raw))
			}
		})
	}
}

// Of duplicate keys the last counts, since that is what the client that reads
// the message after us takes: an id that we did not see would pass unchanged.
func TestParseServerTakesTheLastOfDuplicates(t *testing.T) {
	m, err := ParseServer([]byte(`{"id":1,"result":{"new":1,"isError":true,"isError":false},"\u0069d":2,"id":3}`))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.ID.Of(m.Raw)) + string(m.Outcome.IsError.Of(m.Raw)); got != `3false` {
		t.Errorf("got %s", got)
	}
}

func TestParseServerRefuses(t *testing.T) {
	for _, c := range []struct{ name, raw, id, says string }{
		{"result and error", `{"jsonrpc":"2.0","id":1,"result":{},"error":{}}`, "1", "both"},
		{"neither", `{"jsonrpc":"2.0","id":1}`, "1", "no method"},
		{"two results", `{"jsonrpc":"2.0","id":1,"result":{"unseen":1},"\u0072esult":{}}`, "1", "duplicate key result"},
		{"two errors", `{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"unseen"},"error":{"code":1,"message":"x"}}`, "1", "duplicate key error"},
		{"two params", `{"jsonrpc":"2.0","method":"m","params":{"name":"unseen"},"params":{}}`, "", "duplicate key params"},
		{"two methods", `{"jsonrpc":"2.0","id":1,"method":"m","method":"n"}`, "1", "duplicate key method"},
		{"wrong version", `{"jsonrpc":"1.0","id":1,"result":{}}`, "1", `"2.0"`},
		{"ID beside id", `{"jsonrpc":"2.0","id":1,"result":{},"ID":2}`, "1", "must be written id"},
		{"id 1.5", `{"jsonrpc":"2.0","id":1.5,"result":{}}`, "", "needs an id"},
		{"id null", `{"jsonrpc":"2.0","id":null,"result":{}}`, "", "needs an id"},
		{"an error that is a string", `{"jsonrpc":"2.0","id":1,"error":"no"}`, "1", "error must be"},
		{"NaN in the result", `{"jsonrpc":"2.0","id":1,"result":{"x":NaN}}`, "", "expected a value"},
		{"a missing comma", `{"jsonrpc":"2.0","id":1,"result":{"x":1 "y":2}}`, "", "expected , or }"},
		{"mismatched brackets", `{"jsonrpc":"2.0","id":1,"result":{"x":[1}]}`, "", "expected , or ]"},
		{"cut in a string", `{"jsonrpc":"2.0","id":1,"result":{"x":"abc\"}}`, "", "unexpected end"},
		{"cut in an object", `{"jsonrpc":"2.0","id":1,"result":{"x":1`, "", "unexpected end"},
		{"two messages", `{"jsonrpc":"2.0","id":1,"result":{}}{}`, "", "data after"},
		{"a line end in an id after the result", `{"jsonrpc":"2.0","result":{},"id":"` + "\n" + `"}`, "", "control character"},
		{"a log line", `Server listening on stdio`, "", "expected a value"},
		{"colours", "\x1b[32minfo\x1b[0m", "", "expected a value"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := ParseServer([]byte(c.raw))
			var e *Error
			if !errors.As(err, &e) || string(e.ID) != c.id || !strings.Contains(e.Message, c.says) {
				t.Errorf("got %v, want id %q ...%s...", err, c.id, c.says)
			}
		})
	}
}

func TestBatch(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		want      []string
		ok        bool
		code      int
	}{
		{"an object", `{}`, nil, false, 0},
		{"nothing", ``, nil, false, 0},
		{"two", ` [ {"a":1} ,2]` + "\n", []string{`{"a":1}`, `2`}, true, 0},
		{"empty", `[ ]`, nil, true, CodeInvalidRequest},
		{"truncated", `[{}`, nil, true, CodeParse},
		{"trailing comma", `[{},]`, nil, true, CodeParse},
		{"data after", `[{}]x`, nil, true, CodeParse},
		{"too many", `[` + strings.Repeat("1,", MaxBatch) + `1]`, nil, true, CodeInvalidRequest},
		{"deep", strings.Repeat("[", 100_000), nil, true, CodeParse},
	} {
		t.Run(c.name, func(t *testing.T) {
			parts, ok, err := Batch([]byte(c.raw))
			var e *Error
			if ok != c.ok || errors.As(err, &e) != (c.code != 0) || e != nil && e.Code != c.code {
				t.Fatalf("got %v, %v", ok, err)
			}
			if len(parts) != len(c.want) {
				t.Fatalf("got %d parts", len(parts))
			}
			for i := range parts {
				if string(parts[i]) != c.want[i] {
					t.Errorf("part %d: %s", i, parts[i])
				}
			}
		})
	}
}

func TestOutcomeOfAResult(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want map[string]string
	}{
		{`{"id":1,"result":{"content":[{"isError":true,"_meta":1}],"x":{"isError":true}}}`, nil},
		{`{"id":1,"result":{"content":[], "isError" : true ,"structuredContent":[1,{}]}}`, map[string]string{"isError": "true", "structuredContent": "[1,{}]"}},
		{`{"id":1,"result":{"isError":true,"isError":false}}`, map[string]string{"isError": "false"}},
		{`{"id":1,"result":{"is\u0045rror":true}}`, map[string]string{"isError": "true"}},
		{
			`{"result":{"resultType":"complete","ttlMs":5,"cacheScope":"private","_meta":{"a":{}}},"id":1}`,
			map[string]string{"resultType": `"complete"`, "ttlMs": "5", "cacheScope": `"private"`, "_meta": `{"a":{}}`},
		},
		{`{"id":1,"result":["isError",true]}`, nil},
		{`{"id":1,"error":{"code":1,"message":"m","isError":true}}`, nil},
		{`{"id":1,"method":"m","params":{"isError":true,"_meta":{}}}`, nil},
	} {
		m, err := ParseServer([]byte(c.raw))
		if err != nil {
			t.Fatalf("%s: %v", c.raw, err)
		}
		o := &m.Outcome
		for name, at := range map[string]Span{
			"isError": o.IsError, "structuredContent": o.Structured, "resultType": o.ResultType, "ttlMs": o.TTL, "cacheScope": o.CacheScope, "_meta": o.ResultMeta,
		} {
			if got := string(at.Of(m.Raw)); got != c.want[name] {
				t.Errorf("%s: %s is %s, want %s", c.raw, name, got, c.want[name])
			}
		}
	}
}
