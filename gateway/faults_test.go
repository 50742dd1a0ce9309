package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

const listTools1 = `{"jsonrpc":"2.0","id":9,"method":"tools/list"}`

// F13: a server that was restarted has other tools: they are listed again, the
// client hears of it once, and what it had subscribed to is subscribed anew.
func TestRestartedWithOtherTools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer("before")
		s := d.Server("a")
		r := start(t, settings(t, "a"), d).running()
		c := r.connect(`{}`)
		events := c.listen(t.Context())
		if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"file:///x"}}`); got.rpcCode() != 0 {
			t.Fatalf("subscribe: %s", got.body)
		}
		time.Sleep(10 * time.Second)
		s.Script(func(s *linktest.Server) { s.Tools = []string{"after"} })
		s.Last().Lose()
		time.Sleep(10 * time.Second)
		if got := c.post(listTools1).body; !strings.Contains(got, "a__after") || strings.Contains(got, "a__before") {
			t.Errorf("listed %s", got)
		}
		told := 0
		for len(events) > 0 {
			if e := <-events; strings.Contains(string(e.Data), "tools/list_changed") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("told %d times", told)
		}
		if n := s.Asked("resources/subscribe"); n != 2 {
			t.Errorf("subscribed %d times, want again on the new link", n)
		}
	})
}

// F19: a call ends under what let it in, whatever becomes of its tool meanwhile;
// the next one is checked anew.
func TestToolsChangeDuringACall(t *testing.T) {
	for _, c := range []struct {
		name  string
		tools []string
		next  string // what the next call of the tool gets
	}{
		{"vanishes", nil, `"code":-32602`},
		{"another comes", []string{"do", "other"}, `"done":2`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release, n := make(chan struct{}), 0
				r := tool(t, func(context.Context, *upstream.Request) (json.RawMessage, error) {
					if n++; n == 1 {
						<-release
					}
					return json.RawMessage(fmt.Sprintf(`{"done":%d}`, n)), nil
				})
				client := r.connect(`{}`)
				got := make(chan reply, 1)
				go func() { got <- client.post(calls("1", "a__do", "{}")) }()
				synctest.Wait()
				s := r.dialer.Server("a")
				s.Script(func(s *linktest.Server) { s.Tools = c.tools })
				s.Last().Say("notifications/tools/list_changed")
				time.Sleep(3 * time.Second)
				if list := client.post(listTools1).body; strings.Contains(list, `"a__do"`) != (c.tools != nil) {
					t.Fatalf("listed %s", list)
				}
				if c.tools == nil {
					if next := client.post(calls("2", "a__do", "{}")); !strings.Contains(next.body, c.next) {
						t.Errorf("the next call got %s", next.body)
					}
				}
				close(release)
				if first := <-got; first.result(t)["done"] != 1.0 {
					t.Errorf("the call got %s", first.body)
				}
				if next := client.post(calls("3", "a__do", "{}")); !strings.Contains(next.body, c.next) {
					t.Errorf("a later call got %s", next.body)
				}
			})
		})
	}
}

// F28: every server is down: the gateway answers at once and clearly, for each
// the log says so once for each time that it was tried, and readiness says no.
func TestEverythingIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := settings(t, "a", "b=http", "c")
		d := new(linktest.Dialer)
		for i := range cfg.Upstreams {
			u := &cfg.Upstreams[i]
			u.Required = true
			d.Server(u.Name).OnDial = func(context.Context, int, *upstream.Dial) error {
				return &upstream.StartError{Stage: "spawn", Err: errors.New("too many open files")}
			}
		}
		var log syncBuffer
		r := startWith(t, cfg, Options{Dialer: d, Log: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(time.Minute) // they are exhausted
		c := r.connect(`{}`)
		for i := range 50 {
			got := c.post(calls(fmt.Sprint(i), "a__do", "{}")).body
			if !strings.Contains(got, `"executed":"no"`) && !strings.Contains(got, `"code":-32602`) {
				t.Fatalf("a call got %s", got)
			}
			if got := c.post(listTools1).body; !strings.Contains(got, `"tools":[]`) {
				t.Fatalf("a list got %s", got)
			}
		}
		if ready := c.do(&http.Request{Method: http.MethodGet, URL: mustURL(t, r.url+"/readyz"), Header: http.Header{}}); ready.status != http.StatusServiceUnavailable {
			t.Errorf("/readyz: %d", ready.status)
		}
		for _, u := range cfg.Upstreams {
			tries, said := len(d.Server(u.Name).Dials()), 0
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, "too many open files") && strings.Contains(line, "upstream="+u.Name) {
					said++
				}
			}
			if said == 0 || said > tries {
				t.Errorf("%s was tried %d times, and the log says so %d times:\n%s", u.Name, tries, said, log.String())
			}
		}
		if strings.Contains(log.String(), "panic") {
			t.Error(log.String())
		}
	})
}

// F28: state_dir cannot be written, as on a full disk: everything works, and the
// log says it once.
func TestStateIsNotKept(t *testing.T) {
	cfg := settings(t, "a", "b", "c")
	if err := os.WriteFile(filepath.Join(cfg.StateDir, "inventories"), []byte("in the way"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log syncBuffer
	d := new(linktest.Dialer)
	for _, n := range []string{"a", "b", "c"} {
		d.Server(n).Tools, d.Server(n).OnRequest = []string{"echo"}, echo
	}
	r := startWith(t, cfg, Options{Dialer: d, Log: slog.New(slog.NewTextHandler(&log, nil))}).running()
	c := r.connect(`{}`)
	for _, n := range []string{"a", "b", "c"} {
		if got := c.post(calls("1", n+"__echo", `{"n":1}`)); got.result(t)["content"] == nil {
			t.Errorf("%s: %s", n, got.body)
		}
	}
	if n := strings.Count(log.String(), "inventory not kept"); n != 1 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
}

// F17, as far as it goes without a sign-in: a server that wants other credentials
// refuses its own calls, which say that they did not run; it stays up, and the
// calls to others go on.
func TestUnauthorizedHarmsNobodyElse(t *testing.T) {
	d := new(linktest.Dialer)
	d.Server("a").Tools, d.Server("b").Tools = []string{"echo"}, []string{"echo"}
	d.Server("b").OnRequest = echo
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" {
			return nil, &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "unauthorized", Status: 401, Err: errors.New("HTTP status 401")}
		}
		return nil, nil
	}
	r := start(t, settings(t, "a=http", "b=http"), d).running()
	c := r.connect(`{}`)
	for i := range 20 {
		if got := c.post(calls(fmt.Sprint(i), "a__echo", "{}")).body; !strings.Contains(got, `"reason":"unauthorized"`) || !strings.Contains(got, `"executed":"no"`) {
			t.Fatalf("got %s", got)
		}
		if got := c.post(calls(fmt.Sprint(i), "b__echo", "{}")); got.result(t)["isError"] != nil {
			t.Fatalf("the other: %s", got.body)
		}
	}
	if st := r.set.Upstream("a").Status(); st.State != upstream.Running || st.Breaker != upstream.BreakerClosed {
		t.Errorf("it is %s, breaker %s", st.State, st.Breaker)
	}
	if n := d.Server("a").Asked("tools/call"); n != 20 {
		t.Errorf("asked %d times, want once for each call", n)
	}
}

// syncBuffer is a buffer that is safe for concurrent use.
type syncBuffer struct {
	mu sync.Mutex // guards b
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
