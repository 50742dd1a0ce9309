package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be what bench runs again in other roles.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-role" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// TestMeasure runs the whole of it for a moment: every path is used, and every
// answer was the right one.
func TestMeasure(t *testing.T) {
	r, err := measure(t.Context(), plan{total: time.Second, rounds: 1, inFlight: []int{1, 8}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := r.writeTable(&out); err != nil {
		t.Fatal(err)
	}
	if len(r.Cells) != 10 {
		t.Errorf("%d cells, want 10", len(r.Cells))
	}
	for _, c := range r.Cells {
		if c.Calls == 0 || c.P99 < c.P50 || c.P50 <= 0 {
			t.Errorf("%s %s %d: %d calls, p50 %.0f, p99 %.0f", c.Upstream, c.Path, c.InFlight, c.Calls, c.P50, c.P99)
		}
		if (c.Beside != nil) != (c.Path == "Interlock") {
			t.Errorf("%s %s is compared: %v", c.Upstream, c.Path, c.Beside)
		}
	}
	if n := strings.Count(out.String(), "× "); n != 4 {
		t.Errorf("%d comparisons, want 4:\n%s", n, &out)
	}
}

func TestAnswer(t *testing.T) {
	for _, c := range []struct{ name, message, want string }{
		{
			"call", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}`,
			`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hi"}]}}`,
		},
		{"string id at the end", `{"method":"ping","id":"a-1"}`, `{"jsonrpc":"2.0","id":"a-1","result":{}}`},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(answer(nil, []byte(c.message))); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}
