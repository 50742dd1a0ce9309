package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// TestStatsOfProbes follows a server that answers in 10 to 30 ms, fails a probe,
// and serves a call, which stands for one.
func TestStatsOfProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		n := 0
		d.Server("a").OnRequest = pings(func(ctx context.Context) error {
			n++
			if n == 4 {
				return &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"}
			}
			return linktest.Sleep(ctx, time.Duration(n)*10*time.Millisecond)
		})
		b := begin(t, d, command("a"))
		u := b.up("a")
		if got, zero := u.Stats(time.Hour), (upstream.Stats{}); !cmp.Equal(got, zero) {
			t.Errorf("before any: %+v", got)
		}
		time.Sleep(34 * time.Second) // three of 10s ± 10 %
		want := upstream.Stats{
			Checks: 3, Healthy: 3, Timed: 3,
			Avg: 20 * time.Millisecond, Max: 30 * time.Millisecond, Min: 10 * time.Millisecond,
		}
		if diff := cmp.Diff(want, u.Stats(time.Hour)); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		until := func(samples int) { // when the fourth and the fifth come is not to the second
			for len(u.Samples()) < samples {
				time.Sleep(time.Second)
				synctest.Wait()
			}
		}
		until(4)
		time.Sleep(3 * time.Second) // less than 10 s before the next, for which it stands
		if _, err := u.Call(t.Context(), tool("x")); err != nil {
			t.Error(err)
		}
		until(5)
		all := u.Samples()
		for i, w := range []struct {
			healthy bool
			took    time.Duration
		}{{true, 10 * time.Millisecond}, {true, 20 * time.Millisecond}, {true, 30 * time.Millisecond}, {false, 0}, {true, 0}} {
			if x := all[i]; x.Healthy != w.healthy || x.Took != w.took || x.Neutral || (x.Err == "") != w.healthy || x.Status != upstream.Running {
				t.Errorf("sample %d = %+v, want %+v", i, x, w)
			}
		}
		got := u.Stats(time.Hour)
		want.Checks, want.Healthy, want.Calls = 5, 4, got.Calls
		if diff := cmp.Diff(want, got); diff != "" || len(all) != 5 {
			t.Errorf("%d samples; -want +got:\n%s", len(all), diff)
		}
		if got := u.Stats(time.Since(all[2].At)); got.Checks != 2 || got.Healthy != 1 || got.Timed != 0 || got.Avg != 0 {
			t.Errorf("the last two: %+v", got)
		}
		if got, zero := u.Stats(0), (upstream.Stats{}); !cmp.Equal(got, zero) {
			t.Errorf("an empty window: %+v", got)
		}
	})
}

// TestSamplesAreBounded by stats.samples, which applies live.
func TestSamplesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := command("a")
		b := begin(t, new(linktest.Dialer), c)
		time.Sleep(time.Hour)
		if n := len(b.up("a").Samples()); n != 100 {
			t.Errorf("%d samples", n)
		}
		c.Stats.Samples = 7
		if _, err := b.set.Apply([]upstream.Config{c}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Second)
		all := b.up("a").Samples()
		if len(all) != 7 || time.Since(all[6].At) > 11*time.Second || time.Since(all[0].At) > 90*time.Second {
			t.Errorf("%d samples, %+v", len(all), all)
		}
	})
}

// TestDowntimeLowersAvailability: an upstream that is down is not probed, and yet
// it is not available, however long the pauses of its restarts are.
func TestDowntimeLowersAvailability(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		var down atomic.Bool
		d.Server("a").OnDial = func(context.Context, int, *upstream.Dial) error {
			if down.Load() {
				return &upstream.StartError{Stage: "spawn", Err: errors.New("no such file")}
			}
			return nil
		}
		b := begin(t, d, command("a"))
		time.Sleep(205 * time.Second)
		down.Store(true)
		d.Server("a").Last().Lose()
		time.Sleep(100 * time.Second)
		b.want("a", upstream.Errored)
		got := b.up("a").Stats(300 * time.Second)
		if got.Checks < 28 || got.Checks > 32 || got.Checks-got.Healthy < 9 || got.Checks-got.Healthy > 11 {
			t.Errorf("%+v, want about 30 checks of which 10 failed", got)
		}
		all := b.up("a").Samples()
		if x := all[len(all)-1]; x.Status != upstream.Errored || x.Took != 0 || x.Err != "it is in error (spawn: no such file)" {
			t.Errorf("%+v", x)
		}
		// Up again: the half-open step's probe is a sample, and nothing else says
		// that it is down. Stopped on purpose it is not down either.
		down.Store(false)
		if err := b.up("a").Restart(t.Context()); err != nil {
			t.Error(err)
		}
		time.Sleep(100 * time.Second)
		got = b.up("a").Stats(100 * time.Second)
		if got.Healthy != got.Checks || got.Checks < 9 {
			t.Errorf("%+v", got)
		}
		if err := b.up("a").Stop(t.Context()); err != nil {
			t.Error(err)
		}
		before := len(b.up("a").Samples())
		time.Sleep(10 * time.Minute)
		if after := len(b.up("a").Samples()); after != before {
			t.Errorf("%d samples more while it was stopped on purpose", after-before)
		}
	})
}

// TestHalfOpenProbeIsASample also where the live link is found well.
func TestHalfOpenProbeIsASample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = fails(upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset"})
		b := begin(t, d, command("a"))
		for range 5 {
			b.refusal(tool("x"))
		}
		b.await("a", upstream.Running, 7*time.Second)
		all := b.up("a").Samples()
		if x := all[len(all)-1]; !x.Healthy || x.Took == 0 || x.Status != upstream.Starting {
			t.Errorf("%+v", all)
		}
		if got := b.up("a").Stats(time.Minute).Calls; got.Count != 5 || got.Errors["reset"] != 5 || got.P50 != 0 {
			t.Errorf("%+v", got)
		}
	})
}

// TestLogsOverRestarts: whoever follows what an upstream writes reads on after it
// was restarted.
func TestLogsOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		b := begin(t, d, command("a"))
		u := b.up("a")
		var got []string
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() {
			defer close(over)
			for l := range u.Stderr().Follow(ctx, 10) {
				got = append(got, l.Text)
			}
		}()
		for i := range 3 {
			fmt.Fprintf(d.Server("a").Last().Dial.Stderr, "%d\n", i)
			if err := u.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		cancel()
		<-over
		if want := []string{"0", "1", "2"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestStatsOfCalls makes calls of every outcome.
func TestStatsOfCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
			if method != "tools/call" {
				return nil, nil
			}
			switch r.Message.Text(r.Message.Name) {
			case "error":
				return json.RawMessage(`{"content":[],"isError":true}`), nil
			case "unknown":
				return nil, &upstream.ServerError{Code: -32602, Message: "unknown tool"}
			case "big":
				return nil, &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "too_large"}
			case "hang":
				return nil, linktest.Sleep(ctx, time.Hour)
			case "slow":
				return nil, linktest.Sleep(ctx, 2*time.Second)
			}
			return nil, linktest.Sleep(ctx, 10*time.Millisecond)
		}
		c := command("a")
		c.CallTimeout = 3 * time.Second
		b := begin(t, d, c)
		u := b.up("a")
		call := func(name string, n int) {
			for range n {
				_, _ = u.Call(t.Context(), tool(name))
			}
		}
		call("fast", 94)
		call("slow", 4)
		call("error", 1)
		call("unknown", 1)
		call("big", 2)
		call("hang", 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, _ = u.Call(ctx, tool("hang"))
		cancel()
		if err := u.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		call("fast", 3)

		got := u.Stats(5 * time.Minute).Calls
		if got.Count != 107 {
			t.Errorf("%d calls, want 107", got.Count)
		}
		want := map[string]int{"tool_error": 1, "rpc_error": 1, "too_large": 2, "timeout": 1, "cancelled": 1, "stopped": 3}
		if diff := cmp.Diff(want, got.Errors); diff != "" {
			t.Errorf("errors: -want +got:\n%s", diff)
		}
		for _, p := range []struct {
			name      string
			got, want time.Duration
		}{{"p50", got.P50, 10 * time.Millisecond}, {"p95", got.P95, 10 * time.Millisecond}, {"p99", got.P99, 2 * time.Second}} {
			if off := float64(p.got-p.want) / float64(p.want); off < -0.0625 || off > 0.0625 {
				t.Errorf("%s = %v, want %v", p.name, p.got, p.want)
			}
		}
		// A window is short of them after a while, and at last nothing is known.
		time.Sleep(2 * time.Minute)
		if got := u.Stats(time.Minute).Calls; got.Count != 0 || got.Errors != nil {
			t.Errorf("a minute with no call: %+v", got)
		}
		if got := u.Stats(10 * time.Minute).Calls; got.Count != 107 {
			t.Errorf("ten minutes: %+v", got)
		}
		time.Sleep(15 * time.Minute)
		if got := u.Stats(time.Hour).Calls; got.Count != 0 || got.Errors != nil {
			t.Errorf("long after: %+v", got)
		}
	})
}
