package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// roster runs a gateway for cfg that keeps what is added in its state folder.
func roster(t *testing.T, cfg *config.Config, d *linktest.Dialer) *rig {
	t.Helper()
	r := startWith(t, cfg, Options{Dialer: d, Added: filepath.Join(cfg.StateDir, AddedFile)})
	r.dialer = d
	return r
}

func entries(s string) admin.AddOrder {
	return admin.AddOrder{Entries: json.RawMessage(s), Commands: true, Wait: true}
}

// names are those of the upstreams, in order.
func (r *rig) names() string {
	var out []string
	for _, u := range r.List(admin.Select{}) {
		out = append(out, u.Name)
	}
	return strings.Join(out, " ")
}

func (r *rig) add(s string) []admin.Outcome {
	r.t.Helper()
	out, err := r.Add(r.t.Context(), entries(s))
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// words are the outcomes in short: the code of the fault, else the state.
func words(list []admin.Outcome) string {
	var out []string
	for _, o := range list {
		w := o.State
		if !o.OK {
			w = o.Error.Code
		}
		out = append(out, o.Name+":"+w)
	}
	return strings.Join(out, " ")
}

func code(err error) string {
	e := new(admin.Error)
	if !errors.As(err, &e) {
		return ""
	}
	return e.Code
}

func TestAdd(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	cfg := settings(t, "a")
	d := dialer("do")
	d.Server("new").Tools = []string{"make"}
	r := roster(t, cfg, d).running()
	if got := words(r.add(`{"mcpServers": {"new": {"command": "npx", "env": {"KEY": "${HOME}"}}}}`)); got != "new:running" {
		t.Errorf("added: %s", got)
	}
	r.running()
	if tools := r.Tools(); len(tools) != 2 || tools[1].Name != "new__make" {
		t.Errorf("tools: %+v", tools)
	}
	if i, err := r.Info("new"); err != nil || i.Source != "added" || strings.Contains(string(i.Config), os.Getenv("HOME")) {
		t.Errorf("info: %+v %v", i, err)
	}
	if i, _ := r.Info("a"); i.Source != "file" {
		t.Errorf("info of a: %+v", i)
	}

	file := filepath.Join(cfg.StateDir, AddedFile)
	text, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(text), "${HOME}") {
		t.Errorf("kept: %s %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode: %v %v", info, err)
	}
	// It survives a reload, untouched, and a restart of the gateway.
	link := d.Server("new").Last()
	more := *cfg
	more.Upstreams = append(slices.Clone(cfg.Upstreams), settings(t, "b").Upstreams...)
	if _, err := r.Apply(t.Context(), &more); err != nil {
		t.Fatal(err)
	}
	if r.running(); r.names() != "a b new" || d.Server("new").Last() != link {
		t.Errorf("after a reload: %s", r.names())
	}
	r.stop()
	r = roster(t, cfg, d).running()
	if r.names() != "a new" {
		t.Errorf("after a restart: %s", r.names())
	}

	out := r.Remove(t.Context(), admin.Order{Names: []string{"new"}, Wait: true})
	if got := words(out); got != "new:" || len(out[0].Notes) != 0 {
		t.Errorf("removed: %+v", out)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still kept: %v", err)
	}
	<-d.Server("new").Last().Lost()
	if _, err := r.Apply(t.Context(), cfg); err != nil || r.names() != "a" {
		t.Errorf("a reload brings it back: %s %v", r.names(), err)
	}
	r.stop()
	if r = roster(t, cfg, d); r.names() != "a" {
		t.Errorf("after another restart: %s", r.names())
	}
}

func TestAddLeavesOthersAlone(t *testing.T) {
	cfg := settings(t, "a", "off")
	cfg.Upstreams[1].Enabled = false
	d := new(linktest.Dialer)
	d.Server("bad").OnDial = func(context.Context, int, *upstream.Dial) error {
		return &upstream.StartError{Stage: "spawn", Err: errors.New("no such file")}
	}
	r := roster(t, cfg, d).running()
	got := words(r.add(`{"upstreams": {"a": {"command": "x"}, "off": {"command": "x"}, "bad": {"command": "x"}, "good": {"command": "x", "depends_on": ["a"]}}}`))
	if want := "bad:start_failed good:running a:exists off:exists"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := words(r.add(`{"upstreams": {"good": {"command": "y"}}}`)); got != "good:exists" {
		t.Errorf("twice: %s", got)
	}
	if len(d.Server("a").Dials()) != 1 {
		t.Error("the one that was there was touched")
	}
}

func TestAddIsAllOrNothing(t *testing.T) {
	cfg := settings(t, "a")
	r := roster(t, cfg, new(linktest.Dialer)).running()
	_, err := r.Add(t.Context(), entries(`{"upstreams": {"b": {"command": "x"}, "c": {"command": "x", "url": "https://x.example"}, "d": {"comand": "x"}}}`))
	var e *admin.Error
	if !errors.As(err, &e) || e.Code != admin.CodeInvalidConfig || len(e.Errors) < 2 || e.Errors[0].At == "" {
		t.Errorf("got %+v", e)
	}
	if r.names() != "a" || len(r.cfg.Load().Upstreams) != 1 {
		t.Errorf("added all the same: %s", r.names())
	}
	if _, err := os.Stat(filepath.Join(cfg.StateDir, AddedFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("kept: %v", err)
	}
}

func TestAddWithoutTheSocket(t *testing.T) {
	t.Setenv("HOME", t.TempDir())
	d := new(linktest.Dialer)
	r := roster(t, settings(t, "a"), d).running()
	o := entries(`{"mcpServers": {"x": {"command": "sh", "args": ["-c", "true"]}}}`)
	o.Commands = false
	if _, err := r.Add(t.Context(), o); code(err) != admin.CodeNeedsSocket {
		t.Errorf("a command: %v", err)
	}
	o.Entries = json.RawMessage(`{"mcpServers": {"x": {"url": "https://x.example/${HOME}"}}}`)
	if _, err := r.Add(t.Context(), o); code(err) != admin.CodeNeedsSocket || strings.Contains(err.Error(), os.Getenv("HOME")) {
		t.Errorf("a variable: %v", err)
	}
	o.Entries = json.RawMessage(`{"mcpServers": {"x": {"url": "https://x.example/mcp"}}}`)
	if out, err := r.Add(t.Context(), o); err != nil || words(out) != "x:running" {
		t.Errorf("a URL: %v %v", out, err)
	}
	if r.names() != "a x" || len(d.Server("x").Dials()) != 1 {
		t.Errorf("%s: %v", r.names(), d.Events())
	}
}

// What was added may be stale after a restart; the others are there all the same.
func TestStaleAdditions(t *testing.T) {
	cfg := settings(t, "a", "b")
	doc := `{"upstreams": {"late": {"command": "x", "depends_on": ["good"]}, "lost": {"command": "x", "depends_on": ["b"]},
		"broken": {"command": "${NOT_SET_ANYWHERE}"}, "good": {"command": "x"}, "a": {"command": "hidden"}}}`
	file := filepath.Join(cfg.StateDir, AddedFile)
	if err := os.WriteFile(file, []byte(doc), 0o600); err != nil {
		t.Fatal(err)
	}
	less := *cfg
	less.Upstreams = cfg.Upstreams[:1]
	r := roster(t, &less, new(linktest.Dialer)).running()
	if r.names() != "a good late" && r.names() != "a late good" {
		t.Errorf("left: %s", r.names())
	}
	if c := r.cfg.Load().Upstream("a"); c.Command != "fake" {
		t.Errorf("the file does not win: %+v", c)
	}
	// A reload is exact: it is refused, with the place.
	_, err := r.Apply(t.Context(), cfg)
	var e *admin.Error
	if !errors.As(err, &e) || e.Code != admin.CodeInvalidConfig || !strings.HasPrefix(e.Errors[0].At, file+":") || !strings.Contains(e.Mend, "interlock remove") {
		t.Errorf("reload: %v %+v", err, e)
	}
	// Each can be removed, or be valid again.
	if out := r.Remove(t.Context(), admin.Order{Names: []string{"broken"}, Wait: true}); words(out) != "broken:" {
		t.Errorf("it cannot be removed: %+v", out)
	}
	p, err := r.Apply(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Warnings) == 0 || !strings.Contains(p.Warnings[0], "a was added at run time, and the file has one") {
		t.Errorf("warnings: %q", p.Warnings)
	}
	if r.names() != "a b late lost good" {
		t.Errorf("after all is well again: %s", r.names())
	}
}

func TestRemoveWhatTheFileHas(t *testing.T) {
	cfg := settings(t, "a", "b", "c")
	d := new(linktest.Dialer)
	r := roster(t, cfg, d).running()
	out := r.Remove(t.Context(), admin.Order{Names: []string{"b", "nope", "b"}, Wait: true})
	if got := words(out); got != "b: nope:unknown_upstream" || len(out[0].Notes) != 1 || !out[0].Done {
		t.Errorf("%+v", out)
	}
	apply := func(c *config.Config, want string) {
		t.Helper()
		if _, err := r.Apply(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		if r.names() != want {
			t.Errorf("got %s, want %s", r.names(), want)
		}
	}
	apply(cfg, "a c")
	if _, err := r.Status("b"); code(err) != admin.CodeUnknownUpstream || !strings.Contains(err.Error(), "removed at run time") {
		t.Errorf("its status: %v", err)
	}
	if out, err := r.Add(t.Context(), entries(`{"upstreams": {"b": {"command": "x"}}}`)); err != nil || words(out) != "b:exists" {
		t.Errorf("its name is the file's still: %v %v", out, err)
	}
	changed := *cfg
	changed.Upstreams = slices.Clone(cfg.Upstreams)
	changed.Upstreams[1].Args = []string{"other"}
	apply(&changed, "a b c")
	apply(cfg, "a b c")
	// Once more, and now another comes to need it.
	r.Remove(t.Context(), admin.Order{Names: []string{"b"}})
	apply(cfg, "a c")
	changed.Upstreams[1].Args = nil
	changed.Upstreams[2].DependsOn = []upstream.Dependency{{On: "b", Condition: upstream.ConditionRunning}}
	apply(&changed, "a b c")
	// A restart has it back.
	apply(cfg, "a b c")
	r.Remove(t.Context(), admin.Order{Names: []string{"b"}})
	r.stop()
	if r = roster(t, cfg, d); r.names() != "a b c" {
		t.Errorf("after a restart: %s", r.names())
	}
}

func TestRemoveWhatOthersNeed(t *testing.T) {
	cfg := settings(t, "db", "api", "web", "lone")
	on := func(name string) []upstream.Dependency {
		return []upstream.Dependency{{On: name, Condition: upstream.ConditionRunning}}
	}
	cfg.Upstreams[1].DependsOn, cfg.Upstreams[2].DependsOn = on("db"), on("api")
	d := new(linktest.Dialer)
	r := roster(t, cfg, d).running()
	if got, want := words(r.Remove(t.Context(), admin.Order{Names: []string{"db", "api", "lone"}, Wait: true})), "db:has_dependents api:has_dependents lone:"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if r.names() != "db api web" {
		t.Errorf("left: %s", r.names())
	}
	// What the mend says to do works: it names those that are above the nearest, too.
	if got, want := r.Remove(t.Context(), admin.Order{Names: []string{"db"}})[0].Error.Mend, "remove db api web together, or only stop it"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := words(r.Remove(t.Context(), admin.Order{All: true, Wait: true})), "db: api: web:"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var closed []string
	for _, e := range d.Events() {
		if name, ok := strings.CutPrefix(e, "close "); ok && name != "lone" {
			closed = append(closed, name)
		}
	}
	if diff := cmp.Diff([]string{"web", "api", "db"}, closed); diff != "" {
		t.Errorf("the order of the stops: %s", diff)
	}
}

// What cannot be kept is not done either.
func TestAddThatCannotBeKept(t *testing.T) {
	cfg := settings(t, "a")
	file := filepath.Join(cfg.StateDir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := startWith(t, cfg, Options{Dialer: new(linktest.Dialer), Added: filepath.Join(file, AddedFile)}).running()
	if _, err := r.Add(t.Context(), entries(`{"upstreams": {"b": {"command": "x"}}}`)); code(err) != admin.CodeNotKept {
		t.Errorf("got %v", err)
	}
	if r.names() != "a" {
		t.Errorf("added all the same: %s", r.names())
	}
}

func TestNoRosterChangesWhileDraining(t *testing.T) {
	r := roster(t, settings(t, "a"), new(linktest.Dialer)).running()
	r.Drain(done0())
	if _, err := r.Add(t.Context(), entries(`{"upstreams": {"b": {"command": "x"}}}`)); code(err) != admin.CodeDraining {
		t.Errorf("add: %v", err)
	}
	for name, do := range map[string]func(context.Context, admin.Order) []admin.Outcome{"start": r.Start, "remove": r.Remove} {
		if got := words(do(t.Context(), admin.Order{All: true})); got != "a:draining" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// Additions, removals and reloads at the same time end in what is kept.
func TestRosterUnderReloads(t *testing.T) {
	cfg := settings(t, "a", "b")
	d := new(linktest.Dialer)
	r := roster(t, cfg, d).running()
	var all sync.WaitGroup
	for _, name := range []string{"w", "x", "y", "z"} {
		all.Go(func() {
			for i := range 10 {
				out, err := r.Add(t.Context(), entries(`{"upstreams": {"`+name+`": {"command": "x"}}}`))
				if err != nil || !out[0].OK {
					t.Errorf("add: %v %v", out, err)
				}
				if i == 9 && name < "y" {
					break // these stay
				}
				if out := r.Remove(t.Context(), admin.Order{Names: []string{name}, Wait: true}); !out[0].OK {
					t.Errorf("remove: %+v", out)
				}
			}
		})
	}
	for range 2 {
		all.Go(func() {
			for i := range 20 {
				next := *cfg
				next.Upstreams = cfg.Upstreams[:1+i%2]
				if _, err := r.Apply(t.Context(), &next); err != nil {
					t.Errorf("reload: %v", err)
				}
			}
		})
	}
	all.Wait()
	if got := r.names(); got != "a b w x" && got != "a b x w" {
		t.Errorf("in the end: %s", got)
	}
	if n := len(d.Server("a").Dials()); n != 1 {
		t.Errorf("the one that never changed was dialled %d times", n)
	}
	r.stop()
	if again := roster(t, cfg, d); again.names() != r.names() {
		t.Errorf("after a restart: %s", again.names())
	}
}
