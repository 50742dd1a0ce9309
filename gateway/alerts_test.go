package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// byUpstream puts alerts in the order of their upstreams, and leaves those of each in
// theirs.
func byUpstream(alerts []string) []string {
	sorted := slices.Clone(alerts)
	slices.SortStableFunc(sorted, func(a, b string) int {
		of, _, _ := strings.Cut(a, " ")
		other, _, _ := strings.Cut(b, " ")
		return strings.Compare(of, other)
	})
	return sorted
}

// alerted returns the alerts so far as "upstream event".
func alerted(g *Gateway) []string {
	var out []string
	list, _ := g.Events(0)
	for _, e := range list {
		if e.Kind == "alert" {
			out = append(out, e.Upstream+" "+e.Alert)
		}
	}
	return out
}

var errGone = &upstream.StartError{Stage: "spawn", Err: errors.New("gone")}

// fails makes every dial of a server fail, or succeed again.
func fails(s *linktest.Server, err error) {
	s.Script(func(s *linktest.Server) {
		s.OnDial = func(context.Context, int, *upstream.Dial) error { return err }
	})
}

// One alert for each change: not for each attempt, not for what waits for another.
func TestAlertsOfAnOutage(t *testing.T) {
	type world struct {
		*rig
		a, web *linktest.Server
	}
	for _, c := range []struct {
		name   string
		script func(w *world)
		want   []string
		change func(u *upstream.Config) // of a, nil for none
	}{
		{"no outage", func(*world) { time.Sleep(time.Hour) }, nil, nil},
		{"it comes back at once", func(w *world) {
			w.a.Last().Lose()
			time.Sleep(time.Minute)
		}, []string{"a breaker_opened", "a error", "a breaker_closed", "a recovered"}, nil},
		{"attempts that fail", func(w *world) {
			fails(w.a, errGone)
			w.a.Last().Lose()
			time.Sleep(8 * time.Second) // two of them
			fails(w.a, nil)
			time.Sleep(time.Hour)
		}, []string{"a breaker_opened", "a error", "a breaker_closed", "a recovered"}, nil},
		{"attempts that are used up, and an operator", func(w *world) {
			fails(w.a, errGone)
			w.a.Last().Lose()
			time.Sleep(time.Hour)
			if err := w.set.Upstream("a").Restart(w.t.Context()); err == nil {
				w.t.Error("the restart succeeded")
			}
			time.Sleep(time.Hour)
			fails(w.a, nil)
			time.Sleep(time.Hour)
		}, []string{
			"a breaker_opened", "a error", "a exhausted",
			"a exhausted", // the operator cleared the count
			"a breaker_closed", "a recovered",
		}, nil},
		{
			"no attempts at all, and an operator",
			func(w *world) {
				fails(w.a, errGone)
				w.a.Last().Lose()
				time.Sleep(65 * time.Minute) // between two attempts
				if err := w.set.Upstream("a").Restart(w.t.Context()); err == nil {
					w.t.Error("the restart succeeded")
				}
				time.Sleep(time.Hour)
			},
			[]string{"a breaker_opened", "a error", "a exhausted", "a exhausted"},
			func(u *upstream.Config) { u.Restart.MaxAttempts = 0 },
		},
		{"stopped by hand and started again", func(w *world) {
			u := w.set.Upstream("a")
			fails(w.a, errGone)
			w.a.Last().Lose()
			time.Sleep(8 * time.Second)
			_ = u.Stop(w.t.Context())
			if err := u.Start(w.t.Context()); err == nil {
				w.t.Error("the start succeeded")
			}
			time.Sleep(time.Second)
			_ = u.Stop(w.t.Context())
			fails(w.a, nil)
			if err := u.Start(w.t.Context()); err != nil {
				w.t.Error(err)
			}
		}, []string{
			"a breaker_opened", "a error", "a breaker_closed",
			"a breaker_opened", "a error", "a breaker_closed",
			"a recovered",
		}, nil},
		{"orders alone", func(w *world) {
			u := w.set.Upstream("a")
			_ = u.Restart(w.t.Context())
			_ = u.Stop(w.t.Context())
			_ = u.Start(w.t.Context())
		}, nil, nil},
		{"what waits for it is told of only for itself", func(w *world) {
			_ = w.set.Upstream("web").Stop(w.t.Context())
			fails(w.a, errGone)
			w.a.Last().Lose()
			time.Sleep(time.Second)
			if err := w.set.Upstream("web").Start(w.t.Context()); err == nil {
				w.t.Error("web started without a")
			}
			time.Sleep(time.Hour)
			fails(w.web, errGone)
			fails(w.a, nil)
			time.Sleep(11 * time.Minute)
			fails(w.web, nil)
			time.Sleep(11 * time.Minute)
		}, []string{
			"a breaker_opened", "a error", "a exhausted", "a breaker_closed", "a recovered",
			"web breaker_opened", "web error", "web exhausted", "web breaker_closed", "web recovered",
		}, nil},
		{"removed during an outage and added again", func(w *world) {
			fails(w.a, errGone)
			w.a.Last().Lose()
			time.Sleep(8 * time.Second)
			cfg := w.cfg.Load()
			less := *cfg
			less.Upstreams = nil
			if _, err := w.Apply(w.t.Context(), &less); err != nil {
				w.t.Error(err)
			}
			time.Sleep(time.Second)
			fails(w.a, nil)
			if _, err := w.Apply(w.t.Context(), cfg); err != nil {
				w.t.Error(err)
			}
			time.Sleep(time.Minute)
		}, []string{"a breaker_opened", "a error", "a breaker_closed"}, nil},
		{"tools that change", func(w *world) {
			w.a.Script(func(s *linktest.Server) { s.Tools = []string{"do", "more"} })
			w.a.Last().Say("notifications/tools/list_changed")
			time.Sleep(time.Minute)
			w.a.Last().Say("notifications/tools/list_changed") // as before
			time.Sleep(time.Minute)
		}, []string{"a tool_changed"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := settings(t, "a", "web")
				cfg.Upstreams[1].DependsOn = []upstream.Dependency{{On: "a", Condition: upstream.ConditionRunning}}
				if c.change != nil {
					c.change(&cfg.Upstreams[0])
				}
				d := dialer("do")
				r := start(t, cfg, d).running()
				c.script(&world{r, d.Server("a"), d.Server("web")})
				synctest.Wait()
				// What two upstreams do in the same moment has no order.
				got, want := byUpstream(alerted(r.Gateway)), byUpstream(c.want)
				if !slices.Equal(got, want) {
					t.Errorf("alerts:\n got %q\nwant %q", got, want)
				}
			})
		})
	}
}

// hook is a receiver on a real listener.
type hook struct {
	*httptest.Server
	got chan alert.Alert
}

func newHook(t *testing.T, answer func(w http.ResponseWriter, r *http.Request)) *hook {
	t.Helper()
	h := &hook{got: make(chan alert.Alert, 100)}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var a alert.Alert
		if err == nil {
			err = json.Unmarshal(body, &a)
		}
		if err != nil {
			t.Errorf("a webhook got %q: %v", body, err)
		}
		h.got <- a
		answer(w, r)
	}))
	t.Cleanup(h.Close)
	return h
}

// Through the whole gateway and a real network: one receiver hangs, one refuses,
// and the third has everything, while the upstream goes on.
func TestWebhooks(t *testing.T) {
	release := make(chan struct{})
	hangs := newHook(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	refuses := newHook(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	works := newHook(t, func(http.ResponseWriter, *http.Request) {})
	defer close(release)

	tel, err := telemetry.Start(t.Context(), telemetry.Defaults(), telemetry.Resource{})
	if err != nil {
		t.Fatal(err)
	}
	tel.MetricsHandler()
	cfg := settings(t, "a")
	cfg.Server.Name = "home"
	cfg.Upstreams[0].Restart.Delay = 10 * time.Millisecond
	cfg.Alerts.Webhooks = []alert.Webhook{
		{URL: alert.URL(hangs.URL + "/s3cret")},
		{URL: alert.URL(refuses.URL + "/s3cret"), Events: []alert.Event{alert.Error, alert.Recovered}},
		{URL: alert.URL(works.URL + "/s3cret")},
	}
	d := dialer("do")
	a := d.Server("a")
	var log lockedBuilder
	r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel, Log: slog.New(slog.NewTextHandler(&log, nil))}).running()
	a.Script(func(s *linktest.Server) {
		s.Tools = []string{"do", "more"}
		s.OnDial = func(_ context.Context, n int, _ *upstream.Dial) error {
			if n == 2 {
				return errGone
			}
			return nil
		}
	})
	began := time.Now()
	a.Last().Lose()

	want := []struct {
		event               alert.Event
		state, stage, text  string
		outage, recoverable bool
	}{
		{alert.BreakerOpened, "error", "running", "the circuit breaker of a opened: it gets no calls", true, false},
		{alert.Error, "error", "running", "a is in error at stage running: connection lost: exit: signal: killed; it is restarted at once", true, false},
		{alert.ToolChanged, "starting", "", "a lists other tools: 1 added", false, false},
		{alert.BreakerClosed, "running", "spawn", "the circuit breaker of a closed: it gets calls again", true, false},
		{alert.Recovered, "running", "spawn", "a is running again after 0s", true, true},
	}
	for _, c := range want {
		got := <-works.got
		if i := strings.Index(got.Text, " after "); c.recoverable && i > 0 {
			got.Text = got.Text[:i] + " after 0s"
		}
		if got.Event != c.event || got.State != c.state || got.Stage != c.stage || got.Text != c.text || got.Upstream != "a" || got.Gateway != "home" {
			t.Errorf("got %+v\nwant %+v", got, c)
		}
		if c.outage != (got.DownSince != nil) || c.outage && got.DownSince.Before(began) || got.At.Before(began) {
			t.Errorf("%s: at %v, down since %v", got.Event, got.At, got.DownSince)
		}
		if c.event == alert.ToolChanged && (got.Tools == nil || !slices.Equal(got.Tools.Added, []string{"more"})) {
			t.Errorf("tools: %+v", got.Tools)
		}
	}
	if got := <-hangs.got; got.Event != alert.BreakerOpened {
		t.Errorf("the one that hangs got %+v", got)
	}
	for _, want := range []alert.Event{alert.Error, alert.Recovered} {
		if got := <-refuses.got; got.Event != want {
			t.Errorf("the one that refuses got %+v, want %s", got, want)
		}
	}
	r.running()
	r.Kill()
	r.stop()
	shows(t, "at the end", tel, map[string]string{
		`interlock_alerts_sent_total{event="error",outcome="logged"}`:     "1",
		`interlock_alerts_sent_total{event="error",outcome="delivered"}`:  "1",
		`interlock_alerts_sent_total{event="error",outcome="failed"}`:     "1",
		`interlock_alerts_sent_total{event="error",outcome="dropped"}`:    "1",
		`interlock_alerts_sent_total{event="exhausted",outcome="logged"}`: "",
	})
	if s := log.String(); strings.Contains(s, "s3cret") || strings.Count(s, `msg="upstream tools changed"`) != 1 ||
		strings.Count(s, "to=error") != 2 || !strings.Contains(s, `msg="alert not delivered"`) {
		t.Errorf("the log:\n%s", s)
	}
}

// Where traces are exported an alert is a span event.
func TestAlertsAreTraced(t *testing.T) {
	var mu sync.Mutex
	var exported []byte
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		exported = append(exported, body...)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	c := telemetry.Defaults()
	c.OTLP.Endpoint = collector.URL
	tel, err := telemetry.Start(t.Context(), c, telemetry.Resource{})
	if err != nil {
		t.Fatal(err)
	}
	d := dialer("do")
	r := startWith(t, settings(t, "a"), Options{Dialer: d, Telemetry: tel}).running()
	d.Server("a").Last().Lose()
	for {
		_, changed := r.Events(0)
		if slices.Contains(alerted(r.Gateway), "a recovered") {
			break
		}
		<-changed
	}
	r.stop()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"interlock.alert.error", "interlock.alert.recovered", "a is running again"} {
		if !strings.Contains(string(exported), want) {
			t.Errorf("%q was not exported", want)
		}
	}
}

// A reload applies at once to what happens next.
func TestReloadOfAlerts(t *testing.T) {
	works := newHook(t, func(http.ResponseWriter, *http.Request) {})
	cfg := settings(t, "a")
	d := dialer("do")
	r := start(t, cfg, d).running()
	next := *cfg
	next.Alerts.Webhooks = []alert.Webhook{{URL: alert.URL(works.URL), Events: []alert.Event{alert.Recovered}}}
	if _, err := r.Apply(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	d.Server("a").Last().Lose()
	if got := <-works.got; got.Event != alert.Recovered {
		t.Errorf("got %+v", got)
	}
}

// lockedBuilder is a strings.Builder for several goroutines.
type lockedBuilder struct {
	mu sync.Mutex // guards b
	b  strings.Builder
}

func (l *lockedBuilder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuilder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
