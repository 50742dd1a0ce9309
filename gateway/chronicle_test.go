package gateway

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// bubble runs test in a bubble of time, in front of which a collector gets what the
// gateways in it tell of themselves: the exporter is outside, in the time of the
// network. It returns when all has come.
func bubble(t *testing.T, change func(*telemetry.Config), test func(t *testing.T, tel *telemetry.Telemetry)) *telemetrytest.Collector {
	t.Helper()
	c := telemetrytest.New(t)
	tel, end := startTelemetry(t, c, change)
	synctest.Test(t, func(t *testing.T) { test(t, tel) })
	end()
	return c
}

// story tells of all spans but those of lists and the like, by their beginnings:
// their traces' roots, and below each what is in it. Spans are called by their names
// and what sets them apart, links by what they lead to.
func story(c *telemetrytest.Collector) []string {
	all := c.Spans()
	zero := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(t time.Time) string { return t.Sub(zero).Round(time.Millisecond).String() }
	call := func(s *telemetrytest.Span) string {
		switch s.Name {
		case telemetry.SpanStartUpstream, telemetry.SpanStopUpstream:
			return fmt.Sprintf("%s %s#%s", strings.TrimPrefix(s.Name, "upstream "), s.Attr(telemetry.AttrUpstream), s.Attr(telemetry.AttrGeneration))
		case telemetry.SpanBreaker:
			return fmt.Sprintf("breaker %s#%s %s", s.Attr(telemetry.AttrUpstream), s.Attr(telemetry.AttrGeneration), s.Attr(telemetry.AttrBreakerTo))
		}
		if s.Kind != "INTERNAL" {
			return s.Kind + " " + s.Name
		}
		return s.Name
	}
	slices.SortStableFunc(all, func(a, b *telemetrytest.Span) int { return a.Began.Compare(b.Began) })
	roots := slices.DeleteFunc(slices.Clone(all), func(s *telemetrytest.Span) bool {
		return s.Parent != "" || s.Name == telemetry.SpanAlert || strings.HasSuffix(s.Name, "/list") || s.Name == "initialize"
	})
	slices.SortStableFunc(roots, func(a, b *telemetrytest.Span) int { // of what begins at once none is the first
		return cmp.Or(a.Began.Round(time.Millisecond).Compare(b.Began.Round(time.Millisecond)), strings.Compare(call(a), call(b)))
	})
	var out []string
	var tell func(s *telemetrytest.Span, depth int)
	tell = func(s *telemetrytest.Span, depth int) {
		line := strings.Repeat("  ", depth) + call(s) + " " + at(s.Began)
		if took := s.Ended.Sub(s.Began).Round(time.Millisecond); took != 0 {
			line += " to " + at(s.Ended)
		}
		for _, a := range []string{
			telemetry.AttrStartCause, telemetry.AttrStartOutcome, telemetry.AttrBecause, telemetry.AttrStopHow, telemetry.AttrWaitReason, telemetry.AttrErrorType,
		} {
			if v := s.Attr(a); v != "" {
				line += ", " + v
			}
		}
		if s.Attr(telemetry.AttrRestart) == "true" {
			line += ", restart"
		}
		for _, e := range s.Events {
			line += fmt.Sprintf("; %s %s", e.Name, at(e.At))
		}
		for _, l := range s.Links {
			to := "nothing"
			if x := c.Linked(l); x != nil {
				to = call(x)
			}
			line += "; " + l.Attrs.Text(telemetry.AttrLink) + " " + to
		}
		out = append(out, line)
		for _, x := range all {
			if x.Parent == s.ID {
				tell(x, depth+1)
			}
		}
	}
	for _, s := range roots {
		tell(s, 0)
	}
	return out
}

func compare(t *testing.T, what string, want, got []string) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// A process dies under a call. What the call suffered from, the restart that it
// caused, which fails, a call that is refused for that, one that waits for the next
// attempt, and what comes when an operator stops it: all is told, to the
// millisecond, and linked.
func TestTheStoryOfADeath(t *testing.T) {
	c := bubble(t, nil, func(t *testing.T, tel *telemetry.Telemetry) {
		t.Helper()
		cfg := settings(t, "a")
		u := &cfg.Upstreams[0]
		u.Restart.Delay, u.Restart.MaxDelay = time.Second, time.Second // the jitter is for longer ones
		d := dialer("echo")
		s := d.Server("a")
		s.DialTime, s.CloseTime = time.Second, 300*time.Millisecond
		s.OnDial = func(_ context.Context, n int, _ *upstream.Dial) error {
			if n == 2 {
				return &upstream.StartError{Stage: "handshake", Err: errors.New("it speaks no MCP"), RetryAfter: 10 * time.Second}
			}
			return nil
		}
		s.OnRequest = func(_ context.Context, l *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" {
				time.Sleep(time.Second)
				if len(s.Links()) == 1 {
					l.Lose()
				}
			}
			return nil, nil
		}
		r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel})
		time.Sleep(5 * time.Second)
		k := r.connect(`{}`)
		k.post(calls("1", "a__echo", `{}`)) // it dies under this, at 6 s, and at 7 s the start has failed
		time.Sleep(2 * time.Second)
		k.post(calls("2", "a__echo", `{}`)) // at 8 s
		time.Sleep(9500 * time.Millisecond)
		k.post(calls("3", "a__echo", `{}`)) // at 17.5 s, while it starts
		if err := r.set.Upstream("a").Stop(t.Context()); err != nil {
			t.Error(err)
		}
		k.post(calls("4", "a__echo", `{}`))
		r.stop()
	})
	compare(t, "the story", []string{
		"start a#1 0s to 1s, configured, running",
		"  spawn 0s",
		"  handshake 0s to 1s",
		"  list 1s",
		"SERVER tools/call a__echo 5s to 6s, exit",
		"  CLIENT tools/call echo 5s to 6s, exit; hurt_by breaker a#1 open",
		"breaker a#1 open 6s; interlock.breaker.opened 6s",
		"breaker a#2 half_open 6s; interlock.breaker.half_opened 6s; caused start a#2; previous breaker a#1 open",
		"start a#2 6s to 7s, recovery, error, handshake, restart; caused breaker a#1 open; previous start a#1; caused CLIENT tools/call echo",
		"  spawn 6s",
		"  handshake 6s to 7s, handshake",
		"breaker a#2 open 7s; interlock.breaker.opened 7s; caused start a#2; previous breaker a#2 half_open",
		"SERVER tools/call a__echo 8s, error",
		"  CLIENT tools/call echo 8s, error; refused_by start a#2",
		"breaker a#3 half_open 17s; interlock.breaker.half_opened 17s; caused start a#3; previous breaker a#2 open",
		"start a#3 17s to 18s, recovery, running, restart; previous start a#2",
		"  spawn 17s",
		"  handshake 17s to 18s",
		"  probe 18s",
		"  list 18s",
		"SERVER tools/call a__echo 17.5s to 19s",
		"  CLIENT tools/call echo 17.5s to 19s; waiting 17.5s; waited_for start a#3",
		"    queue wait 17.5s to 18s, start; waited_for start a#3",
		"breaker a#3 closed 18s; interlock.breaker.closed 18s; caused start a#3; previous breaker a#3 half_open",
		"stop a#3 19s to 19.3s, stopped by an operator, graceful; previous start a#3",
		"SERVER tools/call a__echo 19.3s, stopped",
		"  CLIENT tools/call echo 19.3s, stopped; refused_by stop a#3",
	}, story(c))
}

// A call starts an upstream that starts on demand, and what that depends on: each
// start leads back to the one that needed it, and waits for what it needs.
func TestTheStoryOfADemand(t *testing.T) {
	c := bubble(t, nil, func(t *testing.T, tel *telemetry.Telemetry) {
		t.Helper()
		cfg := settings(t, "a", "db")
		for i := range cfg.Upstreams {
			u := &cfg.Upstreams[i]
			u.Start, u.IdleStop = upstream.OnDemand, time.Minute
		}
		cfg.Upstreams[0].DependsOn = []upstream.Dependency{{On: "db", Condition: upstream.ConditionRunning}}
		d := dialer("echo")
		d.Server("a").DialTime, d.Server("db").DialTime = time.Second, 2*time.Second
		r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel})
		time.Sleep(10 * time.Minute)
		r.connect(`{}`).post(calls("1", "a__echo", `{}`))
		synctest.Wait()
		r.stop()
	})
	all := story(c)
	compare(t, "the story from the call on", []string{
		"SERVER tools/call a__echo 10m0s to 10m3s",
		"  CLIENT tools/call echo 10m0s to 10m3s; waiting 10m0s; waited_for start a#2",
		"    queue wait 10m0s to 10m3s, start; waited_for start a#2",
		"start a#2 10m0s to 10m3s, demand, running; caused CLIENT tools/call echo; previous stop a#1",
		"  dependencies 10m0s to 10m2s; waited_for start db#2",
		"  spawn 10m2s",
		"  handshake 10m2s to 10m3s",
		"  list 10m3s",
		"start db#2 10m0s to 10m2s, demand, running; caused start a#2; previous stop db#1",
		"  spawn 10m0s",
		"  handshake 10m0s to 10m2s",
		"  list 10m2s",
		"stop a#2 10m3s, the gateway stops, graceful; previous start a#2",
		"stop db#2 10m3s, the gateway stops, graceful; previous start db#2",
	}, all[max(len(all)-14, 0):])
}

// Calls that are not exported are not linked to, and leave what is told of upstreams
// as it is; what these calls suffer from is told all the same.
func TestTheStoryWithoutTheCalls(t *testing.T) {
	c := bubble(t, func(c *telemetry.Config) { c.Traces.Sample, c.Traces.Keep = 0, 0 }, func(t *testing.T, tel *telemetry.Telemetry) {
		t.Helper()
		cfg := settings(t, "a")
		d := dialer("echo")
		d.Server("a").OnRequest = func(_ context.Context, l *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" {
				l.Lose()
			}
			return nil, nil
		}
		r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel})
		time.Sleep(5 * time.Second)
		r.connect(`{}`).post(calls("1", "a__echo", `{}`))
		time.Sleep(time.Second)
		r.stop()
	})
	compare(t, "the story", []string{
		"start a#1 0s, configured, running",
		"  spawn 0s",
		"  handshake 0s",
		"  list 0s",
		"breaker a#1 open 5s; interlock.breaker.opened 5s",
		"breaker a#2 closed 5s; interlock.breaker.closed 5s; caused start a#2; previous breaker a#2 half_open",
		"breaker a#2 half_open 5s; interlock.breaker.half_opened 5s; caused start a#2; previous breaker a#1 open",
		"start a#2 5s, recovery, running, restart; caused breaker a#1 open; previous start a#1",
		"  spawn 5s",
		"  handshake 5s",
		"  probe 5s",
		"  list 5s",
		"stop a#2 6s, the gateway stops, graceful; previous start a#2",
	}, story(c))
}

// Everything that befalls two upstreams for a day ends in spans, whatever the order in
// which orders come: none stays open, and none is told twice.
func TestNoSpanOfAnUpstreamStaysOpen(t *testing.T) {
	var starts, stops int
	c := bubble(t, func(c *telemetry.Config) { c.Traces.Keep = 0 }, func(t *testing.T, tel *telemetry.Telemetry) {
		t.Helper()
		cfg := settings(t, "a", "b")
		cfg.Upstreams[1].DependsOn = []upstream.Dependency{{On: "a", Condition: upstream.ConditionRunning, Restart: true}}
		d := dialer("echo")
		d.Server("a").DialTime, d.Server("b").DialTime = time.Second, time.Second
		r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel})
		for i := range 20 { // an order finds them at ever other moments of their starts
			time.Sleep(5*time.Second + time.Duration(i)*150*time.Millisecond)
			name := []string{"a", "b"}[i%2]
			var all []*upstream.Order
			switch i % 3 {
			case 0:
				all = r.set.Order(upstream.VerbRestart, name)
			case 1:
				all = r.set.Order(upstream.VerbKill, name)
			case 2:
				if links := d.Server(name).Links(); len(links) > 0 {
					links[len(links)-1].Lose()
				}
			}
			time.Sleep(time.Duration(i) * 100 * time.Millisecond)
			all = append(all, r.set.Order(upstream.VerbStart, "b")...)
			for _, o := range all {
				_ = o.Wait(t.Context())
			}
		}
		r.stop()
		for _, name := range []string{"a", "b"} {
			starts += int(r.set.Upstream(name).Status().Generation) //nolint:gosec // few
		}
	})
	for _, s := range c.Named(telemetry.SpanStartUpstream) {
		if starts--; s.Attr(telemetry.AttrStartOutcome) == "" {
			t.Errorf("a start without an outcome: %v", s)
		}
		for _, x := range c.Children(s) {
			if x.Began.Before(s.Began) || x.Ended.After(s.Ended) {
				t.Errorf("%s reaches out of its start", x.Name)
			}
		}
	}
	if stops = len(c.Named(telemetry.SpanStopUpstream)); starts != 0 || stops == 0 {
		t.Errorf("%d starts more than there were spans; %d stops", starts, stops)
	}
	for _, s := range c.Spans() {
		for _, l := range s.Links {
			if c.Linked(l) == nil {
				t.Errorf("%s of %s has a link to nothing (%v)", s.Name, s.Attr(telemetry.AttrUpstream), l.Attrs)
			}
		}
	}
}
