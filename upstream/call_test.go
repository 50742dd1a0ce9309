package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// tool returns a tools/call.
func tool(name string) *upstream.Call {
	m, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"` + name + `"}}`))
	if err != nil {
		panic(err)
	}
	return &upstream.Call{Request: upstream.Request{Message: m}, Method: "tools/call"}
}

type script = func(ctx context.Context, l *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error)

// calls makes a script of what tools/call does.
func calls(f func(ctx context.Context, n int64, r *upstream.Request) (json.RawMessage, error)) script {
	var n atomic.Int64
	return func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		return f(ctx, n.Add(1), r)
	}
}

func fails(e upstream.TransportError) script {
	return calls(func(context.Context, int64, *upstream.Request) (json.RawMessage, error) { return nil, &e })
}

// refusal makes a call that is expected to fail.
func (b *bench) refusal(c *upstream.Call) *upstream.CallError {
	b.t.Helper()
	_, err := b.up("a").Call(b.t.Context(), c)
	var e *upstream.CallError
	if !errors.As(err, &e) {
		b.t.Fatalf("got %v, want a CallError", err)
	}
	return e
}

// TestWhatTheBreakerCounts has a row for each of faults.md's table: the sixth
// call after five like it finds the breaker open, or not.
func TestWhatTheBreakerCounts(t *testing.T) {
	no, unknown := upstream.ExecutedNo, upstream.ExecutedUnknown
	for _, c := range []struct {
		name  string
		e     upstream.TransportError
		opens bool
		sent  int // how often each of the five was sent
	}{
		{"dial", upstream.TransportError{Executed: no, Reason: "dial"}, true, 3},
		{"reset", upstream.TransportError{Executed: unknown, Reason: "reset"}, true, 1},
		{"write deadline", upstream.TransportError{Executed: unknown, Reason: "write"}, true, 1},
		{"502", upstream.TransportError{Executed: unknown, Reason: "http_status", Status: 502}, true, 1},
		{"504", upstream.TransportError{Executed: unknown, Reason: "http_status", Status: 504}, true, 1},
		{"503", upstream.TransportError{Executed: unknown, Reason: "http_status", Status: 503}, true, 1},
		{"500 on one tool", upstream.TransportError{Executed: unknown, Reason: "http_status", Status: 500}, false, 1},
		{"404", upstream.TransportError{Executed: no, Reason: "http_status", Status: 404}, false, 3},
		{"401", upstream.TransportError{Executed: no, Reason: "unauthorized", Status: 401}, false, 1},
		{"403", upstream.TransportError{Executed: no, Reason: "unauthorized", Status: 403}, false, 1},
		{"429", upstream.TransportError{Executed: no, Reason: "rate_limited", Status: 429}, false, 1},
		{"oversized", upstream.TransportError{Executed: unknown, Reason: "too_large"}, false, 1},
		{"malformed", upstream.TransportError{Executed: unknown, Reason: "malformed"}, false, 1},
		{"session", upstream.TransportError{Executed: no, Reason: "session", Status: 404}, false, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := new(linktest.Dialer)
				s := d.Server("a")
				s.OnRequest = fails(c.e)
				b := begin(t, d, command("a"))
				for i := range 5 {
					e := b.refusal(tool("x"))
					if e.Reason == "breaker_open" {
						break // its retries opened it
					}
					if e.Executed != c.e.Executed || e.Reason != c.e.Reason {
						t.Errorf("call %d: %+v", i, e)
					}
					if i == 0 && s.Asked("tools/call") != c.sent {
						t.Errorf("sent %d times, want %d", s.Asked("tools/call"), c.sent)
					}
				}
				if c.opens { // at once, before the owner has heard of it
					n := s.Asked("tools/call")
					if e := b.refusal(tool("x")); e.Reason != "breaker_open" || s.Asked("tools/call") != n {
						t.Errorf("the sixth call: %+v", e)
					}
				}
				synctest.Wait()
				if st := b.up("a").Status(); (st.State == upstream.Errored) != c.opens {
					t.Errorf("it is %s, breaker %s", st.State, st.Breaker)
				}
			})
		})
	}
}

func TestFiveHundredsOnTwoTools(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = fails(upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "http_status", Status: 500})
		b := begin(t, d, command("a"))
		for i := range 9 {
			b.want("a", upstream.Running)
			b.refusal(tool([]string{"x", "y"}[i%2]))
		}
		b.want("a", upstream.Errored) // four that were the tool's, perhaps, and five that were not
	})
}

func TestAnswersAreSuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = calls(func(_ context.Context, n int64, _ *upstream.Request) (json.RawMessage, error) {
			switch n % 5 {
			case 0:
				return nil, &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"}
			case 1:
				return nil, &upstream.ServerError{Code: -32603, Message: "no"}
			}
			return json.RawMessage(`{"isError":true,"content":[]}`), nil
		})
		b := begin(t, d, command("a"))
		for range 200 {
			m, err := b.up("a").Call(t.Context(), tool("x"))
			if err == nil && m.Kind != jsonrpc.Result && m.Kind != jsonrpc.Failure {
				t.Fatalf("kind %v", m.Kind)
			}
		}
		b.want("a", upstream.Running) // one in five fails, never two in a row
	})
}

// TestHalfFailing is F26: it opens by the ratio, and no call gets through while
// it is open.
func TestHalfFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		var b *bench
		var whileOpen atomic.Int64
		s.OnRequest = calls(func(_ context.Context, n int64, _ *upstream.Request) (json.RawMessage, error) {
			if b.up("a").Status().State != upstream.Running {
				whileOpen.Add(1)
			}
			if n%2 == 0 {
				return nil, &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"}
			}
			return nil, nil
		})
		b = begin(t, d, command("a"))
		opened := false
		for range 10 * 60 * 10 {
			time.Sleep(100 * time.Millisecond)
			_, err := b.up("a").Call(t.Context(), tool("x"))
			var e *upstream.CallError
			if errors.As(err, &e) && e.Executed == upstream.ExecutedNo {
				opened = true
				if e.RetryAfter <= 0 || !strings.Contains(e.Error(), "not executed") {
					t.Fatalf("%+v", e)
				}
			}
		}
		if !opened || whileOpen.Load() != 0 {
			t.Errorf("opened %v, %d calls while open", opened, whileOpen.Load())
		}
		if n := s.Asked("tools/call"); n > 60 {
			t.Errorf("%d calls got through in ten minutes", n)
		}
	})
}

func TestIdempotentIsSentOnceMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.OnRequest = calls(func(_ context.Context, n int64, _ *upstream.Request) (json.RawMessage, error) {
			if n == 1 {
				s.Last().Lose() // the process ends in the middle
			}
			return nil, nil
		})
		b := begin(t, d, command("a"))
		c := tool("x")
		c.Idempotent = true
		seen := new(witness)
		c.Witness = seen
		if _, err := b.up("a").Call(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(seen.events, " "); !strings.HasPrefix(got, "retry") {
			t.Errorf("events %q", got)
		}
		s.Script(func(s *linktest.Server) {
			s.OnRequest = calls(func(context.Context, int64, *upstream.Request) (json.RawMessage, error) {
				s.Last().Lose()
				return nil, nil
			})
		})
		if e := b.refusal(tool("x")); e.Executed != upstream.ExecutedUnknown || e.Reason != "exit" {
			t.Errorf("%+v", e)
		}
	})
}

func TestRateLimitIsAGate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		var times []time.Time
		var mu sync.Mutex
		d.Server("a").OnRequest = calls(func(_ context.Context, n int64, _ *upstream.Request) (json.RawMessage, error) {
			mu.Lock()
			defer mu.Unlock()
			times = append(times, time.Now())
			if n == 1 {
				return nil, &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "rate_limited", Status: 429, RetryAfter: time.Second}
			}
			return nil, nil
		})
		b := begin(t, d, command("a"))
		over := make(chan error)
		go func() {
			_, err := b.up("a").Call(t.Context(), tool("x"))
			over <- err
		}()
		synctest.Wait()
		if e := b.refusal(tool("y")); e.Reason != "rate_limited" || e.RetryAfter != time.Second {
			t.Errorf("%+v", e)
		}
		if err := <-over; err != nil {
			t.Error(err)
		}
		if len(times) != 2 || times[1].Sub(times[0]) < time.Second {
			t.Errorf("sent at %v", times)
		}
	})
}

func TestTimeoutIsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = calls(func(ctx context.Context, _ int64, r *upstream.Request) (json.RawMessage, error) {
			for range 100 {
				if err := linktest.Sleep(ctx, 9*time.Minute); err != nil {
					return nil, err
				}
				m, _ := jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","method":"notifications/progress","params":{}}`))
				r.Peer.Notified(m)
			}
			return nil, nil
		})
		b := begin(t, d, command("a"))
		begun := time.Now()
		if e := b.refusal(tool("x")); e.Reason != "timeout" || time.Since(begun) != time.Hour || e.Executed != upstream.ExecutedUnknown {
			t.Errorf("%+v after %v, want a timeout at max_call_timeout", e, time.Since(begun))
		}
		b.want("a", upstream.Running) // pings are answered: it is the tool
		d.Server("a").Script(func(s *linktest.Server) {
			s.OnRequest = calls(func(ctx context.Context, _ int64, _ *upstream.Request) (json.RawMessage, error) {
				<-ctx.Done()
				return nil, nil
			})
		})
		begun = time.Now()
		if e := b.refusal(tool("x")); e.Reason != "timeout" || time.Since(begun) != 10*time.Minute {
			t.Errorf("%+v after %v", e, time.Since(begun))
		}
	})
}

func TestTimeoutsOfADeafServerOpenTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		c := command("a")
		c.CallTimeout, c.Health.Interval = 2*time.Second, time.Hour
		b := begin(t, d, c)
		d.Server("a").Script(func(s *linktest.Server) {
			s.OnRequest = func(ctx context.Context, _ *linktest.Link, _ string, _ *upstream.Request) (json.RawMessage, error) {
				<-ctx.Done()
				return nil, nil
			}
		})
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() { b.refusal(tool("x")) })
		}
		wg.Wait()
		b.want("a", upstream.Running)
		time.Sleep(6 * time.Second) // the probe's deadline
		b.want("a", upstream.Errored)
	})
}

func TestClientCancelsCountNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = calls(func(ctx context.Context, _ int64, _ *upstream.Request) (json.RawMessage, error) {
			<-ctx.Done()
			return nil, nil
		})
		b := begin(t, d, command("a"))
		left := errors.New("the client left")
		for range 100 {
			ctx, cancel := context.WithCancelCause(t.Context())
			go func() { synctest.Wait(); cancel(left) }()
			if _, err := b.up("a").Call(ctx, tool("x")); !errors.Is(err, left) {
				t.Fatalf("got %v", err)
			}
		}
		if s := b.want("a", upstream.Running); s.InFlight != 0 || s.Queued != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// witness keeps what it is told of a call.
type witness struct {
	mark   upstream.Mark
	events []string
	delays []upstream.Delay
	ties   []upstream.Tie
}

func (w *witness) Event(kind string)       { w.events = append(w.events, kind) }
func (w *witness) Sent(uint64)             {}
func (w *witness) Waited(d upstream.Delay) { w.delays = append(w.delays, d) }
func (w *witness) Tied(t upstream.Tie)     { w.ties = append(w.ties, t) }
func (w *witness) Mark() upstream.Mark     { return w.mark }
