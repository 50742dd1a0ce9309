package main

import (
	"slices"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// How long a start took is counted from when the upstream was there: one that was
// added an hour after the gateway's start is not ready after an hour.
func TestReadyCountsFromTheFirstSight(t *testing.T) {
	began := time.Now()
	last := map[string]shown{}
	say := func(u admin.Upstream, seen time.Time) string {
		u.Tools = 1
		before, news := note(last, u, seen)
		if !news {
			return ""
		}
		return on(0, func(s *screen) { s.line(u, 0, before.ran, before.from) })[0]
	}
	late := began.Add(time.Hour)
	got := []string{
		say(admin.Upstream{Name: "a", State: "starting"}, began),
		say(admin.Upstream{Name: "a", State: "running", Started: began.Add(2 * time.Second)}, began),
		say(admin.Upstream{Name: "a", State: "running", Started: began.Add(2 * time.Second)}, late),
		say(admin.Upstream{Name: "b", State: "starting"}, late),
		say(admin.Upstream{Name: "b", State: "running", Started: late.Add(3 * time.Second)}, late),
		say(admin.Upstream{Name: "c", State: "running", Started: late.Add(-time.Millisecond)}, late),
		say(admin.Upstream{Name: "a", State: "running", Generation: 2, Started: late}, late),
	}
	want := []string{"", "a  ready in 2.00s  1 tool", "", "", "b  ready in 3.00s  1 tool", "c  ready  1 tool", "a  ready again  1 tool"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
