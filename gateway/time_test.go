package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// A call that is silent for 15 seconds becomes a stream, whose comments keep
// whatever is in between from cutting the connection. Only clients that know it
// get an event without data.
func TestSilentCallsBecomeStreams(t *testing.T) {
	for _, c := range []struct{ version, begins string }{
		{"2025-11-25", "id: "}, {"2025-06-18", ":\n"}, {"2025-03-26", ":\n"}, {"2024-11-05", ":\n"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
				time.Sleep(50 * time.Second) // the bubble's clock
				return json.RawMessage(`{"slow":true}`), nil
			})
			client := r.connectAt("/mcp", c.version, `{}`)
			begun := time.Now()
			resp, err := r.web.Do(client.request(t.Context(), "POST", calls("1", "a__do", "{}")))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if took := time.Since(begun); took != 15*time.Second {
				t.Errorf("%s: the stream began after %v", c.version, took)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(body), c.begins) {
				t.Errorf("%s: the stream begins with %.40q, want %q", c.version, body, c.begins)
			}
			if n := strings.Count(string(body), ": keep-alive"); n != 2 {
				t.Errorf("%s: %d comments in 35 seconds", c.version, n)
			}
			if n := strings.Count(string(body), `data: {"jsonrpc":"2.0","id":1,"result":{"slow":true}}`); n != 1 {
				t.Errorf("%s: answered %d times: %s", c.version, n, body)
			}
		})
	}
}

// F22: a client that has an event id may come back for 30 seconds, one that has
// none may not. Once the answer of one that stayed away too long was an empty
// stream, and a call without any event id ran on for 30 seconds.
func TestLostStreams(t *testing.T) {
	for _, c := range []struct {
		name, version string
		progress      bool
		away          time.Duration
		want          string
		cancelled     time.Duration // after the connection went; 0 for never
	}{
		{"back in time", "2025-06-18", true, 29 * time.Second, `"result":{"late":true}`, 0},
		{"back too late", "2025-06-18", true, 31 * time.Second, `"reason":"client_gone","upstream":"a","executed":"unknown"`, 30 * time.Second},
		{"primed", "2025-11-25", false, 29 * time.Second, `"result":{"late":true}`, 0},
		{"without an event id", "2025-06-18", false, time.Second, "", time.Nanosecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			var lost, ended time.Time
			r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
				if c.progress {
					q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
				}
				select {
				case <-time.After(50 * time.Second):
					return json.RawMessage(`{"late":true}`), nil
				case <-ctx.Done():
					ended = time.Now()
					return nil, context.Cause(ctx)
				}
			})
			client := r.connectAt("/mcp", c.version, `{}`)
			ctx, cancel := context.WithCancel(t.Context())
			events := client.events(ctx, client.request(ctx, "POST", calls("1", "a__do", "{}")))
			time.Sleep(16 * time.Second)
			cancel()
			lost = time.Now()
			last := ""
			for e := range events {
				last = e.ID
			}
			time.Sleep(c.away)
			synctest.Wait()
			if c.cancelled == 0 != ended.IsZero() || !ended.IsZero() && ended.Sub(lost).Round(time.Second) != c.cancelled.Round(time.Second) {
				t.Errorf("%s: cancelled after %v", c.name, ended.Sub(lost))
			}
			if c.want == "" {
				if last != "" {
					t.Errorf("%s: an event id was sent: %q", c.name, last)
				}
				return
			}
			again := client.request(t.Context(), "GET", "")
			again.Header.Set("Last-Event-ID", last)
			if got := client.next(client.events(t.Context(), again)); !strings.Contains(got, c.want) {
				t.Errorf("%s: got %s, want %s", c.name, got, c.want)
			}
		})
	}
}

// A client may come back while its first connection is still there, as far as
// the gateway knows.
func TestResumeWhileAttached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tool(t, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
			time.Sleep(50 * time.Second)
			return json.RawMessage(`{"late":true}`), nil
		})
		c := r.connect(`{}`)
		first := c.events(t.Context(), c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
		last := (<-first).ID
		ctx, cancel := context.WithCancel(t.Context())
		again := c.request(ctx, "GET", "")
		again.Header.Set("Last-Event-ID", last)
		second := c.events(ctx, again)
		cancel() // and once more, from the second
		for range second {
		}
		again = c.request(t.Context(), "GET", "")
		again.Header.Set("Last-Event-ID", last)
		third := c.events(t.Context(), again)
		if got := c.next(third); !strings.Contains(got, `"late":true`) {
			t.Errorf("the newest connection got %q", got)
		}
		if got := c.next(first); got != "" {
			t.Errorf("the first connection got %q", got)
		}
	})
}

// A session ends when nothing used it for session_timeout. A call or an open
// stream uses it. Once a client whose call took longer lost its session after it.
func TestSessionTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer("do")
		d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" {
				time.Sleep(2 * time.Hour)
			}
			return nil, nil
		}
		cfg := settings(t, "a")
		cfg.Server.SessionTimeout = time.Hour
		cfg.Upstreams[0].CallTimeout, cfg.Upstreams[0].MaxCallTimeout = 3*time.Hour, 3*time.Hour
		r := start(t, cfg, d).running()
		idle, listening, calling := r.connect(`{}`), r.connect(`{}`), r.connect(`{}`)
		ctx, cancel := context.WithCancel(t.Context())
		open := listening.listen(ctx)
		const ping = `{"jsonrpc":"2.0","id":1,"method":"ping"}`
		time.Sleep(59 * time.Minute)
		if got := idle.post(ping).status; got != 200 {
			t.Errorf("after 59 minutes: %d", got)
		}
		time.Sleep(time.Hour + time.Minute)
		if got := idle.post(ping).status; got != 404 {
			t.Errorf("an hour later: %d", got)
		}
		if got := calling.post(ping).status; got != 404 {
			t.Errorf("two hours without anything: %d", got)
		}
		cancel()
		for range open {
		}
		time.Sleep(30 * time.Minute)
		if got := listening.post(ping).status; got != 200 {
			t.Errorf("the session of a stream that was open until now: %d", got)
		}
		calling = r.connect(`{}`)
		if got := calling.post(calls("1", "a__do", "{}")); !strings.Contains(got.body, `"result"`) {
			t.Fatalf("the long call: %s", got.body)
		}
		time.Sleep(time.Minute)
		if got := calling.post(ping).status; got != 200 {
			t.Errorf("a minute after a long call: %d", got)
		}
	})
}

// One remote that does not answer logging/setLevel does not keep the client
// waiting for ever.
func TestSetLevelDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer("do")
		d.Server("b").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "logging/setLevel" {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
			return nil, nil
		}
		d.Server("b").Tools = []string{"do"}
		r := start(t, settings(t, "a=http", "b=http"), d).running()
		c := r.connect(`{}`)
		c.post(calls("1", "a__do", "{}"))
		c.post(calls("1", "b__do", "{}"))
		begun := time.Now()
		if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`); !strings.Contains(got.body, `"result":{}`) {
			t.Errorf("answered %s", got.body)
		}
		if took := time.Since(begun); took > answerTimeout {
			t.Errorf("after %v", took)
		}
		if n := d.Server("a").Asked("logging/setLevel"); n != 1 {
			t.Errorf("the other server was told %d times", n)
		}
	})
}

// The life of an upstream under one client session: it runs, dies, is tried for an
// hour, given up, unlisted after list_grace, and comes back.
func TestRecoveryUnderOneSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer("do")
		cfg := settings(t, "a", "b")
		d.Server("b").Tools = []string{"other"}
		cfg.Upstreams[0].ListGrace = 10 * time.Minute
		r := start(t, cfg, d).running()
		c := r.connect(`{}`)
		events := c.listen(t.Context())
		lists := func() string { return c.post(`{"jsonrpc":"2.0","id":9,"method":"tools/list"}`).body }

		d.Server("a").Script(func(s *linktest.Server) {
			s.OnDial = func(context.Context, int, *upstream.Dial) error {
				return &upstream.StartError{Stage: "spawn", Err: errors.New("no such file")}
			}
		})
		d.Server("a").Last().Lose()
		time.Sleep(9 * time.Minute)
		if !strings.Contains(lists(), "a__do") {
			t.Error("unlisted before list_grace")
		}
		for range 50 {
			time.Sleep(time.Minute + 13*time.Second)
			if strings.Contains(lists(), "a__do") {
				t.Fatal("listed after list_grace, while it was tried again")
			}
			if !strings.Contains(lists(), "b__other") {
				t.Fatal("the other is gone")
			}
			got := c.post(calls("1", "a__do", "{}")).body
			if !strings.Contains(got, `"executed":"no"`) || strings.Count(strings.ToLower(got), "executed") != 2 {
				t.Fatalf("what is not listed answers %s", got)
			}
		}
		if st := r.set.Upstream("a").Status(); !st.Exhausted {
			t.Errorf("not exhausted after an hour: %+v", st)
		}
		if got := c.next(events); !strings.Contains(got, "tools/list_changed") {
			t.Errorf("at the unlisting the client heard %s", got)
		}
		d.Server("a").Script(func(s *linktest.Server) { s.OnDial = nil })
		time.Sleep(11 * time.Minute)
		if got := c.post(calls("1", "a__do", "{}")).body; !strings.Contains(got, `"result"`) || strings.Contains(got, "isError") {
			t.Errorf("back again it answers %s", got)
		}
		if !strings.Contains(lists(), "a__do") {
			t.Error("not listed again")
		}
		if got := c.next(events); !strings.Contains(got, "tools/list_changed") {
			t.Errorf("at its return the client heard %s", got)
		}
	})
}

// goodbye leaves crypto/tls the time that it takes to close a connection whose other
// end does not read, after all else in the bubble has ended.
func goodbye(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { time.Sleep(time.Minute) })
}

// F25: a client that reads nothing is cut off after the write deadline, and holds
// a bounded amount of memory until then; what it asked is cancelled in the end.
func TestClientsThatDoNotRead(t *testing.T) {
	for _, over := range overs {
		t.Run(over, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { clientThatDoesNotRead(t, over) }) })
	}
}

func clientThatDoesNotRead(t *testing.T, over string) {
	t.Helper()
	goodbye(t)
	ended := make(chan error, 1)
	r := toolOver(t, over, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
		for i := range 50_000 { // F24, too
			q.Peer.Notified(serverMessage(t, fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":%d,"message":%q}}`, i, strings.Repeat("x", 100))))
		}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	})
	c := r.connect(`{}`)
	begun := time.Now()
	resp, err := r.web.Do(c.request(t.Context(), "POST", calls("1", "a__do", "{}")))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	time.Sleep(time.Second)
	held := 0
	for _, s := range r.sessions.all() {
		for _, st := range s.streams {
			held += st.kept()
		}
	}
	if held == 0 || held > maxUnsent+maxReplay {
		t.Errorf("%d bytes are held for it", held)
	}
	if err := <-ended; !errors.Is(err, errClientGone) {
		t.Errorf("its call ended with %v", err)
	}
	most := writeTimeout + resumeWindow + deadlineSlack + time.Second
	if over == "http/1.1" {
		most += 5*time.Second + deadlineSlack // in which crypto/tls says goodbye
	}
	if took := time.Since(begun); took < writeTimeout+resumeWindow || took > most {
		t.Errorf("after %v, want the write deadline and the window to resume", took)
	}
}

// A large answer goes to a client that reads slowly but steadily, and not to one
// that is slower than that.
func TestSlowReaders(t *testing.T) {
	for i := range 2 * len(overs) {
		stream, over := i%2 == 1, overs[i/2]
		for _, c := range []struct {
			pause time.Duration // for 32 KiB
			whole bool
		}{{9 * time.Second, true}, {40 * time.Second, false}} {
			synctest.Test(t, func(t *testing.T) {
				goodbye(t)
				big := strings.Repeat("x", 1<<20)
				r := toolOver(t, over, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
					if stream {
						q.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
					}
					return json.RawMessage(`{"big":"` + big + `"}`), nil
				})
				client := r.connect(`{}`)
				resp, err := r.web.Do(client.request(t.Context(), "POST", calls("1", "a__do", "{}")))
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				n, buf := 0, make([]byte, 32<<10)
				for {
					time.Sleep(c.pause)
					var got int
					if got, err = io.ReadFull(resp.Body, buf); err != nil {
						n += got
						break
					}
					n += got
				}
				if whole := n > len(big); whole != c.whole {
					t.Errorf("%s stream %v, %v for 32 KiB: %d bytes, then %v", over, stream, c.pause, n, err)
				}
			})
		}
	}
}
