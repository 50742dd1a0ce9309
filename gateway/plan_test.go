package gateway

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// reloadable runs a gateway whose files are what next says.
func reloadable(t *testing.T, cfg *config.Config, d *linktest.Dialer, next func() (*config.Config, error), told func(admin.Plan, error)) *rig {
	t.Helper()
	r := startWith(t, cfg, Options{Dialer: d, Load: next, Reloaded: told})
	r.dialer = d
	return r.running()
}

// A dry run says what the reload then does, and does nothing.
func TestPlan(t *testing.T) {
	cfg := settings(t, "kept", "changed", "moved", "gone", "was")
	d := new(linktest.Dialer)
	for _, name := range []string{"kept", "changed", "gone", "was"} {
		d.Server(name).Tools = []string{"do"}
	}
	d.Server("changed").Tools = []string{"do", "hide"}
	next := *cfg
	next.Upstreams = slices.Clone(cfg.Upstreams[:3])
	next.Upstreams[1].Tools.Deny = []string{"hide"}
	next.Upstreams[1].CallTimeout++
	next.Upstreams[2].Args = []string{"x"}
	next.Upstreams = append(next.Upstreams, settings(t, "new").Upstreams...)
	next.Server.Listen = "127.0.0.1:1"
	next.Warnings = []config.Problem{{Text: "mind the gap"}}
	var told []admin.Plan
	r := reloadable(t, cfg, d, func() (*config.Config, error) { return &next, nil }, func(p admin.Plan, _ error) { told = append(told, p) })

	want := admin.Plan{
		Added: []string{"new"}, Removed: []string{"gone", "was"}, Restarted: []string{"moved"}, Changed: []string{"changed"}, Kept: []string{"kept"},
		Keys:         map[string][]string{"changed": {"call_timeout", "tools"}, "moved": {"args"}},
		ToolsRemoved: []string{"changed__hide", "gone__do", "was__do"},
		NeedRestart:  []string{"server.listen"}, Warnings: []string{"mind the gap"},
	}
	got, err := r.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the dry run: %s", diff)
	}
	if r.names() != "kept changed moved gone was" || len(r.Tools()) != 5 || len(told) != 0 {
		t.Errorf("it did something: %s", r.names())
	}
	want.Applied = true
	if got, err = r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the reload: %s", diff)
	}
	if diff := cmp.Diff([]admin.Plan{want}, told); diff != "" {
		t.Errorf("told: %s", diff)
	}
	r.until(func() bool { return len(d.Server("moved").Dials()) == 2 }).running()
	if r.names() != "kept changed moved new" || len(d.Server("kept").Dials()) != 1 || len(d.Server("changed").Dials()) != 1 || len(d.Server("moved").Dials()) != 2 {
		t.Errorf("after it: %s %v", r.names(), d.Events())
	}

	if a, b := concerned(r.Gateway, "added"), concerned(r.Gateway, "removed"); a != "new" || b != "gone was" {
		t.Errorf("events: added %s, removed %s", a, b)
	}

	// And back: what is known of what was there is known now.
	next = *cfg
	if got, err = r.Plan(t.Context()); err != nil || !slices.Equal(got.ToolsAdded, []string{"changed__hide", "gone__do", "was__do"}) {
		t.Errorf("back: %+v %v", got, err)
	}
}

// concerned are the upstreams with an event of that kind.
func concerned(g *Gateway, kind string) string {
	var names []string
	list, _ := g.Events(0)
	for _, e := range list {
		if e.Kind == kind {
			names = append(names, e.Upstream)
		}
	}
	return strings.Join(names, " ")
}

func TestRefusedReload(t *testing.T) {
	faults := &config.Errors{Problems: []config.Problem{
		{File: "f.yaml", Line: 3, Col: 5, Key: "upstreams.a.comand", Text: `unknown key "comand"`, Mend: `did you mean "command"?`},
		{Key: "server.listen", Text: "is wrong"},
	}}
	var told []error
	r := reloadable(t, settings(t, "a"), new(linktest.Dialer), func() (*config.Config, error) { return nil, faults }, func(_ admin.Plan, err error) { told = append(told, err) })
	for _, do := range []func() (admin.Plan, error){
		func() (admin.Plan, error) { return r.Plan(t.Context()) }, func() (admin.Plan, error) { return r.Reload(t.Context()) },
	} {
		_, err := do()
		var e *admin.Error
		if !errors.As(err, &e) || e.Code != admin.CodeInvalidConfig {
			t.Fatalf("got %v", err)
		}
		want := []admin.ConfigError{
			{Text: `unknown key "comand"`, At: "f.yaml:3:5", Mend: `did you mean "command"?`}, {Text: "is wrong", At: "server.listen"},
		}
		if diff := cmp.Diff(want, e.Errors); diff != "" {
			t.Error(diff)
		}
		if c := (*config.Errors)(nil); !errors.As(err, &c) {
			t.Error("what the files said is lost")
		}
	}
	if len(told) != 1 || r.names() != "a" {
		t.Errorf("told %d times; %s", len(told), r.names())
	}
	list, _ := r.Events(0)
	if !slices.ContainsFunc(list, func(e admin.Event) bool {
		return e.Kind == "reload_refused" && strings.Contains(e.Text, "by the program")
	}) {
		t.Errorf("no event of it: %+v", list)
	}
	none := start(t, settings(t, "b"), new(linktest.Dialer))
	if _, err := none.Reload(t.Context()); code(err) != admin.CodeNotReloadable {
		t.Errorf("without files: %v", err)
	}
}

func TestRunningConfigurationIsShown(t *testing.T) {
	cfg := settings(t, "a", "remote=http")
	cfg.Admin.Token = "s3cret-token"
	cfg.Upstreams[0].Env = map[string]string{"X": "s3cret-env"}
	cfg.Upstreams[1].URL = "https://me:s3cret-pass@x.example/mcp?key=s3cret-query"
	cfg.Alerts.Webhooks = []alert.Webhook{{URL: "https://hooks.example/s3cret-path", Headers: map[string]alert.Secret{"Authorization": "s3cret-header"}, MinDown: time.Minute}}
	raw, err := start(t, cfg, new(linktest.Dialer)).Config()
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	if strings.Contains(text, "s3cret") {
		t.Errorf("a secret is shown: %s", text)
	}
	for _, want := range []string{`"token":"***"`, `"listen":"127.0.0.1:7777"`, `"session_timeout":"1h0m0s"`, `"X":"***"`, `"a":{`, `"remote":{`, `"state_dir"`, `"min_down":"1m0s"`, "https://hooks.example"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
}
