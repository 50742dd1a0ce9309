package upstream

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestHandshake(t *testing.T) {
	for _, v := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"} {
		s := &scripted{answer: func(string, string) string {
			return `{"protocolVersion":"` + v + `","capabilities":{"tools":{"x":9007199254740993}},"serverInfo":{"name":"s"},"instructions":"a\nb"}`
		}}
		d := &Dial{Capabilities: json.RawMessage(`{"sampling":{}}`), ClientInfo: json.RawMessage(`{"name":"i","version":"1"}`)}
		h, err := handshake(t.Context(), s, d)
		if err != nil {
			t.Fatal(err)
		}
		want := &Hello{Version: v, Capabilities: json.RawMessage(`{"tools":{"x":9007199254740993}}`), ServerInfo: json.RawMessage(`{"name":"s"}`), Instructions: "a\nb"}
		if diff := cmp.Diff(want, h); diff != "" {
			t.Errorf("hello (-want +got):\n%s", diff)
		}
		if w := `{"protocolVersion":"2025-11-25","capabilities":{"sampling":{}},"clientInfo":{"name":"i","version":"1"}}`; s.params != w {
			t.Errorf("params %s, want %s", s.params, w)
		}
		if diff := cmp.Diff([]string{`{"jsonrpc":"2.0","method":"notifications/initialized"}`}, s.notes); diff != "" {
			t.Errorf("notifications (-want +got):\n%s", diff)
		}
	}
}

func TestHandshakeFails(t *testing.T) {
	for _, c := range []struct{ name, answer, want string }{
		{
			"version from the future", `{"protocolVersion":"2031-01-01","capabilities":{}}`,
			`handshake: initialize: the server answered with protocol revision "2031-01-01", which is not one of [2024-11-05 2025-03-26 2025-06-18 2025-11-25]`,
		},
		{"no version", `{}`, `handshake: initialize: the result has no protocolVersion`},
		{"result is no object", `[1]`, `handshake: initialize: the result has no protocolVersion`},
		{"capabilities of the wrong kind", `{"protocolVersion":"2025-11-25","capabilities":[]}`, `handshake: initialize: capabilities in the result is not an object`},
		{"error", `{"code":-32602,"message":"Unsupported"}`, `handshake: initialize: the server answered with error -32602: "Unsupported"`},
		{"cut", ``, `handshake: initialize: reset: cut`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &scripted{answer: func(string, string) string { return c.answer }}
			_, err := handshake(t.Context(), s, &Dial{})
			var start *StartError
			if !errors.As(err, &start) || err.Error() != c.want {
				t.Fatalf("error %v, want %s", err, c.want)
			}
			if len(s.notes) != 0 {
				t.Errorf("initialized was sent all the same")
			}
		})
	}
}
