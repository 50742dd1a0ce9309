package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// confined is a gateway of a and b, where alice sees a alone and bob what he asks
// for, and the keys of both.
func confined(t *testing.T) (*rig, map[string]string) {
	t.Helper()
	d := new(linktest.Dialer)
	for _, name := range []string{"a", "b"} {
		d.Server(name).Tools, d.Server(name).Instructions = []string{"x"}, "About "+name+"."
	}
	cfg := settings(t, "a", "b")
	keys := keyed(cfg, "alice", "bob")
	mine, open := profile("mine", "a"), profile("open", "b")
	mine.Principals = []string{"ali*"}
	cfg.Profiles = []config.Profile{mine, open}
	return start(t, cfg, d).running(), keys
}

// A principal that a profile lists sees that and no more, whatever path it takes.
func TestConfinedPrincipal(t *testing.T) {
	r, keys := confined(t)
	at := func(path, key string) *client { return &client{r: r, path: path, version: "2025-11-25", key: key} }
	for path, want := range map[string][]string{"/mcp": {"a__x"}, "/mcp/p/mine": {"a__x"}, "/mcp/u/a": {"x"}} {
		c := at(path, keys["alice"]).begin("{}")
		if d := cmp.Diff(want, c.tools()); d != "" {
			t.Errorf("alice at %s: -want +got %s", path, d)
		}
		if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`).body; !strings.Contains(got, "About a.") || strings.Contains(got, "About b.") {
			t.Errorf("alice at %s is told %s", path, got)
		}
		m := r.caller("{}")
		m.path, m.key = path, keys["alice"]
		if got := m.call("tools/list", `{}`).body; strings.Contains(got, "b__x") || !strings.Contains(got, want[0]) {
			t.Errorf("alice at %s is listed %s", path, got)
		}
	}
	older := at("/sse", keys["alice"])
	events := older.listen(t.Context())
	older.path = string((<-events).Data)
	for _, body := range []string{
		`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2024-11-05","capabilities":{}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
	} {
		older.post(body)
		if got := older.next(events); strings.Contains(got, "b__x") || strings.Contains(got, "About b.") || !strings.Contains(got, " a.") && !strings.Contains(got, "a__x") {
			t.Errorf("alice at /sse is told %s", got)
		}
	}
	// One that is not hers is answered as one that there is not.
	for _, names := range [][2]string{{"/mcp/p/open", "/mcp/p/nope"}, {"/mcp/u/b", "/mcp/u/nope"}} {
		hers, nobodys := at(names[0], keys["alice"]).post(`{}`), at(names[1], keys["alice"]).post(`{}`)
		name := names[0][strings.LastIndexByte(names[0], '/')+1:]
		if hers.status != http.StatusNotFound || nobodys.status != http.StatusNotFound || strings.ReplaceAll(hers.body, name, "nope") != nobodys.body {
			t.Errorf("%d %s, and %d %s", hers.status, hers.body, nobodys.status, nobodys.body)
		}
	}
	if got := at("/mcp/p/mine", keys["bob"]).post(`{}`); got.status != http.StatusNotFound {
		t.Errorf("bob has alice's: %d %s", got.status, got.body)
	}
	if d := cmp.Diff([]string{"a__x", "b__x"}, at("/mcp", keys["bob"]).begin("{}").tools()); d != "" {
		t.Errorf("bob: -want +got %s", d)
	}
	if d := cmp.Diff([]string{"b__x"}, at("/mcp/p/open", keys["bob"]).begin("{}").tools()); d != "" {
		t.Errorf("bob: -want +got %s", d)
	}
	// A session is good for the path that it was begun at.
	s := at("/mcp/p/open", keys["bob"]).begin("{}")
	s.path = "/mcp"
	if got := s.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); got.status != http.StatusNotFound {
		t.Errorf("a session of another path: %d %s", got.status, got.body)
	}
}

// Who joins a group sees what it may from the next request on, and hears of it.
func TestGroupsOfTheLastRequest(t *testing.T) {
	d := new(linktest.Dialer)
	d.Server("a").Tools, d.Server("b").Tools = []string{"x"}, []string{"x"}
	cfg := settings(t, "a", "b")
	ops, rest := profile("ops"), profile("rest", "a")
	ops.Principals, rest.Default = []string{"group:ops"}, true
	cfg.Profiles = []config.Profile{ops, rest}
	r := start(t, cfg, d).running()
	s := newSession(ticket{Nonce: "n", Version: "2025-11-25"}, "")
	s.home = nowhere{}
	list := func(groups ...string) string {
		p := &policy.Principal{Issuer: "i", Subject: "s", Groups: groups}
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x", http.NoBody)
		m := serverMessage(t, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`)
		return string(r.serve(t.Context(), r.exchange(s, m, s.home, visitor{request: req, principal: p}, func(error) {})).bytes())
	}
	if got := list(); strings.Contains(got, "b__x") || r.sees(s, "b") {
		t.Errorf("without a group: %s", got)
	}
	if got := list("ops"); !strings.Contains(got, "b__x") || !r.sees(s, "b") {
		t.Errorf("in the group: %s", got)
	}
	if got := list("dev"); strings.Contains(got, "b__x") || r.sees(s, "b") {
		t.Errorf("no longer in the group: %s", got)
	}
}

// A server that has not listed anything is waited for by those who would see it.
func TestHiddenAndUnlearnt(t *testing.T) {
	d := dialer("x")
	d.Server("b").OnDial = func(context.Context, int, *upstream.Dial) error {
		return &upstream.StartError{Stage: "spawn", Err: fmt.Errorf("no such file")}
	}
	cfg := settings(t, "a", "b")
	hides, denies := profile("hides", "a"), profile("denies")
	denies.Tools.Deny = []string{"b__no"}
	cfg.Profiles = []config.Profile{hides, denies}
	cfg.Server.ListWait = 0
	r := start(t, cfg, d)
	r.until(func() bool {
		return r.set.Upstream("a").Inventory() != nil && r.set.Upstream("b").Status().Failure != nil
	})
	for _, x := range []struct{ path, tool, want string }{
		{"/mcp", "b__no", "has not listed what it offers yet"},
		{"/mcp/p/hides", "b__no", "unknown tool"},
		{"/mcp/p/denies", "b__no", "unknown tool"},
		{"/mcp/p/denies", "b__yes", "has not listed what it offers yet"},
		{"/mcp/u/b", "no", "has not listed what it offers yet"},
		{"/mcp/u/a", "no", "unknown tool"},
	} {
		has(t, x.path, r.connectAt(x.path, "2025-11-25", `{}`).post(calls("1", x.tool, `{}`)).body, x.want)
	}
}

// The operator sees all there is, and what he asks to see; a client on stdio what it
// was given, which may be nothing.
func TestGivenProfiles(t *testing.T) {
	p, q := profile("p", "a"), profile("q", "b")
	p.Default = true
	r := profiled(t, p, q)
	call := func(profile, tool string) string {
		result, err := r.CallIn(t.Context(), profile, tool, nil)
		return fmt.Sprint(string(result), err)
	}
	if _, err := r.Call(t.Context(), "b__x", nil); err != nil {
		t.Errorf("the operator: %v", err)
	}
	has(t, "the operator with a profile", call("p", "b__x"), "unknown tool")
	has(t, "the operator with a profile", call("nope", "b__x"), `no profile is named "nope"`)
	if got := call("q", "b__x"); strings.Contains(got, "unknown") {
		t.Errorf("the operator with a profile: %s", got)
	}
	for name, want := range map[string]string{"q": "b__x", "": "a__x", "gone": `{"tools":[]}`} {
		in, out := strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}
{"jsonrpc":"2.0","id":2,"method":"tools/list"}
{"jsonrpc":"2.0","id":3,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}
`), new(strings.Builder)
		if err := r.ServeStdioIn(t.Context(), name, in, out); err != nil {
			t.Fatal(err)
		}
		lists := 0
		for line := range strings.Lines(out.String()) {
			if strings.Contains(line, `"tools":[`) {
				lists++
				has(t, "a client on stdio given "+name, line, strings.TrimSuffix(strings.TrimPrefix(want, "{"), "}"))
				if name == "q" && strings.Contains(line, "a__x") || name == "" && strings.Contains(line, "b__x") {
					t.Errorf("given %q: %s", name, line)
				}
			}
		}
		if lists != 2 {
			t.Errorf("given %q: %s", name, out)
		}
	}
}

// Policies know what the client of a call sees.
func TestPoliciesKnowTheProfile(t *testing.T) {
	d := dialer("x")
	cfg := settings(t, "a")
	p, q := profile("p"), profile("q", "a")
	q.Default, q.Tools.Rename = true, map[string]string{"a__x": "open"}
	cfg.Profiles = []config.Profile{p, q}
	w := new(warden)
	r := startWith(t, governed(cfg, "warden"), Options{Dialer: d, makePolicies: these(policy.Step{Name: "warden", Policy: w})}).running()
	for path, want := range map[string][2]string{"/mcp": {"q", "open"}, "/mcp/p/p": {"p", "a__x"}, "/mcp/u/a": {"q", "x"}} {
		m := r.caller(`{}`)
		m.path = path
		for _, ask := range []func(){
			func() { r.connectAt(path, "2025-11-25", `{}`).post(calls("1", want[1], `{}`)) },
			func() { m.tool(want[1], "") },
		} {
			w.seen = nil
			if ask(); w.seen == nil || w.seen.Profile != want[0] || w.seen.Exposed != want[1] || w.seen.Target != "x" || w.seen.Definition == nil {
				t.Errorf("%s: the policy saw %+v", path, w.seen)
			}
		}
	}
	if _, err := r.CallIn(t.Context(), "p", "a__x", nil); err != nil || w.seen.Profile != "p" {
		t.Errorf("the operator: %+v, %v", w.seen, err)
	}
	if _, err := r.Call(t.Context(), "a__x", nil); err != nil || w.seen.Profile != "" {
		t.Errorf("the operator: %+v, %v", w.seen, err)
	}
}

// What the operator is told of profiles, and of a reload of them.
func TestProfilesOfTheOperator(t *testing.T) {
	p, q := profile("p", "a"), profile("q", "b")
	p.Description, p.Principals, q.Default = "for a", []string{"alice"}, true
	q.Tools.Deny, q.Tools.Rename = []string{"*__z", "*__w"}, map[string]string{"b__x": "a__x"}
	r := profiled(t, p, q)
	want := []admin.Profile{
		{Name: "p", Description: "for a", Path: "/mcp/p/p", Principals: []string{"alice"}, Upstreams: []string{"a"}, Tools: 3},
		{Name: "q", Path: "/mcp/p/q", Default: true, Upstreams: []string{"b"}, Tools: 1},
	}
	if d := cmp.Diff(want, r.Profiles()); d != "" {
		t.Error("-want +got", d)
	}
	if tools, err := r.ToolsIn("q"); err != nil || len(tools) != 1 || tools[0].Name != "b__y" {
		t.Errorf("%v, %v", tools, err)
	}
	problems := r.Problems()
	if len(problems) != 1 || problems[0].Kind != "collision" || problems[0].Profile != "q" {
		t.Errorf("problems %+v", problems)
	}
	if idle := r.IdleRules(); len(idle) != 1 || idle[0].Profile != "q" || !strings.Contains(idle[0].Text, `"*__w"`) {
		t.Errorf("idle %+v", idle)
	}
	if d := cmp.Diff([]string{"n", "p", "q"}, otherProfiles([]config.Profile{p, q}, []config.Profile{q, profile("n")})); d == "" {
		t.Error("q did not change")
	}
	changed := q
	changed.Default = false
	if d := cmp.Diff([]string{"n", "p", "q"}, otherProfiles([]config.Profile{p, q}, []config.Profile{changed, profile("n")})); d != "" {
		t.Error("-want +got", d)
	}
	if got := otherProfiles([]config.Profile{p, q}, []config.Profile{p, q}); got != nil {
		t.Errorf("%q changed", got)
	}
}
