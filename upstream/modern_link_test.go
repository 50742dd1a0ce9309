package upstream

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestModernVerbs: what a legacy link is asked for is translated.
func TestModernVerbs(t *testing.T) {
	w := newFakeWay(func(_ context.Context, method, _ string) (string, error) {
		if method == "server/discover" {
			return discovered, nil
		}
		return `{}`, nil
	})
	l, _ := modernOver(t, w, `{"tools":{}}`)
	for _, c := range []struct {
		method string
		params string
		sent   []string
	}{
		{"ping", "", []string{"server/discover"}},
		{"logging/setLevel", `{"level":"debug"}`, nil},
		{"resources/unsubscribe", `{"uri":"a:b"}`, nil},
		{"tools/list", "", []string{"tools/list"}},
		{"vendor/own", `{"x":1}`, []string{"vendor/own"}},
	} {
		var params []byte
		if c.params != "" {
			params = []byte(c.params)
		}
		m, err := l.Do(t.Context(), newRequest(c.method, params))
		if err != nil || string(m.Result.Of(m.Raw)) != "{}" {
			t.Errorf("%s: %s, %v", c.method, m.Raw, err)
		}
		if diff := cmp.Diff(c.sent, w.methods(t)); diff != "" {
			t.Errorf("%s sent (-want +got):\n%s", c.method, diff)
		}
		w.bodies()
	}
	for note, sent := range map[string]bool{
		`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`:                         false,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`:         false,
		`{"jsonrpc":"2.0","id":1,"result":{}}`:                                                  false,
		`{"jsonrpc":"2.0","method":"notifications/vendor/own","params":{"x":9007199254740993}}`: true,
	} {
		if err := l.Notify(t.Context(), []byte(note)); err != nil {
			t.Errorf("%s: %v", note, err)
		}
		if got := w.bodies(); len(got) > 1 || (len(got) == 1) != sent || sent && got[0] != note {
			t.Errorf("%s sent %s", note, got)
		}
	}
}

// TestModernProbeNotesChanges: what the server says of itself when it is probed
// is taken over.
func TestModernProbeNotesChanges(t *testing.T) {
	w := newFakeWay(func(context.Context, string, string) (string, error) { return discovered, nil })
	l, _ := modernOver(t, w, `{}`)
	renewed := 0
	l.dial.Renewed = func(*Hello) { renewed++ }
	for range 2 {
		if _, err := l.Do(t.Context(), newRequest("ping", nil)); err != nil {
			t.Fatal(err)
		}
	}
	if h := l.Hello(); renewed != 1 || h.Instructions != "do" || string(h.Capabilities) != `{"tools":{}}` {
		t.Errorf("renewed %d times, hello %+v", renewed, h)
	}
}

// TestModernNoLonger: a server that was replaced by one of another era is found
// out, and the request that found it was not executed.
func TestModernNoLonger(t *testing.T) {
	status := &TransportError{Executed: ExecutedUnknown, Reason: "http_status", Status: 400, Err: errors.New("status")}
	for _, c := range []struct {
		name     string
		protocol Protocol
		method   string
		answer   string // to the request; "" for an HTTP status
		discover string
		lost     bool
	}{
		{"revision refused", AutoProtocol, "tools/call", `{"code":-32022,"message":"m"}`, unknown, true},
		{"revision refused, and offered", AutoProtocol, "tools/call", `{"code":-32022,"message":"m"}`, discovered, false},
		{"method unknown", AutoProtocol, "tools/call", unknown, unknown, true},
		{"vendor's method unknown", AutoProtocol, "vendor/x", unknown, unknown, false},
		{"HTTP 400", AutoProtocol, "tools/call", "", unknown, true},
		{"HTTP 408", AutoProtocol, "tools/call", "408", unknown, false},
		{"probe", AutoProtocol, "ping", "", unknown, true},
		{"modern by configuration", ModernProtocol, "tools/call", unknown, unknown, false},
		{"headers refused", AutoProtocol, "tools/call", `{"code":-32020,"message":"m"}`, unknown, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newFakeWay(func(_ context.Context, method, _ string) (string, error) {
				switch {
				case method == "server/discover":
					return c.discover, nil
				case c.answer == "":
					return "", status
				case c.answer == "408":
					return "", &TransportError{Executed: ExecutedUnknown, Reason: "http_status", Status: 408, Err: errors.New("status")}
				}
				return c.answer, nil
			})
			l, _ := modernOver(t, w, `{}`)
			l.dial.Config.Protocol = c.protocol
			l.dial.Era.set(latestModern)
			_, err := l.Do(t.Context(), newRequest(c.method, []byte(`{"name":"x"}`)))
			var way *TransportError
			lost := errors.As(err, &way) && way.Lost && way.Executed == ExecutedNo && way.Reason == "era"
			if lost != c.lost || (l.Err() != nil) != c.lost || (l.dial.Era.known.Load() == unknownEra) != c.lost {
				t.Errorf("%v, link %v, era %d; want lost %v", err, l.Err(), l.dial.Era.known.Load(), c.lost)
			}
		})
	}
}

// TestModernRefusesOnce: a request that was refused for its revision, by a server
// that speaks it after all, is sent once more.
func TestModernRefusesOnce(t *testing.T) {
	calls := 0
	w := newFakeWay(func(_ context.Context, method, _ string) (string, error) {
		if method == "server/discover" {
			return discovered, nil
		}
		if calls++; calls == 1 {
			return `{"code":-32022,"message":"m"}`, nil
		}
		return `{"content":[]}`, nil
	})
	l, _ := modernOver(t, w, `{}`)
	m, err := l.Do(t.Context(), call(t))
	if err != nil || string(m.Result.Of(m.Raw)) != `{"content":[]}` || calls != 2 {
		t.Errorf("%s, %v after %d calls", m.Raw, err, calls)
	}
}

// TestModernNoLongerForMany: all who are refused at the same time learn of it,
// and the server is asked once.
func TestModernNoLongerForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		w := newFakeWay(func(_ context.Context, method, _ string) (string, error) {
			if method == "server/discover" {
				asked++
				<-time.After(time.Second)
			}
			return unknown, nil
		})
		l, _ := modernOver(t, w, `{}`)
		faults := make(chan error, 50)
		for range cap(faults) {
			r := call(t)
			go func() { _, err := l.Do(t.Context(), r); faults <- err }()
		}
		for range cap(faults) {
			if err := <-faults; reasonOf(err) != "era" {
				t.Errorf("error %v", err)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
	})
}

// TestModernDoubtsSeldom: a server that errs often is not asked each time.
func TestModernDoubtsSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWay(func(_ context.Context, method, _ string) (string, error) {
			if method == "server/discover" {
				return discovered, nil
			}
			return unknown, nil
		})
		l, _ := modernOver(t, w, `{}`)
		asked := func() (n int) {
			for range 100 {
				if _, err := l.Do(t.Context(), call(t)); err != nil {
					t.Fatal(err)
				}
			}
			for _, m := range w.methods(t) {
				if m == "server/discover" {
					n++
				}
			}
			return n
		}
		if n := asked(); n != 1 {
			t.Errorf("asked %d times", n)
		}
		<-time.After(recheckPause)
		if n := asked(); n != 2 {
			t.Errorf("asked %d times a while later", n)
		}
	})
}

func TestInventoryOfModernServers(t *testing.T) {
	for _, c := range []struct {
		name    string
		pages   []string // of tools
		ttl     time.Duration
		private bool
	}{
		{"said", []string{`"ttlMs":60000,"cacheScope":"public"`}, time.Minute, false},
		{"the shortest page counts", []string{`"ttlMs":60000,"cacheScope":"public"`, `"ttlMs":5000.0,"cacheScope":"public"`}, 5 * time.Second, false},
		{"one page is private", []string{`"ttlMs":1,"cacheScope":"public"`, `"ttlMs":1,"cacheScope":"private"`}, time.Millisecond, true},
		{"the other page is private", []string{`"ttlMs":1,"cacheScope":"private"`, `"ttlMs":1,"cacheScope":"public"`}, time.Millisecond, true},
		{"unsaid", []string{``}, 0, true},
		{"one page does not say", []string{`"ttlMs":60000,"cacheScope":"public"`, ``}, 0, true},
		{"nonsense", []string{`"ttlMs":"1","cacheScope":"all"`}, 0, true},
		{"negative", []string{`"ttlMs":-1,"cacheScope":"public"`}, 0, false},
		{"for ever", []string{`"ttlMs":1e30,"cacheScope":"public"`}, maxTTL, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			w := newFakeWay(func(context.Context, string, string) (string, error) {
				page := `{"tools":[{"n":` + string(rune('0'+n)) + `}]`
				if c.pages[n] != "" {
					page += "," + c.pages[n]
				}
				if n++; n < len(c.pages) {
					page += `,"nextCursor":"` + string(rune('0'+n)) + `"`
				}
				return page + "}", nil
			})
			l, _ := modernOver(t, w, `{"tools":{}}`)
			inv, err := learn(t.Context(), l, 0)
			if err != nil || inv.TTL != c.ttl || inv.Private != c.private || len(inv.Tools) != len(c.pages) {
				t.Fatalf("%+v, %v", inv, err)
			}
			later := inv.Learnt.Add(max(c.ttl, minRefresh))
			if inv.Stale(later) || inv.Stale(later.Add(1)) != (c.ttl > 0) {
				t.Errorf("stale at %v: %v, then %v", c.ttl, inv.Stale(later), inv.Stale(later.Add(1)))
			}
		})
	}
}
