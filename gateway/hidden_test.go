package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// recorder notes what servers are asked besides for their lists.
type recorder struct {
	mu   sync.Mutex // guards seen
	seen []string   // "SERVER METHOD PARAMS"
}

// record has a server offer these, and its requests noted.
func (rec *recorder) record(s *linktest.Server, offers map[string]string) {
	s.Capabilities = json.RawMessage(`{"tools":{},"prompts":{},"resources":{"subscribe":true},"completions":{},"logging":{}}`)
	s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if strings.HasSuffix(method, "/list") {
			if method == "resources/templates/list" {
				method = "resourceTemplates/list"
			}
			kind := strings.TrimSuffix(method, "/list")
			return json.RawMessage(`{"` + kind + `":[` + offers[kind] + `]}`), nil
		}
		if method == "ping" {
			return nil, nil
		}
		sent := r.Edits.Apply(nil, r.Message.Raw)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.seen = append(rec.seen, s.Name+" "+method+" "+string(sent))
		return nil, nil
	}
}

// take returns what was noted since the last time.
func (rec *recorder) take() []string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	seen := rec.seen
	rec.seen = nil
	return seen
}

// half is a gateway with a server a of which a profile shows half, and a server b
// which it hides. The profile is asked for by its path, or is the default.
func half(t *testing.T, otherwise bool) (*rig, *recorder) {
	t.Helper()
	d, rec := new(linktest.Dialer), new(recorder)
	tool := func(name string) string { return fmt.Sprintf(`{"name":%q,"inputSchema":{"type":"object"}}`, name) }
	for _, name := range []string{"a", "b"} {
		rec.record(d.Server(name), map[string]string{
			"tools":             tool("x") + "," + tool("y") + "," + tool("z"),
			"prompts":           `{"name":"p"},{"name":"q"}`,
			"resources":         `{"uri":"` + name + `:///one","name":"r"},{"uri":"` + name + `:///secret","name":"r"}`,
			"resourceTemplates": `{"uriTemplate":"` + name + `:///{t}","name":"r"},{"uriTemplate":"` + name + `s:///{t}","name":"r"}`,
		})
	}
	p := config.Profile{Default: otherwise, Profile: router.Profile{
		Name: "half", Upstreams: []string{"a"},
		Tools:     router.ProfileTools{Deny: []string{"*__z"}, Rename: map[string]string{"a__x": "open"}},
		Prompts:   router.ProfileRules{Deny: []string{"*__q"}},
		Resources: router.ProfileRules{Deny: []string{"*:///secret", "*s:///{t}"}},
	}}
	cfg := settings(t, "a", "b")
	cfg.Profiles = []config.Profile{p}
	return start(t, cfg, d).running(), rec
}

// asker sends a request to a gateway and returns the whole answer.
type asker func(method, params string) string

// faces are the ways to the half that a profile shows: those by its path, and those
// on which it is the default.
func faces(t *testing.T, byPath, byDefault *rig) map[string]asker {
	t.Helper()
	legacy := func(r *rig, path, version string) asker {
		c := r.connectAt(path, version, `{}`)
		return func(method, params string) string {
			return c.post(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`).body
		}
	}
	modern := func(r *rig, path string) asker {
		c := r.caller(`{}`)
		c.path = path
		return func(method, params string) string { return c.call(method, params).body }
	}
	pipe := byDefault.pipe(t)
	pipe.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}`)
	pipe.hear()
	return map[string]asker{
		"by path":          legacy(byPath, "/mcp/p/half", "2025-11-25"),
		"by path, 2026":    modern(byPath, "/mcp/p/half"),
		"by default":       legacy(byDefault, "/mcp", "2024-11-05"),
		"by default, 2026": modern(byDefault, "/mcp"),
		"on stdio": func(m, p string) string {
			pipe.say(`{"jsonrpc":"2.0","id":1,"method":"` + m + `","params":` + p + `}`)
			return pipe.hear()
		},
		"by path of default": legacy(byDefault, "/mcp/p/half", "2025-06-18"),
	}
}

// What a profile hides is answered like what there is not, in the same words, and
// no server hears of it.
func TestHiddenIsUnknown(t *testing.T) {
	byPath, recA := half(t, false)
	byDefault, recB := half(t, true)
	always := func(up, uri string) string { return "interlock://" + up + "/" + url.PathEscape(uri) }
	uris := []string{
		"a:///secret", "as:///{t}", "as:///1", "b:///one", "b:///two", "b:///{t}", always("a", "a:///secret"), always("a", "as:///1"),
		always("a", "as:///{t}"), always("b", "b:///one"), always("b", "never:1"), "interlock://instructions",
	}
	for _, x := range []struct {
		method, params string // with %s for the name
		hidden         []string
		unknown        string
		legacy         string // says that only older clients know it
	}{
		{"tools/call", `{"name":%q,"arguments":{}}`, []string{"a__z", "a__x", "b__x", "b__z", "x"}, "never", ""},
		{"prompts/get", `{"name":%q}`, []string{"a__q", "b__p", "b__q"}, "never", ""},
		{"completion/complete", `{"ref":{"type":"ref/prompt","name":%q},"argument":{"name":"x","value":""}}`, []string{"a__q", "b__p"}, "never", ""},
		{"completion/complete", `{"ref":{"type":"ref/resource","uri":%q},"argument":{"name":"x","value":""}}`, uris, "never:1", ""},
		{"resources/read", `{"uri":%q}`, uris, "never:1", ""},
		{"resources/subscribe", `{"uri":%q}`, uris, "never:1", "only"},
		{"resources/unsubscribe", `{"uri":%q}`, uris, "never:1", "only"},
	} {
		for face, ask := range faces(t, byPath, byDefault) {
			if x.legacy != "" && strings.Contains(face, "2026") {
				continue
			}
			want := ask(x.method, fmt.Sprintf(x.params, x.unknown))
			if strings.Contains(want, `"result"`) && x.method != "resources/unsubscribe" && !strings.Contains(want, "isError") {
				t.Fatalf("%s, %s of what there is not: %s", face, x.method, want)
			}
			for _, name := range x.hidden {
				got := ask(x.method, fmt.Sprintf(x.params, name))
				if got = strings.ReplaceAll(got, name, x.unknown); got != want {
					t.Errorf("%s, %s of %s:\n%s\nand of what there is not:\n%s", face, x.method, name, got, want)
				}
			}
		}
	}
	for _, rec := range []*recorder{recA, recB} {
		if seen := rec.take(); seen != nil {
			t.Errorf("servers heard of it: %q", seen)
		}
	}
}

// What a client is listed it can use, and nothing else of the same.
func TestListedIsCallable(t *testing.T) {
	byPath, recA := half(t, false)
	byDefault, recB := half(t, true)
	for face, ask := range faces(t, byPath, byDefault) {
		rec := recB
		if strings.HasPrefix(face, "by path") && face != "by path of default" {
			rec = recA
		}
		for _, x := range []struct {
			kind, list, name, method, params string
			want                             []string // what the server is asked for
		}{
			{"tools", "tools/list", "name", "tools/call", `{"name":%q,"arguments":{}}`, []string{`"name":"x"`, `"name":"y"`}},
			{"prompts", "prompts/list", "name", "prompts/get", `{"name":%q}`, []string{`"name":"p"`}},
			{"resources", "resources/list", "uri", "resources/read", `{"uri":%q}`, []string{`"uri":"a:///one"`}},
			{"resourceTemplates", "resources/templates/list", "uriTemplate", "completion/complete", `{"ref":{"type":"ref/resource","uri":%q}}`, []string{`"uri":"a:///{t}"`}},
		} {
			var list struct{ Result map[string]json.RawMessage }
			var items []map[string]any
			if json.Unmarshal([]byte(ask(x.list, `{}`)), &list) != nil || json.Unmarshal(list.Result[x.kind], &items) != nil {
				t.Fatalf("%s: no list", x.list)
			}
			if len(items) != len(x.want) {
				t.Errorf("%s, %s: %v", face, x.kind, items)
				continue
			}
			rec.take()
			for i, item := range items {
				answer := ask(x.method, fmt.Sprintf(x.params, item[x.name]))
				seen := rec.take()
				if len(seen) != 1 || !strings.HasPrefix(seen[0], "a "+x.method+" ") || !strings.Contains(seen[0], x.want[i]) {
					t.Errorf("%s, %s %v: the server was asked %q, and the client told %s", face, x.method, item[x.name], seen, answer)
				}
			}
		}
	}
}

// A client of 2026-07-28 is agreed with on nothing that is hidden.
func TestListenToWhatIsHidden(t *testing.T) {
	r, rec := half(t, false)
	c := r.caller(`{}`)
	c.path = "/mcp/p/half"
	events := c.listening(t.Context(), "1", `{"toolsListChanged":true,"resourceSubscriptions":["a:///secret","b:///one","interlock://b/b%3A%2F%2F%2Fone","as:///1","a:///one"]}`)
	has(t, "acknowledgement", c.next(events), `"notifications":{"toolsListChanged":true,"resourceSubscriptions":["a:///one"]}`)
	if seen := rec.take(); len(seen) != 1 || !strings.Contains(seen[0], `"a:///one"`) {
		t.Errorf("servers were asked %q", seen)
	}
}

// Under one upstream's own path a profile's client sees its half of it.
func TestHiddenUnderOneUpstream(t *testing.T) {
	r, rec := half(t, true)
	c := r.connectAt("/mcp/u/a", "2025-11-25", `{}`)
	if d := cmp.Diff([]string{"x", "y"}, c.tools()); d != "" {
		t.Error("-want +got", d)
	}
	want := c.post(calls("1", "never", `{}`)).body
	if got := c.post(calls("1", "z", `{}`)).body; strings.ReplaceAll(got, `\"z\"`, `\"never\"`) != want {
		t.Errorf("hidden: %s, unknown: %s", got, want)
	}
	if got := rec.take(); got != nil {
		t.Errorf("the server was asked %q", got)
	}
	hidden := (&client{r: r, path: "/mcp/u/b"}).post(`{}`)
	nobody := (&client{r: r, path: "/mcp/u/nobody"}).post(`{}`)
	if hidden.status != 404 || nobody.status != 404 || strings.ReplaceAll(hidden.body, `"b"`, `"nobody"`) != nobody.body {
		t.Errorf("%d %s, %d %s", hidden.status, hidden.body, nobody.status, nobody.body)
	}
}

// What a session sets or extends concerns the servers that it sees.
func TestHiddenIsNotTold(t *testing.T) {
	r, rec := half(t, false)
	c := r.connectAt("/mcp/p/half", "2025-11-25", `{}`)
	c.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"debug"}}`)
	if seen := rec.take(); len(seen) != 1 || !strings.HasPrefix(seen[0], "a logging/setLevel ") {
		t.Errorf("servers were asked %q", seen)
	}
	// Nor does its level count where others set theirs.
	whole := r.connect(`{}`)
	whole.post(`{"jsonrpc":"2.0","id":1,"method":"logging/setLevel","params":{"level":"error"}}`)
	seen := rec.take()
	slices.Sort(seen)
	if len(seen) < 1 || !strings.HasPrefix(seen[len(seen)-1], "b ") || !strings.Contains(seen[len(seen)-1], `"error"`) {
		t.Errorf("servers were asked %q", seen)
	}
}

// reloading is a rig whose configuration changes as change says.
func reloading(t *testing.T, d *linktest.Dialer, cfg *config.Config) (r *rig, change func(func(*config.Config))) {
	t.Helper()
	next := cfg
	r = startWith(t, cfg, Options{Dialer: d, Load: func() (*config.Config, error) { return next, nil }}).running()
	return r, func(f func(*config.Config)) {
		t.Helper()
		c := *next
		c.Profiles = slices.Clone(c.Profiles)
		f(&c)
		next = &c
		if _, err := r.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Alive(t.Context())
	}
}

// A reload applies to those who are there: they are told if what they see has
// changed, and only then, and no longer hear of what is hidden from them.
func TestProfilesReload(t *testing.T) {
	d, rec := new(linktest.Dialer), new(recorder)
	for _, name := range []string{"a", "b"} {
		rec.record(d.Server(name), map[string]string{"tools": `{"name":"x","inputSchema":{"type":"object"}}`, "resources": `{"uri":"` + name + `:1","name":"r"}`})
	}
	cfg := settings(t, "a", "b=http")
	cfg.Profiles = []config.Profile{profile("one", "a"), profile("two", "b")}
	r, change := reloading(t, d, cfg)

	whole, one := r.connect(`{}`), r.connectAt("/mcp/p/one", "2025-11-25", `{}`)
	heardWhole, heardOne := whole.listen(t.Context()), one.listen(t.Context())
	modern := r.caller(`{}`)
	heardModern := modern.listening(t.Context(), "1", `{"toolsListChanged":true,"resourceSubscriptions":["a:1"]}`)
	whole.next(heardModern) // the acknowledgement
	for _, uri := range []string{"a:1", "b:1"} {
		whole.post(`{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":"` + uri + `"}}`)
	}
	own := d.Server("b").Last() // the link of whole's session

	change(func(c *config.Config) { c.Profiles[0].Tools.Deny = []string{"*"} })
	if got := one.next(heardOne); !strings.Contains(got, "tools/list_changed") {
		t.Errorf("the profile's client hears %s", got)
	}
	if n := len(one.tools()); n != 0 {
		t.Errorf("%d tools", n)
	}
	// Now all who did not ask for a profile get one that hides a, and soon b.
	change(func(c *config.Config) { c.Profiles[1].Default = true })
	has(t, "the whole's client", whole.next(heardWhole), "tools/list_changed")
	has(t, "the whole's client", whole.next(heardWhole), "resources/list_changed")
	has(t, "the client of 2026-07-28", whole.next(heardModern), "tools/list_changed")
	if d := cmp.Diff([]string{"b__x"}, whole.tools()); d != "" {
		t.Error("-want +got", d)
	}
	updates(t, d.Server("a").Last(), "a:1") // is not told to anybody
	updates(t, own, "b:1")
	has(t, "the whole's client", whole.next(heardWhole), `"uri":"b:1"`)
	change(func(c *config.Config) { c.Profiles[1].Upstreams = []string{"a"} })
	has(t, "the whole's client", whole.next(heardWhole), "tools/list_changed")
	has(t, "the whole's client", whole.next(heardWhole), "resources/list_changed")
	has(t, "the client of 2026-07-28", whole.next(heardModern), "tools/list_changed")
	updates(t, own, "b:1")
	own.Say("notifications/message")
	updates(t, d.Server("a").Last(), "a:1")
	has(t, "the whole's client", whole.next(heardWhole), `"uri":"a:1"`)
	has(t, "the client of 2026-07-28", whole.next(heardModern), `"uri":"a:1"`)
	// A profile that is gone leaves nothing.
	change(func(c *config.Config) { c.Profiles = c.Profiles[1:] })
	if got := one.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); got.status != 404 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// A profile's client is told of extensions, and reaches tasks and methods of them,
// as far as it sees their servers.
func TestHiddenExtensions(t *testing.T) {
	d := new(linktest.Dialer)
	for _, name := range []string{"a", "b"} {
		now(d, name, `{"io.modelcontextprotocol/tasks":{},"com.acme/`+name+`":{}}`, func(method string, _ jsonrpc.Message, _ *upstream.Request) (json.RawMessage, error) {
			if method == "tools/call" {
				return json.RawMessage(`{"resultType":"task","taskId":"task-` + name + `","status":"working","ttlMs":1}`), nil
			}
			return json.RawMessage(`{"resultType":"complete","by":"` + name + `"}`), nil
		})
	}
	cfg := settings(t, "a", "b", "c", "d") // the last two have none
	cfg.Profiles = []config.Profile{profile("some", "a", "c"), profile("none", "c", "d")}
	r, change := reloading(t, d, cfg)
	c := r.caller(`{}`)
	has(t, "a task", c.tool("b__do", "").body, `"taskId":"task-b"`)
	has(t, "its server", c.call("tasks/get", `{"taskId":"task-b"}`).body, `"by":"b"`)

	some := r.caller(`{}`)
	some.path = "/mcp/p/some"
	has(t, "discover", some.call("server/discover", `{}`).body, `"extensions":{"io.modelcontextprotocol/tasks":{},"com.acme/a":{}}`)
	has(t, "a method of an extension", some.call("a/list", `{}`).body, `"by":"a"`)
	asked := d.Server("b").Asked("tasks/get") + d.Server("b").Asked("b/list")
	for _, method := range []string{"b/list", "tasks/get"} { // the only one left that can be meant
		has(t, method, some.call(method, `{"taskId":"task-b"}`).body, `"by":"a"`)
	}
	none := r.caller(`{}`)
	none.path = "/mcp/p/none"
	if got := none.call("server/discover", `{}`).body; strings.Contains(got, "extensions") {
		t.Errorf("discover: %s", got)
	}
	same := func(method, hidden, unknown string) {
		t.Helper()
		a, b := none.call(method, `{"taskId":"`+hidden+`"}`), none.call(method, `{"taskId":"`+unknown+`"}`)
		if a.status != b.status || strings.ReplaceAll(a.body, hidden, unknown) != b.body || a.rpcCode() == 0 {
			t.Errorf("%s: %s, and %s", method, a.body, b.body)
		}
	}
	same("tasks/get", "task-b", "never")
	same("tasks/cancel", "task-b", "never")
	if a, b := none.call("b/list", `{}`), none.call("q/list", `{}`); strings.ReplaceAll(a.body, "b/list", "q/list") != b.body {
		t.Errorf("a method: %s, and %s", a.body, b.body)
	}
	// A task that the client was given is hidden with its server.
	change(func(c *config.Config) { c.Profiles[1].Default = true })
	if got := c.call("tasks/get", `{"taskId":"task-b"}`); got.rpcCode() == 0 {
		t.Errorf("the task: %s", got.body)
	}
	if now := d.Server("b").Asked("tasks/get") + d.Server("b").Asked("b/list"); now != asked {
		t.Errorf("b was asked %d times", now-asked)
	}
}

// Where one server has the resources that nobody lists, a profile hides them with it.
func TestHiddenSole(t *testing.T) {
	d, rec := new(linktest.Dialer), new(recorder)
	rec.record(d.Server("b"), map[string]string{"tools": `{"name":"x","inputSchema":{"type":"object"}}`})
	d.Server("a").Tools = []string{"x"}
	d.Server("a").Capabilities = json.RawMessage(`{"tools":{}}`)
	cfg := settings(t, "a", "b")
	cfg.Profiles = []config.Profile{profile("one", "a"), profile("two", "b")}
	r := start(t, cfg, d).running()
	read := func(path string) string {
		return r.connectAt(path, "2025-11-25", `{}`).post(`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"any:1"}}`).body
	}
	if got := read("/mcp/p/one"); !strings.Contains(got, `unknown resource`) || rec.take() != nil {
		t.Errorf("hidden: %s", got)
	}
	if got := read("/mcp/p/two"); !strings.Contains(got, `"result"`) || len(rec.take()) != 1 {
		t.Errorf("shown: %s", got)
	}
}
