package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// on returns what f says of each definition, but for those it says nothing of.
func on(f func(d *policy.Definition) (policy.Effect, string)) func([]*policy.Definition) []policy.Verdict {
	return func(all []*policy.Definition) (out []policy.Verdict) {
		for _, d := range all {
			if e, raw := f(d); e != "" {
				out = append(out, policy.Verdict{Definition: d, Effect: e, Reason: "it looks odd", Raw: []byte(raw)})
			}
		}
		return out
	}
}

// event blocks until something of the kind has happened, and returns it.
func (r *rig) event(kind string) admin.Event {
	r.t.Helper()
	for {
		all, changed := r.Events(0)
		if i := slices.IndexFunc(all, func(e admin.Event) bool { return e.Kind == kind }); i >= 0 {
			return all[i]
		}
		select {
		case <-changed:
		case <-r.t.Context().Done():
			r.t.Fatal("no event " + kind)
		}
	}
}

// What policies hide is neither listed nor reached, and told apart from nothing that
// never was; what they change is listed as they made it.
func TestDefinitionsAreVetted(t *testing.T) {
	d := new(linktest.Dialer)
	s := stocked(d, "a")
	s.Instructions = "be good"
	script := s.OnRequest
	s.OnRequest = func(ctx context.Context, l *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method == "tools/list" {
			return json.RawMessage(`{"tools":[{"name":"do","inputSchema":{"type":"object"}},{"name":"kept","description":"foul","inputSchema":{"type":"object"}},{"name":"noted","inputSchema":{"type":"object"}}]}`), nil
		}
		return script(ctx, l, method, r)
	}
	var given []*policy.Definition
	vetter := &inspector{vet: func(all []*policy.Definition) []policy.Verdict {
		given = all
		return on(func(d *policy.Definition) (policy.Effect, string) {
			switch d.Name {
			case "kept":
				return policy.Change, strings.ReplaceAll(string(d.Raw), "foul", "fine")
			case "noted":
				return policy.Report, ""
			}
			return policy.Hide, ""
		})(all)
	}}
	dry := &inspector{vet: on(func(*policy.Definition) (policy.Effect, string) { return policy.Hide, "" })}
	cfg := settings(t, "a")
	cfg.Upstreams[0].Tags, cfg.Upstreams[0].TrustAnnotations = []string{"private"}, true
	r := startWith(t, governed(cfg, "vetter", "dry"), Options{Dialer: d, makePolicies: these(step("vetter", vetter),
		policy.Step{Name: "dry", Policy: dry, DryRun: true})}).running()
	c := r.connect(`{}`)
	post := func(method, params string) string {
		return c.post(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`).body
	}
	if got := post("tools/list", `{}`); strings.Contains(got, "a__do") || !strings.Contains(got, `"description":"fine"`) || !strings.Contains(got, "a__noted") {
		t.Errorf("the tools are %s", got)
	}
	for _, method := range []string{"prompts/list", "resources/list", "resources/templates/list"} {
		if got := post(method, `{}`); strings.Contains(got, "greet") || strings.Contains(got, "file:///x") || strings.Contains(got, "db://") {
			t.Errorf("%s: %s", method, got)
		}
	}
	// Each looks like what never was.
	for _, q := range []struct{ method, hidden, never string }{
		{"tools/call", `{"name":"a__do"}`, `{"name":"a__no"}`},
		{"prompts/get", `{"name":"a__greet"}`, `{"name":"a__grief"}`},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":"a__greet"},"argument":{}}`, `{"ref":{"type":"ref/prompt","name":"a__grief"},"argument":{}}`},
		{"resources/read", `{"uri":"file:///x"}`, ""},
		{"resources/subscribe", `{"uri":"file:///x"}`, ""},
		{"resources/read", `{"uri":"interlock://a/file%3A%2F%2F%2Fx"}`, ""},
		{"resources/read", `{"uri":"db://7"}`, ""},
		{"resources/read", `{"uri":"interlock://a/db%3A%2F%2F7"}`, ""},
		{"completion/complete", `{"ref":{"type":"ref/resource","uri":"db://{t}"},"argument":{}}`, ""},
	} {
		before := d.Server("a").Asked(q.method)
		got := post(q.method, q.hidden)
		if !strings.Contains(got, `"error"`) || strings.Contains(got, "odd") || strings.Contains(got, "polic") {
			t.Errorf("%s %s: %s", q.method, q.hidden, got)
		}
		if q.never != "" {
			if never := post(q.method, q.never); strings.NewReplacer("a__no", "a__do", "grief", "greet").Replace(never) != got {
				t.Errorf("%s: hidden is %s\nand unknown %s", q.method, got, never)
			}
		}
		if d.Server("a").Asked(q.method) != before {
			t.Errorf("%s %s reaches the upstream", q.method, q.hidden)
		}
	}
	if got := r.connectAt("/mcp/u/a", "2025-11-25", `{}`).post(calls("1", "do", "{}")); got.rpcCode() != -32602 {
		t.Errorf("in the view of one upstream: %s", got.body)
	}
	if got := r.view.Load().catalog.FullInstructions(); got != "" {
		t.Errorf("the instructions are %q", got)
	}
	// A call has the definition that was vetted, of the upstream's own making.
	c.post(calls("1", "a__kept", "{}"))
	at := slices.IndexFunc(given, func(d *policy.Definition) bool { return d.Name == "kept" })
	if def := vetter.last().Definition; def != given[at] || !strings.Contains(string(def.Raw), "foul") || def.Exposed != "a__kept" || !def.Trusted || def.Tags[0] != "private" {
		t.Errorf("the call's definition is %+v", def)
	}
	kinds := map[string]int{}
	for _, p := range r.Problems() {
		kinds[p.Kind]++
		if p.Kind == withheldProblem && p.Name == "do" && p.Text != `tool "do" of upstream "a" is hidden by policy "vetter": it looks odd` {
			t.Errorf("problem %+v", p)
		}
	}
	if kinds[withheldProblem] != 5 || kinds[alteredProblem] != 1 || kinds[notedProblem] != 1+7 {
		t.Errorf("problems %v", kinds)
	}
	if e := r.event("definition"); e.Upstream != "a" || !strings.Contains(e.Text, "by policy") {
		t.Errorf("event %+v", e)
	}
	alerts := 0
	all, _ := r.Events(0)
	for _, e := range all {
		if e.Kind == "alert" && strings.Contains(e.Text, "(and 6 more)") {
			alerts++
		}
	}
	if alerts != 1 {
		t.Errorf("%d alerts, want one for all", alerts)
	}
}

// A tool that is hidden keeps its name: no other server's tool is called in its
// place.
func TestHiddenNamesStayTaken(t *testing.T) {
	d := new(linktest.Dialer)
	for _, name := range []string{"a", "b"} {
		s := d.Server(name)
		s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			switch method {
			case "tools/list":
				return json.RawMessage(`{"tools":[{"name":"do","inputSchema":{"type":"object"}}]}`), nil
			case "resources/list":
				return json.RawMessage(`{"resources":[{"uri":"file:///x","name":"x"}]}`), nil
			}
			return nil, nil
		}
	}
	vetter := &inspector{vet: on(func(d *policy.Definition) (policy.Effect, string) {
		if d.Upstream == "a" {
			return policy.Hide, ""
		}
		return "", ""
	})}
	cfg := settings(t, "a", "b")
	none := ""
	cfg.Upstreams[0].Prefix, cfg.Upstreams[1].Prefix = &none, &none
	r := startWith(t, governed(cfg, "vetter"), Options{Dialer: d, makePolicies: these(step("vetter", vetter))}).running()
	c := r.connect(`{}`)
	if got := c.post(calls("1", "do", "{}")); got.rpcCode() != -32602 {
		t.Errorf("the tool of the other server: %s", got.body)
	}
	if got := c.post(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///x"}}`); got.rpcCode() != codeResourceNotFound {
		t.Errorf("the resource of the other server: %s", got.body)
	}
	if n := d.Server("b").Asked("tools/call") + d.Server("b").Asked("resources/read"); n != 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

// A policy can have everything vetted anew, what did not change is the same, and
// nothing is told twice.
func TestVettedAgain(t *testing.T) {
	d := dialer("do")
	hide := true
	var given [][]*policy.Definition
	rounds := make(chan struct{}, 100)
	vetter := &inspector{vet: func(all []*policy.Definition) []policy.Verdict {
		defer func() { rounds <- struct{}{} }()
		given = append(given, all)
		return on(func(*policy.Definition) (policy.Effect, string) {
			if hide {
				return policy.Hide, ""
			}
			return "", ""
		})(all)
	}}
	r := startWith(t, governed(settings(t, "a"), "vetter"), Options{Dialer: d, makePolicies: these(step("vetter", vetter))}).running()
	r.event("definition")
	for len(given) == 0 || len(given[len(given)-1]) == 0 {
		<-rounds
	}
	c := r.connect(`{}`)
	if got := c.post(calls("1", "a__do", "{}")); got.rpcCode() != -32602 {
		t.Fatalf("the hidden tool: %s", got.body)
	}
	again := func() {
		for len(rounds) > 0 {
			<-rounds
		}
		r.rules.env.Again()
		<-rounds
		if !r.Alive(t.Context()) { // the view is published when the publisher waits again
			t.Fatal("the publisher is gone")
		}
	}
	again()
	hide = false
	again()
	if got := c.post(calls("2", "a__do", "{}")); got.rpcCode() != 0 {
		t.Errorf("the tool that was shown again: %s", got.body)
	}
	if a, b := given[len(given)-2][0], given[len(given)-1][0]; a != b {
		t.Error("the definition is another one, and nothing changed")
	}
	all, _ := r.Events(0)
	if n := len(slices.DeleteFunc(all, func(e admin.Event) bool { return e.Kind != "definition" })); n != 1 {
		t.Errorf("told %d times", n)
	}
}
