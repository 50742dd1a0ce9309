package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// scripted is a link whose answers come from a function of method and cursor.
type scripted struct {
	Link
	hello  Hello
	answer func(method, cursor string) string // a result, or an error object
	asked  []string
	notes  []string
	params string // of the last request
}

func (s *scripted) Hello() *Hello { return &s.hello }

func (s *scripted) Do(_ context.Context, r *Request) (jsonrpc.Message, error) {
	m := &r.Message
	s.asked = append(s.asked, m.MethodName())
	s.params = string(m.Params.Of(m.Raw))
	a := s.answer(m.MethodName(), m.Text(m.Cursor))
	if a == "" {
		return jsonrpc.Message{}, &TransportError{Executed: ExecutedUnknown, Reason: "reset", RetryAfter: 3, Err: errors.New("cut")}
	}
	member := "result"
	if strings.HasPrefix(a, `{"code"`) {
		member = "error"
	}
	return jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","id":0,"` + member + `":` + a + `}`))
}

func (s *scripted) Notify(_ context.Context, raw []byte) error {
	s.notes = append(s.notes, string(raw))
	return nil
}

func strs(items []json.RawMessage) []string {
	var out []string
	for _, i := range items {
		out = append(out, string(i))
	}
	return out
}

func TestLearnFollowsPagesByteForByte(t *testing.T) {
	l := &scripted{hello: Hello{Version: "2025-11-25", Capabilities: json.RawMessage(`{"tools":{},"resources":{"subscribe":true},"logging":{}}`)}}
	l.answer = func(method, cursor string) string {
		switch method + " " + cursor {
		case "tools/list ":
			return `{"tools":[{"name":"a","n":9007199254740993, "x":1.0} , {"name":"b"}],"nextCursor":"p\"2"}`
		case `tools/list p"2`:
			return `{"nextCursor":null,"tools":[{"name":"c"}]}`
		case "resources/list ":
			return `{"resources":[]}`
		}
		return `{"code":-32601,"message":"no"}`
	}
	inv, err := learn(t.Context(), l, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`{"name":"a","n":9007199254740993, "x":1.0}`, `{"name":"b"}`, `{"name":"c"}`}
	if d := cmp.Diff(want, strs(inv.Tools)); d != "" {
		t.Errorf("tools (-want +got):\n%s", d)
	}
	wantAsked := []string{"tools/list", "tools/list", "resources/list", "resources/templates/list"}
	if d := cmp.Diff(wantAsked, l.asked); d != "" {
		t.Errorf("asked (-want +got):\n%s", d)
	}
	if inv.Truncated != nil || inv.Learnt.IsZero() || inv.Version != "2025-11-25" {
		t.Errorf("inventory = %+v", inv)
	}
}

// One description in Latin-1 once cost the whole list.
func TestLearnMendsWhatIsNotUTF8(t *testing.T) {
	l := &scripted{hello: Hello{Capabilities: json.RawMessage(`{"tools":{}}`)}}
	l.answer = func(string, string) string {
		return "{\"tools\":[{\"name\":\"a\"},{\"name\":\"\xe9\"},{\"name\":\"c\"}]}"
	}
	inv, err := learn(t.Context(), l, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{`{"name":"a"}`, "{\"name\":\"\ufffd\"}", `{"name":"c"}`}, strs(inv.Tools)); d != "" {
		t.Errorf("tools (-want +got):\n%s", d)
	}
}

func TestLearnStopsListsThatDoNotEnd(t *testing.T) {
	for _, c := range []struct {
		name      string
		next      func(page int, cursor string) string
		max       int
		wantPages int
		wantItems int
		truncated bool
	}{
		{"a new cursor for ever", func(n int, _ string) string { return fmt.Sprint("c", n) }, 0, 1000, 1000, true},
		{"fewer pages allowed", func(n int, _ string) string { return fmt.Sprint("c", n) }, 7, 7, 7, true},
		{"a cursor that repeats", func(n int, _ string) string { return fmt.Sprint("c", n%3) }, 0, 4, 4, true},
		{"the empty cursor, taken for none", func(int, string) string { return "" }, 0, 2, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			l := &scripted{hello: Hello{Capabilities: json.RawMessage(`{"tools":{}}`)}}
			l.answer = func(_, cursor string) string {
				n++
				name := n
				if c.wantItems == 1 {
					name = 1
				}
				return fmt.Sprintf(`{"tools":[{"name":"t%d"}],"nextCursor":%q}`, name, c.next(n, cursor))
			}
			inv, err := learn(t.Context(), l, c.max)
			if err != nil {
				t.Fatal(err)
			}
			if n != c.wantPages || len(inv.Tools) != c.wantItems || (len(inv.Truncated) == 1) != c.truncated {
				t.Errorf("pages %d, items %d, truncated %v; want %d, %d, %v", n, len(inv.Tools), inv.Truncated, c.wantPages, c.wantItems, c.truncated)
			}
		})
	}
}

func TestLearnFails(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{"error", `{"code":-32603,"message":"disk"}`, `list: tools/list: the server answered with error -32603: "disk"`},
		{"no list", `{}`, `list: tools/list: the result has no array "tools"`},
		{"not an array", `{"tools":{}}`, `list: tools/list: the result has no array "tools"`},
		{"not JSON", `{"tools":[{"name":"\q"}]}`, `list: tools/list: the result is not well-formed JSON`},
		{"cut", ``, `list: tools/list: reset: cut`},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &scripted{hello: Hello{Capabilities: json.RawMessage(`{"tools":{}}`)}}
			l.answer = func(string, string) string { return c.answer }
			_, err := learn(t.Context(), l, 0)
			var start *StartError
			if !errors.As(err, &start) || err.Error() != c.want {
				t.Fatalf("error %v, want %s", err, c.want)
			}
			if c.answer == "" && start.RetryAfter != 3 {
				t.Errorf("RetryAfter %v, want that of the transport", start.RetryAfter)
			}
		})
	}
}
