package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

func TestBatchNotifications(t *testing.T) {
	began := make(chan struct{}, 1)
	r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	c := r.connectAt("/mcp", "2025-03-26", `{}`)
	got := make(chan reply, 1)
	go func() { got <- c.post(calls("1", "a__do", "{}")) }()
	<-began
	const cancel1 = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	if bad := c.post(`[` + cancel1 + `,{"jsonrpc":"2.0","id":2}]`); bad.status != 400 {
		t.Errorf("a bad batch: %d", bad.status)
	}
	select {
	case a := <-got:
		t.Fatalf("a refused batch cancelled the call: %s", a.body)
	default:
	}
	batch := `[` + calls("3", "a__do", "{}") + `,` + cancel1 + `,{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}},{"jsonrpc":"2.0","id":4,"method":"ping"}]`
	if good := c.post(batch); strings.Count(good.body, `"jsonrpc"`) != 1 || !strings.Contains(good.body, `"id":4,"result":{}`) {
		t.Errorf("the batch was answered %s", good.body)
	}
	if a := <-got; a.body != "" {
		t.Errorf("the cancelled call was answered %s", a.body)
	}
	if only := c.post(`[` + cancel1 + `]`); only.status != 202 {
		t.Errorf("a batch of notifications: %d", only.status)
	}
	if twice := c.post(`[{"jsonrpc":"2.0","id":5,"method":"ping"},{"jsonrpc":"2.0","id":"5","method":"ping"}]`); strings.Count(twice.body, `"result"`) != 2 {
		t.Errorf("two ids: %s", twice.body)
	}
}

func TestBatchOnStdio(t *testing.T) {
	r := echoing(t, "a")
	initialize := func(v string) string {
		return `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"` + v + `","capabilities":{}}}` + "\n"
	}
	batch := `[{"jsonrpc":"2.0","id":1,"method":"ping"},7,[{"jsonrpc":"2.0","id":2,"method":"ping"}]]` + "\n"
	for v, want := range map[string][]string{
		"2025-03-26": {`"id":1,"result":{}`, `"code":-32600`, `"code":-32600`},
		"2025-06-18": {`"code":-32600`},
	} {
		var out strings.Builder
		if err := r.ServeStdio(t.Context(), strings.NewReader(initialize(v)+batch+"[]\n"), &out); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "\n"); n != 2+len(want) {
			t.Errorf("%s: %d answers, want %d: %s", v, n, 2+len(want), out.String())
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: no %s in %s", v, w, out.String())
			}
		}
		if strings.Contains(out.String(), `"id":2,"result"`) {
			t.Errorf("%s: a batch in a batch was served", v)
		}
	}
}

func TestBatchOnSSE(t *testing.T) {
	r := echoing(t, "a")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &client{r: r, path: "/sse"}
	events := c.events(ctx, c.request(ctx, "GET", ""))
	c.path = string((<-events).Data)
	c.post(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{}}}`)
	c.next(events)
	if got := c.post(`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`); got.status != 202 {
		t.Errorf("%d %s", got.status, got.body)
	}
	if got := c.next(events); got != `{"jsonrpc":"2.0","id":1,"result":{}}` {
		t.Errorf("answered %s", got)
	}
	if got := c.post(`[]`); got.status != 400 {
		t.Errorf("an empty batch: %d", got.status)
	}
	s := r.sessions.named(strings.TrimPrefix(c.path, ssePost+"?session="))
	limit, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for s.home.(*stream).kept() != 0 { // the client may have an answer before its writer lets go of it
		select {
		case <-limit.Done():
			t.Fatal("answers are kept that nobody can ask for")
		default:
			runtime.Gosched()
		}
	}
}

func TestStdioClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := echoing(t, "a")
		_, out := io.Pipe()
		defer out.Close()
		begun := time.Now()
		err := r.ServeStdio(t.Context(), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`+"\n"), out)
		if !errors.Is(err, errStuck) || time.Since(begun) > flushTimeout {
			t.Errorf("ServeStdio = %v after %v", err, time.Since(begun))
		}
	})
}

func TestBatchAtShutdown(t *testing.T) {
	began := make(chan struct{}, 2)
	r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
		began <- struct{}{}
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	c := r.connectAt("/mcp", "2025-03-26", `{}`)
	got := make(chan reply, 1)
	go func() { got <- c.post(`[` + calls("1", "a__do", "{}") + `,` + calls("2", "a__do", "{}") + `]`) }()
	<-began
	<-began
	r.Drain(done0())
	if a := <-got; strings.Count(a.body, `"reason":"shutdown"`) != 2 {
		t.Errorf("answered %s", a.body)
	}
}
