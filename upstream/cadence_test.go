package upstream_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// pauses returns how far apart the samples are.
func pauses(all []upstream.Sample) (out []time.Duration) {
	for i := 1; i < len(all); i++ {
		out = append(out, all[i].At.Sub(all[i-1].At))
	}
	return out
}

// TestProbesAreJittered within 10 % of the interval, over the whole of it.
func TestProbesAreJittered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := command("a")
		c.Stats.Samples = 1000
		b := begin(t, new(linktest.Dialer), c)
		time.Sleep(time.Hour)
		var low, high int
		all := pauses(b.up("a").Samples())
		for _, p := range all {
			switch {
			case p < 9*time.Second || p > 11*time.Second:
				t.Errorf("%v apart", p)
			case p < 9500*time.Millisecond:
				low++
			case p > 10500*time.Millisecond:
				high++
			}
		}
		if n := len(all); low < n/8 || high < n/8 {
			t.Errorf("of %d pauses %d are short and %d long, want about a quarter each", n, low, high)
		}
	})
}

// TestRemoteProbesBackOff to ten minutes while nobody uses it, and are close again
// once somebody does. It is never unknown meanwhile.
func TestRemoteProbesBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := upstream.Defaults()
		c.Name, c.URL = "a", "http://example.com/mcp"
		d := new(linktest.Dialer)
		d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" && r.Message.Text(r.Message.Name) == "long" {
				return nil, linktest.Sleep(ctx, 9*time.Minute)
			}
			return nil, nil
		}
		b := begin(t, d, c)
		u := b.up("a")
		// watch lets time pass and looks at the state all the while.
		watch := func(d time.Duration) {
			t.Helper()
			for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
				if s := u.Status(); s.State != upstream.Running || s.Health != "healthy" {
					t.Fatalf("%s, %s after %v", s.State, s.Health, time.Since(s.Started))
				}
			}
		}
		watch(2 * time.Hour)
		want := time.Minute
		for i, p := range pauses(u.Samples()) {
			want = min(2*want, 10*time.Minute)
			if p < want*9/10 || p > want*11/10 {
				t.Errorf("pause %d is %v, want %v ± 10 %%", i+1, p, want)
			}
		}
		n := len(u.Samples())
		for range 40 { // minutes in which it is used
			watch(time.Minute)
			if _, err := u.Call(t.Context(), tool("x")); err != nil {
				t.Fatal(err)
			}
		}
		used := u.Samples()[n:]
		if len(used) < 25 || len(used) > 45 {
			t.Errorf("%d samples in 40 minutes of use", len(used))
		}
		for _, x := range used[2:] {
			if x.Took != 0 || !x.Healthy {
				t.Errorf("%+v, want the calls to stand for a probe", x)
			}
		}
		// One call, longer than many a pause, and silence.
		over := make(chan error)
		go func() {
			_, err := u.Call(context.Background(), tool("long"))
			over <- err
		}()
		watch(time.Hour)
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
}
