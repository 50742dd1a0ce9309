package alert

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// What min_down holds back, as a script of what happens to one upstream and when.
func TestMinDown(t *testing.T) {
	const minDown = 30 * time.Second
	type step struct {
		at   time.Duration
		what Event // or one of the words below
	}
	const over, forget, after = "over", "forget", "" // after is nothing
	for _, c := range []struct {
		name       string
		events     []Event
		steps      []step
		want       []string
		at         []time.Duration
		suppressed int
	}{
		{
			"a short outage", nil,
			[]step{{0, BreakerOpened}, {0, Error}, {29 * time.Second, BreakerClosed}, {29 * time.Second, Recovered}, {time.Hour, after}},
			nil, nil, 4,
		},
		{
			"a long outage", nil,
			[]step{{0, BreakerOpened}, {0, Error}, {31 * time.Second, BreakerClosed}, {31 * time.Second, Recovered}, {time.Hour, after}},
			[]string{"breaker_opened", "error", "breaker_closed", "recovered"},
			[]time.Duration{minDown, minDown, 31 * time.Second, 31 * time.Second},
			0,
		},
		{
			"used up before min_down", nil,
			[]step{{0, Error}, {time.Second, Exhausted}, {time.Minute, Recovered}, {time.Hour, after}},
			[]string{"error", "exhausted", "recovered"},
			[]time.Duration{minDown, minDown, time.Minute},
			0,
		},
		{
			"used up after min_down", nil,
			[]step{{0, Error}, {time.Minute, Exhausted}, {time.Hour, after}},
			[]string{"error", "exhausted"},
			[]time.Duration{minDown, time.Minute},
			0,
		},
		{
			"stopped by hand in time", nil,
			[]step{{0, Error}, {time.Second, over}, {time.Hour, Recovered}, {2 * time.Hour, after}},
			nil, nil, 2,
		},
		{
			"stopped by hand later", nil,
			[]step{{0, Error}, {time.Minute, over}, {time.Hour, Recovered}, {2 * time.Hour, after}},
			[]string{"error", "recovered"},
			[]time.Duration{minDown, time.Hour},
			0,
		},
		{
			"removed", nil,
			[]step{{0, Error}, {time.Minute, forget}, {time.Hour, Recovered}, {2 * time.Hour, after}},
			[]string{"error"},
			[]time.Duration{minDown},
			1,
		},
		{
			"a long outage, then a short one that is ended by hand", nil,
			[]step{
				{0, Error},
				{time.Minute, Recovered},
				{2 * time.Minute, Error},
				{2*time.Minute + time.Second, over},
				{3 * time.Minute, Recovered},
				{time.Hour, after},
			},
			[]string{"error", "recovered"},
			[]time.Duration{minDown, time.Minute},
			2,
		},
		{
			"removed in time", nil,
			[]step{{0, Error}, {time.Second, forget}, {time.Hour, after}},
			nil, nil, 1,
		},
		{
			"tools are no outage", nil,
			[]step{{0, Error}, {time.Second, ToolChanged}, {2 * time.Second, Recovered}, {time.Hour, after}},
			[]string{"tool_changed"},
			[]time.Duration{time.Second},
			2,
		},
		{
			"recoveries alone",
			[]Event{Recovered},
			[]step{{0, Error}, {time.Second, Recovered}, {2 * time.Minute, Error}, {4 * time.Minute, Recovered}, {time.Hour, after}},
			[]string{"recovered"},
			[]time.Duration{4 * time.Minute},
			1,
		},
		{
			"one outage after the other",
			[]Event{Error, Recovered},
			[]step{{0, Error}, {time.Minute, Recovered}, {2 * time.Minute, Error}, {2*time.Minute + time.Second, Recovered}, {time.Hour, after}},
			[]string{"error", "recovered"},
			[]time.Duration{minDown, time.Minute},
			2,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := start(t, Webhook{URL: "http://hook/", MinDown: minDown, Events: c.events})
				r := w.receive("hook", nil)
				since := time.Now()
				for _, s := range c.steps {
					later(s.at - time.Since(w.begun))
					switch s.what {
					case over:
						w.Over("files")
					case forget:
						w.Forget("files")
					case after:
					case Error, BreakerOpened:
						if s.what == BreakerOpened || s.at > 0 {
							since = time.Now()
						}
						fallthrough
					default:
						w.Send(Alert{Event: s.what, Upstream: "files", At: time.Now(), DownSince: &since})
						w.Send(Alert{Event: s.what, Upstream: "other", At: time.Now().Add(-time.Hour)}) // counts for itself
					}
				}
				var events []string
				var at []time.Duration
				for _, a := range r.arrivals() {
					if a.alert.Upstream == "files" {
						events, at = append(events, string(a.alert.Event)), append(at, a.after)
					}
				}
				if !slices.Equal(events, c.want) || !slices.Equal(at, c.at) {
					t.Errorf("got %q at %v, want %q at %v", events, at, c.want, c.at)
				}
				n := 0
				for _, e := range Events() {
					n += w.count(e, Suppressed)
				}
				if n != c.suppressed {
					t.Errorf("%d are counted as suppressed, want %d: %v", n, c.suppressed, w.counts)
				}
			})
		})
	}
}
