package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// One upstream's failure never stops an operation over several.
func TestOrdersToSeveral(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("bad").OnDial = func(context.Context, int, *upstream.Dial) error {
			return &upstream.StartError{Stage: "spawn", Err: errors.New("no such file")}
		}
		d.Server("slow").DialTime = 10 * time.Second
		cfg := settings(t, "good", "bad", "slow", "off")
		cfg.Upstreams[3].Enabled = false
		r := start(t, cfg, d)
		time.Sleep(11 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		var came []string
		out := r.Restart(ctx, admin.Order{
			Names: []string{"bad", "slow", "godo", "good", "off"}, Wait: true,
			Each: func(o admin.Outcome) { came = append(came, o.Name) },
		})
		if got, want := words(out), "bad:start_failed slow:wait_timeout godo:unknown_upstream good:running off:disabled"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if out[1].Done || out[1].State != "starting" || !out[0].Done {
			t.Errorf("%+v", out[:2])
		}
		if m := out[2].Error.Mend; m != "did you mean good?" {
			t.Errorf("an unknown name's mend: %q", m)
		}
		if len(came) != 5 || came[4] != "slow" {
			t.Errorf("told in the order %q, want the slow one last", came)
		}
		time.Sleep(10 * time.Second)
		if s, _ := r.Status("slow"); s != "running" {
			t.Errorf("what was not waited for any more is %s", s)
		}
	})
}

func TestOrdersAreNotWaitedForUnlessAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("slow").DialTime = time.Hour
		r := start(t, settings(t, "slow"), d)
		synctest.Wait()
		begun := time.Now()
		out := r.Restart(t.Context(), admin.Order{All: true})
		// How far it has come by then is nobody's promise.
		if len(out) != 1 || !out[0].OK || out[0].Done || time.Since(begun) != 0 {
			t.Errorf("%+v after %v", out, time.Since(begun))
		}
	})
}

// Who waits for an order finds it in the lists of clients, however long a policy looks
// at what is new there.
func TestOrdersThatWereWaitedForShow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vetter := &inspector{vet: func([]*policy.Definition) []policy.Verdict {
			time.Sleep(time.Minute)
			return nil
		}}
		r := startWith(t, governed(settings(t, "a"), "vetter"), Options{Dialer: dialer("do"), makePolicies: these(step("vetter", vetter))}).running()
		defer r.web.CloseIdleConnections()
		c, list := r.connect(`{}`), `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
		r.Stop(t.Context(), admin.Order{Names: []string{"a"}, Wait: true})
		if got := c.post(list); strings.Contains(got.body, "a__do") {
			t.Errorf("with what was stopped: %s", got.body)
		}
		r.Start(t.Context(), admin.Order{Names: []string{"a"}, Wait: true})
		if got := c.post(list); !strings.Contains(got.body, "a__do") {
			t.Errorf("without what was started: %s", got.body)
		}
	})
}

func TestStopSaysWhoIsLeft(t *testing.T) {
	cfg := settings(t, "db", "api")
	cfg.Upstreams[1].DependsOn = []upstream.Dependency{{On: "db", Condition: upstream.ConditionRunning}}
	r := start(t, cfg, new(linktest.Dialer)).running()
	out := r.Stop(t.Context(), admin.Order{Names: []string{"db"}, Wait: true})
	if words(out) != "db:stopped" || !slices.Equal(out[0].Left, []string{"api"}) {
		t.Errorf("%+v", out)
	}
	r.Stop(t.Context(), admin.Order{Names: []string{"api"}, Wait: true})
	out = r.Start(t.Context(), admin.Order{Names: []string{"api"}, Wait: true})
	if words(out) != "api:running" || !slices.Equal(out[0].With, []string{"db"}) {
		t.Errorf("%+v", out)
	}
}

func TestStopByForce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").CloseTime = time.Hour
		r := start(t, settings(t, "a"), d)
		synctest.Wait()
		begun := time.Now()
		if got := words(r.Stop(t.Context(), admin.Order{Names: []string{"a"}, Force: true, Wait: true})); got != "a:stopped" || time.Since(begun) > time.Second {
			t.Errorf("%s after %v", got, time.Since(begun))
		}
		if u := r.List(admin.Select{})[0]; u.LastStop != "killed" {
			t.Errorf("stopped in the way %q", u.LastStop)
		}
	})
}

func TestOrdersHaveAnAuthor(t *testing.T) {
	r := start(t, settings(t, "a"), new(linktest.Dialer)).running()
	ctx := admin.WithCaller(t.Context(), admin.Caller{Who: "uid 7", Socket: true})
	r.Stop(ctx, admin.Order{Names: []string{"a"}, Wait: true})
	r.Remove(t.Context(), admin.Order{Names: []string{"a"}, Wait: true})
	var got []string
	list, _ := r.Events(0)
	for _, e := range list {
		if e.Kind == "order" || e.Kind == "removed" {
			got = append(got, e.Kind+" "+e.Upstream+" "+e.Text)
		}
	}
	want := []string{
		"order a stop of a ordered by uid 7", "order a removal of a ordered by the program", "removed a a was removed by the program",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestListSelects(t *testing.T) {
	r := start(t, settings(t, "files", "fetch", "issues=http"), new(linktest.Dialer)).running()
	r.Stop(t.Context(), admin.Order{Names: []string{"fetch"}, Wait: true})
	for _, tt := range []struct {
		s    admin.Select
		want string
	}{
		{admin.Select{}, "files fetch issues"},
		{admin.Select{State: "running"}, "files issues"},
		{admin.Select{Transport: "http"}, "issues"},
		{admin.Select{Name: "f*"}, "files fetch"},
		{admin.Select{Name: "f*", State: "stopped"}, "fetch"},
		{admin.Select{State: "error"}, ""},
	} {
		var names []string
		for _, u := range r.List(tt.s) {
			names = append(names, u.Name)
		}
		if got := strings.Join(names, " "); got != tt.want {
			t.Errorf("%+v: %s, want %s", tt.s, got, tt.want)
		}
	}
}

func TestInfoOfAnUpstream(t *testing.T) {
	cfg := settings(t, "db", "api", "web")
	cfg.Upstreams[1].DependsOn = []upstream.Dependency{{On: "db", Condition: upstream.ConditionStarted, Restart: true}}
	cfg.Upstreams[2].DependsOn = []upstream.Dependency{{On: "api", Condition: upstream.ConditionRunning}}
	cfg.Upstreams[1].Env = map[string]string{"KEY": "s3cret"}
	d := new(linktest.Dialer)
	d.Server("api").Tools = []string{"one", "two"}
	r := start(t, cfg, d).running()
	i, err := r.Info("api")
	if err != nil {
		t.Fatal(err)
	}
	if i.State != "running" || i.Uptime <= 0 || !slices.Equal(i.Offers.Tools, []string{"one", "two"}) || i.Tools != 2 || i.Generation != 1 {
		t.Errorf("%+v", i)
	}
	if diff := cmp.Diff([]admin.Dependency{{Name: "db", Condition: "started", Restart: true}}, i.DependsOn); diff != "" || !slices.Equal(i.Dependents, []string{"web"}) {
		t.Errorf("%s %v", diff, i.Dependents)
	}
	if len(i.Stages) == 0 || !strings.Contains(string(i.Config), `"KEY":"***"`) || strings.Contains(string(i.Config), "s3cret") {
		t.Errorf("stages %v, config %s", i.Stages, i.Config)
	}
	if _, err := r.Info("appi"); code(err) != admin.CodeUnknownUpstream || !strings.Contains(err.(*admin.Error).Mend, "api") {
		t.Errorf("unknown: %v", err)
	}
	if g := r.Graph(); !slices.Equal(g.Order, []string{"db", "api", "web"}) || len(g.Critical) == 0 || g.Nodes[1].Level != 1 {
		t.Errorf("%+v", g)
	}
}

func TestCheckAndStats(t *testing.T) {
	r := start(t, settings(t, "a", "b"), new(linktest.Dialer)).running()
	if s := r.Stats(time.Minute, []string{"a"})[0]; s.AvgResponseTime != nil || s.Calls != nil {
		t.Errorf("what is not known is told: %+v", s)
	}
	got := r.Check(t.Context(), []string{"a", "nope"})
	if c := got["a"]; !c.Healthy || c.Status != "running" || c.ResponseTime == nil || *c.ResponseTime <= 0 || c.Error != nil {
		t.Errorf("a: %+v", c)
	}
	if c := got["nope"]; c.Healthy || c.Error == nil || len(got) != 2 {
		t.Errorf("all: %+v", got)
	}
	if got := r.Check(t.Context(), nil); len(got) != 2 {
		t.Errorf("all: %+v", got)
	}
	s := r.Stats(time.Minute, nil)
	if len(s) != 2 || s[0].Name != "a" || s[0].TotalChecks == nil || *s[0].Availability != 100 || s[0].AvgResponseTime == nil || s[0].Window != 60 {
		t.Errorf("%+v", s)
	}
	if _, err := r.Call(t.Context(), "nope", nil); err == nil {
		t.Error("no error")
	}
}

// What is not known is null, not zero.
func TestStatsOfNothing(t *testing.T) {
	want := admin.Stats{Name: "a", Window: 300}
	if diff := cmp.Diff(want, statsOf("a", upstream.Stats{}, 5*time.Minute)); diff != "" {
		t.Error(diff)
	}
	got := statsOf("a", upstream.Stats{Checks: 3, Healthy: 2, Calls: upstream.CallStats{Count: 1, P99: time.Second}}, time.Second)
	if *got.Availability < 66 || *got.Availability > 67 || got.AvgResponseTime != nil || got.Calls.P99 != 1 || got.Calls.Errors == nil {
		t.Errorf("%+v", got)
	}
}
