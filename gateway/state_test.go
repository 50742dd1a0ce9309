package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

func TestOperatorsCall(t *testing.T) {
	answers := make(chan string, 1)
	d := dialer("do")
	d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, q *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		ask, got := asked(t, `{"jsonrpc":"2.0","id":5,"method":"sampling/createMessage"}`)
		q.Peer.Asked(ask)
		answers <- <-got
		return json.RawMessage(`{"content":[],"n":1.0}`), nil
	}
	r := start(t, settings(t, "a=http"), d).running()
	got, err := r.Call(t.Context(), "a__do", nil)
	if err != nil || string(got) != `{"content":[],"n":1.0}` {
		t.Errorf("Call = %s, %v", got, err)
	}
	if a := <-answers; !strings.Contains(a, "-32601") {
		t.Errorf("the server was answered %s", a)
	}
	<-d.Server("a").Last().Lost()
	if n := len(r.sessions.all()); n != 0 {
		t.Errorf("%d sessions are left", n)
	}
	if _, err := r.Call(t.Context(), "a__none", nil); err == nil || !strings.Contains(err.Error(), "unknown tool") {
		t.Errorf("an unknown tool: %v", err)
	}
}

func TestOperatorsCallAtShutdown(t *testing.T) {
	began := make(chan struct{})
	r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
		close(began)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	})
	got := make(chan string, 1)
	go func() {
		b, err := r.Call(context.WithoutCancel(t.Context()), "a__do", nil)
		got <- fmt.Sprint(string(b), err)
	}()
	<-began
	r.Drain(done0())
	if a := <-got; !strings.Contains(a, `"reason":"shutdown"`) || !strings.Contains(a, `"executed":"unknown"`) {
		t.Errorf("answered %s", a)
	}
	if _, err := r.Call(t.Context(), "a__do", nil); err == nil || !strings.Contains(err.Error(), "shutting down") {
		t.Errorf("after it: %v", err)
	}
}

func TestUpstreamsAsTheOperatorSeesThem(t *testing.T) {
	r := echoing(t, "a")
	all := r.List(admin.Select{})
	if len(all) != 1 || all[0].Server == nil || all[0].Server.Name != "fake" || all[0].Protocol != "2025-11-25" || all[0].Tools != 1 || all[0].State != "running" {
		t.Errorf("%+v", all)
	}
	if tools := r.Tools(); len(tools) != 1 || tools[0].Name != "a__echo" || string(tools[0].InputSchema) != `{"type":"object"}` || !tools[0].Listed {
		t.Errorf("%+v", tools)
	}
	if ok, waiting := r.Ready(); !ok || len(waiting) != 0 {
		t.Errorf("ready %v %v", ok, waiting)
	}
}

// TestBusyIsReady: a required process with one thread, in a long call, is of
// unknown health, and /readyz does not turn clients away for it.
func TestBusyIsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := settings(t, "a")
		cfg.Upstreams[0].Required = true
		d := new(linktest.Dialer)
		d.Server("a").Tools = []string{"echo"}
		d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			switch method {
			case "tools/call":
				return json.RawMessage(`{"content":[]}`), linktest.Sleep(ctx, time.Minute)
			case "ping":
				return nil, linktest.Sleep(ctx, time.Hour)
			}
			return nil, nil
		}
		r := start(t, cfg, d).running()
		c := r.connect(`{}`)
		done := make(chan struct{})
		go func() { defer close(done); c.post(calls("1", "a__echo", `{}`)) }()
		time.Sleep(50 * time.Second)
		if s := r.set.Upstream("a").Status(); s.State != upstream.Unknown {
			t.Errorf("a is %s", s.State)
		}
		if ok, waiting := r.Ready(); !ok {
			t.Errorf("not ready: %v", waiting)
		}
		<-done
	})
}

func TestReadyForStrangers(t *testing.T) {
	d := new(linktest.Dialer)
	d.Server("secret").OnDial = func(ctx context.Context, _ int, _ *upstream.Dial) error { <-ctx.Done(); return context.Cause(ctx) }
	cfg := settings(t, "secret")
	cfg.Upstreams[0].Required = true
	r := start(t, cfg, d)
	for host, names := range map[string]bool{"": true, "10.0.0.7:80": false} {
		c := &client{r: r, path: "/readyz"}
		req := c.request(t.Context(), "GET", "")
		if host != "" {
			req.Host = host
		}
		if got := c.do(req); got.status != 503 || strings.Contains(got.body, "secret") != names {
			t.Errorf("Host %q: %d %s", host, got.status, got.body)
		}
	}
	c := &client{r: r, path: "/livez"}
	if got := c.do(c.request(t.Context(), "GET", "")); got.status != 200 {
		t.Errorf("livez: %d", got.status)
	}
}
