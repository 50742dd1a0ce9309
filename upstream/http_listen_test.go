package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// connectInBubble runs f in memory and connects to it, for the length of the
// test. It is for synctest bubbles.
func connectInBubble(t *testing.T, f *fakeRemote, d *Dial) *httpLink {
	t.Helper()
	f.t = t
	pipe := addrtest.NewPipe()
	srv := &http.Server{Handler: f}
	var served sync.WaitGroup
	served.Go(func() { _ = srv.Serve(pipe) })
	dial := &dialer{log: slog.New(slog.DiscardHandler)}
	dial.remotes.connect = pipe.Dial
	l, err := dial.Dial(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Close(context.Background())
		srv.Close()
		served.Wait()
	})
	return l.(*httpLink)
}

func TestListenReconnectsAfterWhatItHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var got []string // when, and after which event
		f := &fakeRemote{session: "s"}
		f.get = func(w http.ResponseWriter, r *http.Request) {
			got = append(got, fmt.Sprintf("%v after %q", time.Since(began).Round(time.Second), r.Header.Get("Last-Event-Id")))
			if r.Header.Get("Mcp-Session-Id") != "s" || r.Header.Get("Mcp-Protocol-Version") != "2025-11-25" || r.Header.Get("Accept") != "text/event-stream" {
				t.Errorf("headers %v", r.Header)
			}
			switch len(got) {
			case 1:
				events(w)("id: e1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}")
			case 2:
				events(w)("id: e2\nretry: 9000\ndata: ")
			case 3, 4, 5: // nothing is heard: the pauses grow
				w.WriteHeader(http.StatusBadGateway)
			case 6:
				w.Header().Set("Retry-After", "40")
				w.WriteHeader(http.StatusTooManyRequests)
			default:
				send := events(w)
				send(`data: {"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x"}}`)
				send(`data: {"jsonrpc":"2.0","id":"q","method":"sampling/createMessage"}`)
				<-r.Context().Done()
			}
		}
		d := dialFor("http://fake/mcp")
		connectInBubble(t, f, d)
		elapse(time.Hour)
		synctest.Wait()
		if len(got) != 7 {
			t.Fatalf("%d streams: %v", len(got), got)
		}
		for i, want := range []string{`""`, `"e1"`, `"e2"`, `"e2"`, `"e2"`, `"e2"`, `"e2"`} {
			if !strings.HasSuffix(got[i], want) {
				t.Errorf("stream %d: %s, want after %s", i, got[i], want)
			}
		}
		if got[1] != `1s after "e1"` || !strings.HasPrefix(got[2], "10s") {
			t.Errorf("not opened again in time: %v", got)
		}
		want := []string{
			`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`,
			`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"x"}}`,
		}
		if diff := cmp.Diff(want, d.Inbox.(*recorder).all()); diff != "" {
			t.Errorf("heard (-want +got):\n%s", diff)
		}
		if a, _ := f.sent("answer"); len(a) != 1 || !strings.Contains(a[0], `"id":"q","error":{"code":-32600`) {
			t.Errorf("a question on a shared link was answered with %v", a)
		}
	})
}

func TestListenAsksTheOwnerOfAnExclusiveLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRemote{session: "s"}
		f.get = func(w http.ResponseWriter, r *http.Request) {
			send := events(w)
			send(`data: {"jsonrpc":"2.0","id":1,"method":"roots/list"}`)
			send(`data: {"jsonrpc":"2.0","id":2,"method":"ping"}`)
			<-r.Context().Done()
		}
		d := dialFor("http://fake/mcp")
		d.Exclusive = true
		l := connectInBubble(t, f, d)
		q := <-d.Inbox.(*recorder).asked
		if m := q.Message; m.MethodName() != "roots/list" {
			t.Errorf("asked %s", m.Raw)
		}
		if err := q.Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}`)); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if a, _ := f.sent("answer"); len(a) != 2 {
			t.Errorf("posted %v", a)
		}
		l.Close(t.Context())
	})
}

// TestListenBeforeTheFirstCall: a server asked on the GET stream before there was
// one, its question was lost, and the call waited for ever.
func TestListenBeforeTheFirstCall(t *testing.T) {
	for name, c := range map[string]struct {
		head time.Duration // when the server sends the head of the stream
		want time.Duration // when the link is ready
	}{
		"at once":        {0, 0},
		"after a moment": {100 * time.Millisecond, 100 * time.Millisecond},
		"with an event":  {time.Hour, 500 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := &fakeRemote{session: "s"}
			f.get = func(w http.ResponseWriter, r *http.Request) {
				if c.head > 0 {
					select {
					case <-time.After(c.head):
					case <-r.Context().Done():
						return
					}
				}
				events(w)
				<-r.Context().Done()
			}
			d := dialFor("http://fake/mcp")
			d.Exclusive = true
			begun := time.Now()
			connectInBubble(t, f, d)
			if took := time.Since(begun); took != c.want {
				t.Errorf("%s: ready after %v, want %v", name, took, c.want)
			}
		})
	}
}

// TestListenAsksTheOneCall: a client of 2026-07-28 can be asked only by its calls,
// and servers made with the TypeScript SDK ask on the GET stream.
func TestListenAsksTheOneCall(t *testing.T) {
	for name, c := range map[string]struct {
		calls   int
		method  string
		givenUp bool // one before them
		inbox   bool // the question is nobody's
	}{
		"one call":                   {calls: 1, method: "elicitation/create"},
		"roots, beside one call":     {calls: 1, method: "roots/list", inbox: true},
		"no call":                    {calls: 0, method: "elicitation/create", inbox: true},
		"two calls":                  {calls: 2, method: "elicitation/create", inbox: true},
		"one was given up, may hang": {calls: 1, method: "elicitation/create", givenUp: true, inbox: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			ask, answer := make(chan struct{}), make(chan struct{})
			f := &fakeRemote{session: "s"}
			f.get = func(w http.ResponseWriter, r *http.Request) {
				send := events(w)
				<-ask
				send(`data: {"jsonrpc":"2.0","id":"q","method":"` + c.method + `","params":{}}`)
				<-r.Context().Done()
			}
			f.call = func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) {
				select {
				case <-answer:
					reply(w, m, `{}`)
				case <-r.Context().Done():
				}
			}
			d := dialFor("http://fake/mcp")
			d.Exclusive = true
			l := connectInBubble(t, f, d)
			call := func(ctx context.Context) *recorder {
				peer := newRecorder()
				r := toolCall(t, "x", `{}`, "")
				r.Peer, r.Alone = peer, true
				go func() { _, _ = l.Do(ctx, r) }()
				return peer
			}
			if c.givenUp {
				ctx, cancel := context.WithCancel(t.Context())
				call(ctx)
				synctest.Wait()
				cancel()
			}
			var peers []*recorder
			for range c.calls {
				peers = append(peers, call(t.Context()))
			}
			synctest.Wait()
			close(ask)
			synctest.Wait()
			asked := 0
			for _, p := range peers {
				asked += len(p.asked)
			}
			if inbox := len(d.Inbox.(*recorder).asked) == 1; inbox != c.inbox || asked != map[bool]int{false: 1, true: 0}[c.inbox] {
				t.Errorf("%s: %d calls were asked, and the inbox %v", name, asked, inbox)
			}
			close(answer)
			synctest.Wait()
			l.Close(t.Context())
		})
	}
}

func TestListenTakesANoForAnAnswer(t *testing.T) {
	for _, status := range []int{400, 401, 403, 404, 405, 406, 501} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			f := &fakeRemote{session: "s", get: func(w http.ResponseWriter, _ *http.Request) { n++; w.WriteHeader(status) }}
			l := connectInBubble(t, f, dialFor("http://fake/mcp"))
			elapse(time.Hour)
			synctest.Wait()
			if n != 1 || f.inits != 1 || l.Err() != nil {
				t.Errorf("status %d: asked %d times, %d handshakes, %v", status, n, f.inits, l.Err())
			}
		})
	}
}

func TestListenMakesAForgottenSessionAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		f := &fakeRemote{session: "s"}
		f.get = func(w http.ResponseWriter, r *http.Request) {
			switch n++; n {
			case 1:
				events(w)
			case 2:
				w.WriteHeader(http.StatusNotFound)
			default:
				events(w)
				<-r.Context().Done()
			}
		}
		d := dialFor("http://fake/mcp")
		renewed := 0
		d.Renewed = func(*Hello) { renewed++ }
		connectInBubble(t, f, d)
		elapse(time.Minute)
		synctest.Wait()
		if f.inits != 2 || renewed != 1 || n != 3 {
			t.Errorf("%d handshakes, renewed %d times, %d streams", f.inits, renewed, n)
		}
	})
}

// F15: the stream of a call is cut after an event with an id.
func TestCallIsTakenUpAgain(t *testing.T) {
	answer := func(id string) string { return `data: {"jsonrpc":"2.0","id":` + id + `,"result":{"late":true}}` }
	for _, c := range []struct {
		name   string
		first  string // sent on the call's own stream
		get    func(n int, send func(string, ...any), w http.ResponseWriter, id string)
		gets   int
		ok     bool
		within time.Duration
	}{
		{"answered at the second try", "id: a1\ndata: ", func(n int, send func(string, ...any), w http.ResponseWriter, id string) {
			if n == 1 {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			send("id: a2\n" + answer(id))
		}, 2, true, time.Second},
		{"the server asks to be polled", "id: a1\nretry: 20000\ndata: ", func(n int, send func(string, ...any), _ http.ResponseWriter, id string) {
			if n < 10 {
				send(": nothing yet")
				return
			}
			send(answer(id))
		}, 10, true, 201 * time.Second},
		{"never comes", "id: a1\ndata: ", func(_ int, send func(string, ...any), _ http.ResponseWriter, _ string) { send(": nothing") }, 5, false, 20 * time.Second},
		{"cannot be resumed", "id: a1\ndata: ", func(_ int, _ func(string, ...any), w http.ResponseWriter, _ string) {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}, 1, false, time.Second},
		{"no event id", `data: {"jsonrpc":"2.0","method":"notifications/message"}`, nil, 0, false, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var id string
				gets := 0
				f := &fakeRemote{session: "s"}
				f.call = func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
					id = idOf(m)
					events(w)(c.first)
				}
				f.get = func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Last-Event-Id") == "" {
						w.WriteHeader(http.StatusMethodNotAllowed)
						return
					}
					gets++
					if last := r.Header.Get("Last-Event-Id"); last != "a1" {
						t.Errorf("resumed after %q", last)
					}
					c.get(gets, func(format string, a ...any) { events(w)(format, a...) }, w, id)
				}
				l := connectInBubble(t, f, dialFor("http://fake/mcp"))
				began := time.Now()
				m, err := l.Do(t.Context(), call(t))
				var e *TransportError
				if c.ok && (err != nil || m.Kind != jsonrpc.Result) {
					t.Errorf("error %v", err)
				}
				if !c.ok && (!errors.As(err, &e) || e.Executed != ExecutedUnknown || e.Reason != "reset" || e.Lost) {
					t.Errorf("error %+v", err)
				}
				if gets != c.gets {
					t.Errorf("resumed %d times, want %d", gets, c.gets)
				}
				if took := time.Since(began); took > c.within || took < c.within-19*time.Second && c.within > time.Minute {
					t.Errorf("took %v", took)
				}
				if n, _ := f.sent("tools/call"); len(n) != 1 {
					t.Errorf("the call was posted %d times", len(n))
				}
			})
		})
	}
}

// elapse lets the bubble's time pass.
func elapse(d time.Duration) { <-time.After(d) }

// TestCancelledOnTheWayOut: a call that ended with its link was never cancelled,
// and a server that ends sessions only when their calls have ended kept the link,
// and the gateway, from going.
func TestCancelledOnTheWayOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeRemote{session: "s"}
		f.call = func(_ http.ResponseWriter, r *http.Request, _ jsonrpc.Message) { <-r.Context().Done() }
		f.post = func(_ http.ResponseWriter, r *http.Request, m jsonrpc.Message) bool {
			if m.MethodName() == "notifications/cancelled" {
				select {
				case <-time.After(100 * time.Millisecond): // it arrives late
				case <-r.Context().Done():
					t.Error("the cancellation was cut off")
				}
			}
			return false
		}
		l := connectInBubble(t, f, dialFor("http://fake/mcp"))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := l.Do(ctx, toolCall(t, "x", `{}`, "")); !errors.Is(err, context.Canceled) {
			t.Errorf("the call ended with %v", err)
		}
		l.Close(t.Context())
		if told, _ := f.sent("notifications/cancelled"); len(told) != 1 {
			t.Errorf("told %v", told)
		}
	})
}
