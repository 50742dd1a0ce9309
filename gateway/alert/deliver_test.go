package alert

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t,
			Webhook{URL: "http://all/s3cret?k=s3cret", Headers: map[string]Secret{"Authorization": "Bearer s3cret"}},
			Webhook{URL: "http://some/", Events: []Event{ToolChanged, Recovered}},
		)
		all, some := w.receive("all", nil), w.receive("some", nil)
		since := time.Now()
		a := down(Error, "files")
		a.Reason, a.Stage, a.Gateway, a.Text = "exit status 3", "spawn", "home", "files is in error"
		w.Send(a)
		w.Send(Alert{Event: ToolChanged, Upstream: "files", State: "running", At: since, Tools: NewTools([]string{"x"}, nil, nil)})
		synctest.Wait()

		got := all.arrivals()
		if len(got) != 2 {
			t.Fatalf("%d requests, want 2", len(got))
		}
		stamp := since.Format(time.RFC3339Nano)
		want := fmt.Sprintf(`{"id":%q,"event":"error","upstream":"files","state":"error","reason":"exit status 3","stage":"spawn","at":%q,"down_since":%q,"gateway":"home","text":"files is in error"}`,
			got[0].alert.ID, stamp, stamp)
		if got[0].body != want {
			t.Errorf("body:\n got %s\nwant %s", got[0].body, want)
		}
		want = fmt.Sprintf(`{"id":%q,"event":"tool_changed","upstream":"files","state":"running","reason":"","stage":"","at":%q,"down_since":null,"gateway":"","text":"","tools":{"added":["x"],"removed":[],"changed":[],"added_count":1,"removed_count":0,"changed_count":0}}`,
			got[1].alert.ID, stamp)
		if got[1].body != want {
			t.Errorf("body:\n got %s\nwant %s", got[1].body, want)
		}
		if got[0].alert.ID == got[1].alert.ID || got[0].alert.ID == "" {
			t.Errorf("ids %q and %q", got[0].alert.ID, got[1].alert.ID)
		}
		for name, want := range map[string]string{
			"Content-Type": "application/json", "Authorization": "Bearer s3cret", "User-Agent": "interlock/1.2", "Idempotency-Key": got[0].alert.ID,
		} {
			if h := got[0].header.Get(name); h != want {
				t.Errorf("%s: %q, want %q", name, h, want)
			}
		}
		if e := some.events(); !slices.Equal(e, []string{"tool_changed files"}) {
			t.Errorf("the one that wants some got %q", e)
		}
		if n := w.count(Error, Delivered); n != 1 {
			t.Errorf("error was delivered %d times, want 1", n)
		}
	})
}

func TestRetries(t *testing.T) {
	after := func(code int, header string) func(int, http.ResponseWriter, *http.Request) {
		return func(n int, w http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				w.Header().Set("Retry-After", header)
				w.WriteHeader(code)
			}
		}
	}
	tooLong := time.Now().Add(100 * 365 * 24 * time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name     string
		handle   func(int, http.ResponseWriter, *http.Request)
		attempts int
		first    time.Duration // between the first attempt and the second, ± 20 %
		outcome  string
	}{
		{"fine", nil, 1, 0, Delivered},
		{"200 is as good as 204", status(200), 1, 0, Delivered},
		{"in trouble, then fine", status(500, 503, 200), 3, 5 * time.Second, Delivered},
		{"in trouble for good", status(500), 5, 5 * time.Second, Failed},
		{"too slow", status(408, 204), 2, 5 * time.Second, Delivered},
		{"too many", status(429, 204), 2, 5 * time.Second, Delivered},
		{"asks to wait", after(503, "60"), 2, time.Minute, Delivered},
		{"asks to wait for less", after(429, "1"), 2, 5 * time.Second, Delivered},
		{"asks to wait for too long", after(429, "10000000000"), 2, 2 * time.Minute, Delivered},
		{"asks to wait for too long, as a date", after(429, tooLong), 2, 2 * time.Minute, Delivered},
		{"asks for nonsense", after(429, "soon"), 2, 5 * time.Second, Delivered},
		{"refused", status(400), 1, 0, Failed},
		{"unknown", status(404), 1, 0, Failed},
		{"moved", func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/s3cret", http.StatusFound)
		}, 1, 0, Failed},
		{"moved to another host", func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://evil/s3cret", http.StatusTemporaryRedirect)
		}, 1, 0, Failed},
		{"moved on the same host", func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				http.Redirect(w, r, "/new", http.StatusPermanentRedirect)
			}
		}, 2, 0, Delivered},
		{"in a circle", func(_ int, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/", http.StatusPermanentRedirect)
		}, 4, 0, Failed},
		{"resets", func(n int, w http.ResponseWriter, _ *http.Request) {
			if n < 3 {
				panic(http.ErrAbortHandler)
			}
		}, 3, 5 * time.Second, Delivered},
		{"hangs", hangs, 5, 15 * time.Second, Failed},
		{"hangs at first", func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				hangs(n, w, r)
			}
		}, 2, 15 * time.Second, Delivered},
		{"slow, but not too slow", func(_ int, w http.ResponseWriter, _ *http.Request) {
			time.Sleep(9 * time.Second)
		}, 1, 0, Delivered},
		{"answers without an end", func(_ int, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusOK)
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		}, 1, 0, Delivered},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, Webhook{URL: "http://hook/s3cret"})
				r, evil := w.receive("hook", c.handle), w.receive("evil", nil)
				w.Send(down(Error, "files"))
				w.Send(down(Exhausted, "files"))
				w.Send(Alert{Event: ToolChanged})
				later(30 * time.Minute)

				var got []arrival
				for _, a := range r.arrivals() {
					if a.alert.Event == Error {
						got = append(got, a)
					}
				}
				if len(got) != c.attempts {
					t.Fatalf("%d attempts, want %d", len(got), c.attempts)
				}
				for _, a := range got {
					if a.body != got[0].body || a.header.Get("Idempotency-Key") != got[0].alert.ID {
						t.Errorf("an attempt differs: %s", a.body)
					}
				}
				if c.attempts > 1 {
					pause := got[1].after - got[0].after
					if pause < c.first*8/10 || pause > c.first*12/10 {
						t.Errorf("the second attempt came %v after the first, want %v", pause, c.first)
					}
				}
				if c.attempts == 5 { // with ten seconds each for one that hangs
					all := got[4].after - got[0].after - 4*(c.first-5*time.Second)
					if all < 90*time.Second || all > 150*time.Second {
						t.Errorf("five attempts took %v, want about two minutes", all)
					}
				}
				if n := w.count(Error, c.outcome); n != 1 {
					t.Errorf("%s %d times, want once: %v", c.outcome, n, w.counts)
				}
				if n := len(evil.arrivals()); n != 0 {
					t.Errorf("another host was told %d times", n)
				}
				if order := slices.Compact(r.events()); !slices.Equal(order, []string{"error files", "exhausted files", "tool_changed "}) {
					t.Errorf("they came as %q", order)
				}
			})
		})
	}
}

func TestNobodyThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Webhook{URL: "http://gone/s3cret"})
		w.Send(down(Error, "files"))
		later(30 * time.Minute)
		if n := w.count(Error, Failed); n != 1 {
			t.Errorf("failed %d times, want once", n)
		}
		if s := w.logged(); !strings.Contains(s, `level=WARN msg="alert not delivered" webhook=gone event=error upstream=files error="no host gone" attempts=5`) {
			t.Errorf("logged:\n%s", s)
		}
	})
}

// A receiver that hangs holds up its own alerts and nothing else: not who sends
// them, not the other receivers.
func TestAHangingReceiverDelaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Webhook{URL: "http://hangs/"}, Webhook{URL: "http://works/"})
		stuck, works := w.receive("hangs", hangs), w.receive("works", nil)
		for range 3 {
			w.Send(down(Error, "files"))
			w.Send(down(Recovered, "files"))
		}
		if took := time.Since(w.begun); took != 0 {
			t.Errorf("Send took %v", took)
		}
		synctest.Wait()
		if n := len(works.arrivals()); n != 6 {
			t.Errorf("the receiver that works got %d alerts at once, want 6", n)
		}
		if n := len(stuck.arrivals()); n != 1 {
			t.Errorf("%d requests to the one that hangs, want one at a time", n)
		}
	})
}

// What waits is bounded, the newest is kept, and the log has one line.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		w := start(t, Webhook{URL: "http://hook/", Timeout: time.Minute})
		r := w.receive("hook", func(n int, _ http.ResponseWriter, _ *http.Request) {
			if n == 1 {
				<-release
			}
		})
		const sent = maxQueue + 51
		for i := range sent {
			w.Send(down(Error, fmt.Sprint(i)))
			if i == 0 {
				synctest.Wait() // it is under way, and waits no more
			}
		}
		close(release)
		synctest.Wait()
		got := r.events()
		if len(got) != maxQueue+1 || got[0] != "error 0" || got[1] != "error 51" || got[maxQueue] != fmt.Sprint("error ", maxQueue+50) {
			t.Errorf("%d arrived: %q", len(got), got)
		}
		if n := w.count(Error, Dropped); n != 50 {
			t.Errorf("%d are counted as dropped, want 50", n)
		}
		if n := strings.Count(w.logged(), "alerts are dropped"); n != 1 {
			t.Errorf("logged %d times, want once:\n%s", n, w.logged())
		}
	})
}

func TestTheEnd(t *testing.T) {
	for _, c := range []struct {
		name    string
		handle  func(int, http.ResponseWriter, *http.Request)
		kill    bool
		took    time.Duration
		arrived int
		outcome string
		times   int
	}{
		{"one more attempt for each", status(500), false, 0, 4, Failed, 3},
		{"the receiver is back", status(500, 204), false, 0, 4, Delivered, 3},
		{"one that hangs gets two seconds", hangs, false, flushTime, 1, Dropped, 3},
		{"at once", hangs, true, 0, 1, Dropped, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, Webhook{URL: "http://hook/"}, Webhook{URL: "http://held/", MinDown: time.Hour})
				r, held := w.receive("hook", c.handle), w.receive("held", nil)
				for _, name := range []string{"a", "b", "c"} {
					w.Send(down(Error, name))
				}
				later(time.Second)
				if c.kill {
					w.Kill()
				}
				begun := time.Now()
				w.stop()
				if took := time.Since(begun); took != c.took {
					t.Errorf("the end took %v, want %v", took, c.took)
				}
				if n := len(r.arrivals()); n != c.arrived {
					t.Errorf("%d attempts in all, want %d", n, c.arrived)
				}
				if n := w.count(Error, c.outcome); n != c.times {
					t.Errorf("%s %d times, want %d: %v", c.outcome, n, c.times, w.counts)
				}
				if n := len(held.arrivals()); n != 0 || w.count(Error, Suppressed) != 3 {
					t.Errorf("%d that were held back arrived: %v", n, w.counts)
				}
			})
		})
	}
}

// A new configuration applies to what is sent from then on, and to the next
// attempt of what waits.
func TestApply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := start(t, Webhook{URL: "http://goes/"}, Webhook{URL: "http://stays/", Headers: map[string]Secret{"X": "1"}})
		goes, stays := w.receive("goes", status(500)), w.receive("stays", status(204))
		comes := w.receive("comes", nil)
		w.Send(down(Error, "a"))
		later(time.Second)
		w.Apply(Config{[]Webhook{{URL: "http://comes/"}, {URL: "http://stays/", Headers: map[string]Secret{"X": "2"}}}})
		w.Send(down(Recovered, "a"))
		later(time.Hour)
		if n := len(goes.arrivals()); n != 1 || w.count(Error, Dropped) != 1 {
			t.Errorf("the one that is gone was tried %d times: %v", n, w.counts)
		}
		if e := comes.events(); len(e) != 0 {
			t.Errorf("the new one knows nothing of the outage and got %q", e)
		}
		got := stays.arrivals()
		if len(got) != 2 || got[0].header.Get("X") != "1" || got[1].header.Get("X") != "2" || got[1].alert.Event != Recovered {
			t.Errorf("the one that stays got %+v", got)
		}
		w.Apply(Config{})
		w.Send(down(Error, "b"))
		later(time.Hour)
		if n := len(comes.arrivals()) + len(stays.arrivals()); n != 2 {
			t.Errorf("nobody is configured, and %d arrived", n-2)
		}
	})
}
