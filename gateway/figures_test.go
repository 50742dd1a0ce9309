package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// scraped returns the series that /metrics shows, by name with labels.
func scraped(t *testing.T, tel *telemetry.Telemetry) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("/metrics: %d %s", w.Code, w.Body)
	}
	out := make(map[string]string)
	for line := range strings.Lines(w.Body.String()) {
		if i := strings.LastIndexByte(line, ' '); strings.HasPrefix(line, "interlock_") && i > 0 {
			out[line[:i]] = strings.TrimSpace(line[i+1:])
		}
	}
	return out
}

// shows compares some series of a scrape, "" for one that must not be there.
func shows(t *testing.T, when string, tel *telemetry.Telemetry, want map[string]string) {
	t.Helper()
	got := scraped(t, tel)
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != want[name] {
			t.Errorf("%s: %s is %q, want %q", when, name, got[name], want[name])
		}
	}
}

func TestMetricsOfUpstreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, err := telemetry.Start(t.Context(), telemetry.Defaults(), telemetry.Resource{})
		if err != nil {
			t.Fatal(err)
		}
		tel.MetricsHandler()
		cfg := settings(t, "a", "b")
		cfg.Upstreams[0].Limits.InFlight = 1
		cfg.Upstreams[0].Restart.Delay = 30 * time.Second
		d := dialer("do")
		a := d.Server("a")
		a.Tools = []string{"do", "more"}
		hang := make(chan struct{})
		a.OnRequest = func(ctx context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" {
				select {
				case <-hang:
				case <-ctx.Done():
				}
			}
			return nil, nil
		}
		d.Server("b").Tools = nil
		r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel}).running()
		shows(t, "at first", tel, map[string]string{
			`interlock_upstream_state{interlock_upstream="a",state="running"}`:         "1",
			`interlock_upstream_state{interlock_upstream="a",state="error"}`:           "0",
			`interlock_upstream_restarts_total{interlock_upstream="a"}`:                "0",
			`interlock_upstream_checks_total{interlock_upstream="a",outcome="pass"}`:   "0",
			`interlock_breaker_state{interlock_upstream="a",state="closed"}`:           "1",
			`interlock_breaker_state{interlock_upstream="a",state="open"}`:             "0",
			`interlock_breaker_transitions_total{interlock_upstream="a",state="open"}`: "0",
			`interlock_queue_depth{interlock_upstream="a"}`:                            "0",
			`interlock_catalog_tools{interlock_upstream="a"}`:                          "2",
			`interlock_catalog_tools{interlock_upstream="b"}`:                          "0",
			`interlock_sessions_active`:                                                "0",
			`interlock_calls_rejected_total{reason="error"}`:                           "",
		})

		// One call takes the only slot and another waits for it.
		c := r.connect(`{}`)
		answers := make(chan reply, 2)
		for _, id := range []string{"1", "2"} {
			go func() { answers <- c.post(calls(id, "a__do", "{}")) }()
		}
		synctest.Wait()
		shows(t, "with two calls", tel, map[string]string{
			`interlock_queue_depth{interlock_upstream="a"}`: "1",
			`interlock_sessions_active`:                     "1",
		})
		close(hang)
		<-answers
		<-answers
		time.Sleep(25 * time.Second) // two probes: a call stood for the first at most
		synctest.Wait()
		shows(t, "after two probes", tel, map[string]string{
			`interlock_upstream_checks_total{interlock_upstream="a",outcome="pass"}`: "2",
			`interlock_upstream_availability{interlock_upstream="a"}`:                "1",
		})

		refuse := func(context.Context, int, *upstream.Dial) error {
			return &upstream.StartError{Stage: "spawn", Err: errors.New("gone")}
		}
		a.Script(func(s *linktest.Server) { s.OnDial = refuse })
		a.Last().Lose()
		time.Sleep(time.Second)
		c.post(calls("3", "a__do", "{}"))
		shows(t, "in error", tel, map[string]string{
			`interlock_upstream_state{interlock_upstream="a",state="running"}`:              "0",
			`interlock_upstream_state{interlock_upstream="a",state="error"}`:                "1",
			`interlock_upstream_state{interlock_upstream="b",state="running"}`:              "1",
			`interlock_upstream_restarts_total{interlock_upstream="a"}`:                     "1",
			`interlock_breaker_state{interlock_upstream="a",state="open"}`:                  "1",
			`interlock_breaker_transitions_total{interlock_upstream="a",state="open"}`:      "2",
			`interlock_breaker_transitions_total{interlock_upstream="a",state="half_open"}`: "1",
			`interlock_calls_rejected_total{reason="error"}`:                                "1",
			`interlock_catalog_tools{interlock_upstream="a"}`:                               "2",
			`interlock_alerts_sent_total{event="error",outcome="logged"}`:                   "1",
		})
		time.Sleep(14 * time.Second) // what is down is a check that failed, each 10 seconds
		if share := scraped(t, tel)[`interlock_upstream_availability{interlock_upstream="a"}`]; share <= "0" || share >= "1" {
			t.Errorf("down for a while: the availability is %q", share)
		}
		a.Script(func(s *linktest.Server) { s.OnDial = nil })
		time.Sleep(time.Minute)
		shows(t, "recovered", tel, map[string]string{
			`interlock_upstream_state{interlock_upstream="a",state="running"}`:           "1",
			`interlock_breaker_state{interlock_upstream="a",state="closed"}`:             "1",
			`interlock_breaker_transitions_total{interlock_upstream="a",state="closed"}`: "1",
			`interlock_upstream_restarts_total{interlock_upstream="a"}`:                  "2",
			`interlock_alerts_sent_total{event="recovered",outcome="logged"}`:            "1",
		})

		less := *cfg
		less.Upstreams = cfg.Upstreams[1:]
		if _, err := r.Apply(t.Context(), &less); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for name := range scraped(t, tel) {
			if strings.Contains(name, `interlock_upstream="a"`) {
				t.Errorf("a is removed, and %s is still there", name)
			}
		}
		if _, err := r.Apply(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		r.running()
		shows(t, "back again", tel, map[string]string{
			`interlock_upstream_restarts_total{interlock_upstream="a"}`: "0",
		})
		r.Drain(done0())
		c.post(calls("4", "a__do", "{}"))
		shows(t, "draining", tel, map[string]string{
			`interlock_calls_rejected_total{reason="shutdown"}`: "1",
		})
	})
}

func TestAvailability(t *testing.T) {
	good, bad, unsure := upstream.Sample{Healthy: true}, upstream.Sample{}, upstream.Sample{Healthy: true, Neutral: true}
	for _, c := range []struct {
		name    string
		samples []upstream.Sample
		want    float64 // -1 for unknown
	}{
		{"nothing is known", nil, -1},
		{"nothing is said", []upstream.Sample{unsure}, -1},
		{"well", []upstream.Sample{good}, 1},
		{"unwell", []upstream.Sample{bad, unsure}, 0},
		{"both", []upstream.Sample{bad, good, unsure, good, good, unsure}, 0.75},
	} {
		got := -1.0
		if share := availability(c.samples); share != nil {
			got = *share
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// A start that only waited for a dependency restarts nothing.
func TestRestartsOfADependent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := settings(t, "a", "web")
		cfg.Upstreams[1].DependsOn = []upstream.Dependency{{On: "a", Condition: upstream.ConditionRunning}}
		d := dialer("do")
		fails(d.Server("a"), errGone)
		r := start(t, cfg, d)
		time.Sleep(time.Second)
		if s := r.set.Upstream("web").Status(); s.State != upstream.Errored {
			t.Fatalf("web is %s, want error", s.State)
		}
		fails(d.Server("a"), nil)
		time.Sleep(time.Minute)
		r.running()
		for i, want := range []uint64{1, 0} {
			if got := r.supervision().Upstreams[i].Restarts; got != want {
				t.Errorf("%s: %d restarts, want %d", cfg.Upstreams[i].Name, got, want)
			}
		}
	})
}

// What the process takes is told by whoever is the gateway, on each system as far
// as it tells.
func TestMetricsOfTheProcess(t *testing.T) {
	p := processNow()
	if p.User+p.System <= 0 || p.Memory < 1<<20 && runtime.GOOS != "darwin" || p.Threads < 1 && runtime.GOOS == "linux" || p.Descriptors+p.Handles < 3 {
		t.Errorf("%+v", p)
	}
	tel, err := telemetry.Start(t.Context(), telemetry.Defaults(), telemetry.Resource{})
	if err != nil {
		t.Fatal(err)
	}
	startWith(t, settings(t, "a"), Options{Dialer: dialer("do"), Telemetry: tel})
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, name := range []string{"process_cpu_time_seconds_total", "process_uptime_seconds"} {
		if !strings.Contains(w.Body.String(), "\n"+name) {
			t.Errorf("no %s", name)
		}
	}
}
