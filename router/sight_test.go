package router

import (
	"encoding/json"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// seen is the view of a profile of offers.
func seen(t *testing.T, p Profile, offers ...Offer) *Catalog {
	t.Helper()
	p.Name = "p"
	if err := p.Validate(Defaults()); err != nil {
		t.Fatal(err)
	}
	c, ok := Build(Defaults(), offers, p).Profile("p")
	if !ok || c.ProfileName() != "p" {
		t.Fatal("no profile")
	}
	return c
}

func TestProfileShows(t *testing.T) {
	red, blue := offer("a", "read", "write"), offer("b", "read", "write")
	red.Tags, blue.Tags = []string{"red", "local"}, []string{"blue"}
	for name, x := range map[string]struct {
		profile Profile
		want    []string
	}{
		"nothing said":         {Profile{}, []string{"a__read", "a__write", "b__read", "b__write"}},
		"an upstream":          {Profile{Upstreams: []string{"a"}}, []string{"a__read", "a__write"}},
		"all but an upstream":  {Profile{Upstreams: []string{"!a"}}, []string{"b__read", "b__write"}},
		"out wins":             {Profile{Upstreams: []string{"*", "!a"}}, []string{"b__read", "b__write"}},
		"a tag":                {Profile{Tags: []string{"local"}}, []string{"a__read", "a__write"}},
		"all but a tag":        {Profile{Tags: []string{"!red"}}, []string{"b__read", "b__write"}},
		"one of its tags":      {Profile{Tags: []string{"red", "!local"}}, []string{}},
		"both lists":           {Profile{Upstreams: []string{"a"}, Tags: []string{"blue"}}, []string{}},
		"tools":                {Profile{Tools: ProfileTools{Allow: []string{"*__read"}}}, []string{"a__read", "b__read"}},
		"deny wins":            {Profile{Tools: ProfileTools{Allow: []string{"*"}, Deny: []string{"a__*"}}}, []string{"b__read", "b__write"}},
		"tools of an upstream": {Profile{Upstreams: []string{"b"}, Tools: ProfileTools{Deny: []string{"?__write"}}}, []string{"b__read"}},
		"renamed":              {Profile{Tools: ProfileTools{Allow: []string{"a__*"}, Rename: map[string]string{"a__read": "look"}}}, []string{"look", "a__write"}},
		"a swap":               {Profile{Tools: ProfileTools{Rename: map[string]string{"a__read": "a__READ"}}}, []string{"a__READ", "a__write", "b__read", "b__write"}},
		"somebody else's name": {Profile{Upstreams: []string{"a"}, Tools: ProfileTools{Rename: map[string]string{"a__read": "b__READ"}}}, []string{"a__write"}},
	} {
		if d := cmp.Diff(x.want, listed(t, seen(t, x.profile, red, blue), Tools)); d != "" {
			t.Errorf("%s: -want +got %s", name, d)
		}
	}
}

// A collision is decided in the whole: whoever has lost a name does not get it where
// its owner is hidden, nor does a profile's new name take one that is kept from all.
func TestProfileGivesNobodysName(t *testing.T) {
	a, b := offer("a", "x", "kept"), offer("b", "x", "y")
	a.Prefix, b.Prefix = "", ""
	a.Withhold(Tools, "kept")
	a.Resources = []json.RawMessage{json.RawMessage(`{"uri":"s:1","name":"of a"}`)}
	b.Resources = []json.RawMessage{json.RawMessage(`{"uri":"s:1","name":"of b"}`), json.RawMessage(`{"uri":"s:2","name":"of b"}`)}
	c := seen(t, Profile{Upstreams: []string{"b"}, Tools: ProfileTools{Rename: map[string]string{"y": "kept"}}}, a, b)
	if got := listed(t, c, Tools); len(got) != 0 {
		t.Errorf("tools %q", got)
	}
	if r, ok := c.Tool("x"); ok {
		t.Errorf("x leads to %+v", r)
	}
	if got := listed(t, c, Resources); !slices.Equal(got, []string{"s:2"}) {
		t.Errorf("resources %q", got)
	}
	if r, err := c.Resource("s:1"); err == nil {
		t.Errorf("s:1 leads to %+v", r)
	}
	own, _ := c.Only("b")
	if got := listed(t, own, Tools); len(got) != 0 { // one lost its name, and one its new one
		t.Errorf("tools of b alone %q", got)
	}
	want := []string{`tool "y" is hidden in profile "p": its new name "kept" is that of the tool "kept" of upstream "a"; choose another name in the profile's tools.rename`}
	var got []string
	for _, p := range c.Problems() {
		got = append(got, p.String())
		if p.Profile != "p" || p.Kind != Collision {
			t.Errorf("%+v", p)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("-want +got", d)
	}
}

// Names that differ in capitals alone are kept apart by nobody.
func TestProfileNamesTwice(t *testing.T) {
	p := Profile{Name: "p", Tools: ProfileTools{Rename: map[string]string{"a__x": "new", "a__y": "NEW"}}}
	c, _ := Build(Defaults(), []Offer{offer("a", "x", "y", "z")}, p).Profile("p")
	if got := listed(t, c, Tools); !slices.Equal(got, []string{"new", "a__z"}) {
		t.Errorf("tools %q", got)
	}
	if p.Validate(Defaults()) == nil {
		t.Error("that is no fault")
	}
}

func TestProfileResources(t *testing.T) {
	o := offer("a", "ui", "hidden")
	o.Tools = append(o.Tools,
		json.RawMessage(`{"name":"shows","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://shows"}}}`),
		json.RawMessage(`{"name":"hides","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://hides"}}}`))
	o.Capabilities = json.RawMessage(`{"resources":{}}`)
	for _, uri := range []string{"db:///one", "file:///etc/passwd"} {
		o.Resources = append(o.Resources, json.RawMessage(fmt.Sprintf(`{"uri":%q,"name":"x"}`, uri)))
	}
	for _, text := range []string{"db:///{table}", "file:///{+path}", "log:///{day}"} {
		o.Templates = append(o.Templates, json.RawMessage(fmt.Sprintf(`{"uriTemplate":%q,"name":"x"}`, text)))
	}
	other := offer("b", "x") // so that it is not the only one
	other.Capabilities = json.RawMessage(`{"resources":{}}`)
	for name, x := range map[string]struct {
		rules    ProfileRules
		deny     []string // tools
		yes, no  []string
		resource []string
		template []string
	}{
		"nothing said": {
			ProfileRules{},
			nil,
			[]string{"db:///one", "db:///two", "db:///{table}", "file:///a/b", "log:///1", "ui://shows", "interlock://b/x"},
			[]string{"x"},
			[]string{"db:///one", "file:///etc/passwd"},
			[]string{"db:///{table}", "file:///{+path}", "log:///{day}"},
		},
		"a denied URI": {
			ProfileRules{Deny: []string{"file:///etc/*"}},
			nil,
			[]string{"file:///home", "db:///one"},
			[]string{"file:///etc/passwd", "file:///etc/shadow"},
			[]string{"db:///one"},
			[]string{"db:///{table}", "file:///{+path}", "log:///{day}"},
		},
		"a denied template": { // and what it stands for, but not what is listed by itself
			ProfileRules{Deny: []string{"db:///{table}"}},
			nil,
			[]string{"db:///one", "log:///1"},
			[]string{"db:///{table}", "db:///two"},
			[]string{"db:///one", "file:///etc/passwd"},
			[]string{"file:///{+path}", "log:///{day}"},
		},
		"an allowed template": {
			ProfileRules{Allow: []string{"db:///{table}"}},
			nil,
			[]string{"db:///{table}", "db:///two"},
			[]string{"db:///one", "log:///1", "file:///a", "file:///etc/passwd", "ui://shows"},
			[]string{},
			[]string{"db:///{table}"},
		},
		"allowed URIs": {
			ProfileRules{Allow: []string{"file:///home/*"}},
			nil,
			[]string{"file:///home/x"},
			[]string{"file:///x", "file:///{+path}", "db:///one"},
			[]string{},
			[]string{},
		},
		"a hidden tool": { // its user interface is hidden with it
			ProfileRules{},
			[]string{"a__hides"},
			[]string{"ui://shows"},
			[]string{"ui://hides"},
			[]string{"db:///one", "file:///etc/passwd"},
			[]string{"db:///{table}", "file:///{+path}", "log:///{day}"},
		},
		"nothing": {
			ProfileRules{Deny: []string{"*"}},
			nil,
			nil,
			[]string{"db:///one", "db:///{table}", "db:///two", "ui://shows"},
			[]string{},
			[]string{},
		},
	} {
		c := seen(t, Profile{Resources: x.rules, Tools: ProfileTools{Deny: x.deny}}, o, other)
		if d := cmp.Diff(x.resource, listed(t, c, Resources)); d != "" {
			t.Errorf("%s: resources -want +got %s", name, d)
		}
		if d := cmp.Diff(x.template, listed(t, c, Templates)); d != "" {
			t.Errorf("%s: templates -want +got %s", name, d)
		}
		own, _ := c.Only("a")
		for want, uris := range map[bool][]string{true: x.yes, false: x.no} {
			for _, uri := range uris {
				forms := []string{uri, AlwaysURI("a", uri)}
				if uri == "x" || strings.HasPrefix(uri, scheme) {
					forms = forms[:1]
				}
				for _, form := range forms {
					if r, err := c.Resource(form); (err == nil) != want {
						t.Errorf("%s: %s leads to %+v, %v", name, form, r, err)
					}
				}
				if strings.HasPrefix(uri, scheme) || uri == "x" {
					continue
				}
				if r, err := own.Resource(uri); (err == nil) != want {
					t.Errorf("%s: %s of a alone leads to %+v, %v", name, uri, r, err)
				}
			}
		}
	}
}

// A server may take several spellings for one URI: what is denied is so however it is
// spelt, and what is allowed leads nowhere else.
func TestProfileSpellings(t *testing.T) {
	o := offer("a", "x")
	o.Capabilities = json.RawMessage(`{"resources":{}}`)
	o.Resources = append(o.Resources, json.RawMessage(`{"uri":"file:///pub/%2e%2e/listed","name":"x"}`))
	o.Templates = append(o.Templates, json.RawMessage(`{"uriTemplate":"file:///pub/{+path}","name":"x"}`))
	for name, x := range map[string]struct {
		rules   ProfileRules
		yes, no []string
	}{
		"denied": {
			ProfileRules{Deny: []string{"file:///srv/secret*"}},
			[]string{"file:///srv/public", "FILE:///srv/x", "https://a//b?c", "file:///srv/a%20b", "file:///pub/%2e%2e/listed", "urn:x"},
			[]string{
				"file:///srv/secret", "file:///srv/%73ecret", "file:///srv/%2573ecret", "FILE:///srv/secret", "file:////srv/secret", "file:///srv//secret",
				"file:///srv/./secret", "file:///x/../srv/secret", "file:///x/%2e%2e/srv/secret", "file:///x%2f..%2fsrv%2fsecret", "file:///srv/x/../secret",
				"file:///pub/../srv/secret", "file:///srv/secret#x", "file:///srv/secre%74?x=y", "file:///../srv/secret",
			},
		},
		"allowed": {
			ProfileRules{Allow: []string{"file:///pub/*", "web://https://a/*"}},
			[]string{"file:///pub/x", "file:///pub/a%20b", "file:///pub/a/../b", "file:///pub/", "web://https://a/b", "file:///pub/x/.", "file:///pub/%2e%2e/listed", "file:///pub/.x"},
			[]string{"file:///pub/../srv/secret", "file:///pub/%2e%2e/srv/secret", "file:///pub/%252e%252e/srv", "file:///pub/..", "file:///pub%2f..%2fsrv", "file:///pub/x/../../srv"},
		},
		"an allowed template": {
			ProfileRules{Allow: []string{"file:///pub/{+path}"}},
			[]string{"file:///pub/x", "file:///pub/x/y%20z"},
			[]string{"file:///pub/../srv/secret", "file:///pub/%2e%2e/srv/secret"},
		},
	} {
		c := seen(t, Profile{Resources: x.rules}, o)
		for want, uris := range map[bool][]string{true: x.yes, false: x.no} {
			for _, uri := range uris {
				for _, form := range []string{uri, AlwaysURI("a", uri)} {
					if r, err := c.Resource(form); (err == nil) != want {
						t.Errorf("%s: %s leads to %+v, %v", name, form, r, err)
					}
				}
			}
		}
	}
}

// The only upstream with resources gets what nobody lists, unless it is hidden; it
// does not become the only one by the others' being hidden.
func TestProfileSole(t *testing.T) {
	with := func(name string) Offer {
		o := offer(name, "x")
		o.Capabilities = json.RawMessage(`{"resources":{}}`)
		return o
	}
	only := Profile{Upstreams: []string{"a"}}
	if r, err := seen(t, only, with("a"), offer("b", "x")).Resource("s:1"); err != nil || r.Upstream != "a" {
		t.Errorf("%+v, %v", r, err)
	}
	_, err := seen(t, only, offer("a", "x"), with("b")).Resource("s:1")
	if want := `unknown resource "s:1": no upstream has resources`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = seen(t, only, with("a"), with("b")).Resource("s:1")
	if want := `upstream being one of a`; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestProfileInstructions(t *testing.T) {
	offers := []Offer{offer("a", "x"), offer("b", "y"), offer("c")}
	offers[0].Instructions = "About a."
	offers[1].Instructions = strings.Repeat("All about b. ", 300)
	offers[2].Instructions = "About c."
	c := seen(t, Profile{Upstreams: []string{"a", "c"}}, offers...)
	if want := "# a (names begin with a__)\nAbout a.\n\n# c (names begin with c__)\nAbout c."; c.Instructions() != want || c.FullInstructions() != want {
		t.Errorf("%q", c.Instructions())
	}
	if r, err := c.Resource(InstructionsURI); err == nil {
		t.Errorf("instructions that are not cut: %+v", r)
	}
	if own, _ := c.Only("a"); own.Instructions() != "About a." || own.FullInstructions() != "About a." {
		t.Errorf("a alone: %q", own.Instructions())
	}
	// One of which nothing is shown says nothing.
	c = seen(t, Profile{Tools: ProfileTools{Deny: []string{"a__*"}}}, offers...)
	if strings.Contains(c.FullInstructions(), "About a.") || !strings.Contains(c.FullInstructions(), "about b.") {
		t.Errorf("%.100q", c.FullInstructions())
	}
	if got := listed(t, c, Resources); !slices.Equal(got, []string{InstructionsURI}) {
		t.Errorf("resources %q", got)
	}
	// A single upstream without a prefix speaks for itself, or not at all.
	offers[0].Prefix = ""
	for up, want := range map[string]string{"a": "About a.", "!a": ""} {
		if got := seen(t, Profile{Upstreams: []string{up}}, offers[0]).Instructions(); got != want {
			t.Errorf("%s: %q", up, got)
		}
	}
}

func TestProfileCaching(t *testing.T) {
	a, b := offer("a", "x"), offer("b", "y")
	a.TTL, b.Private = 5, true
	if got := seen(t, Profile{Upstreams: []string{"a"}}, a, b).Caching(); got != (Caching{TTL: 5}) {
		t.Errorf("%+v", got)
	}
	if got := seen(t, Profile{}, a, b).Caching(); got != (Caching{Private: true}) {
		t.Errorf("%+v", got)
	}
}

// An upstream that lists no resources may have some, unless none may be shown.
func TestProfileSeesResources(t *testing.T) {
	o := offer("a", "x")
	o.Capabilities = json.RawMessage(`{"resources":{}}`)
	for _, x := range []struct {
		deny []string
		want bool
	}{{nil, true}, {[]string{"file:*"}, true}, {[]string{"*"}, false}} {
		c := seen(t, Profile{Tools: ProfileTools{Deny: []string{"*"}}, Resources: ProfileRules{Deny: x.deny}}, o)
		if _, ok := c.Only("a"); ok != x.want || c.Sees("a") != x.want {
			t.Errorf("%q: sees it: %v", x.deny, c.Sees("a"))
		}
	}
}

// What may still be listed is told from what would never be shown.
func TestProfileOfUnlearnt(t *testing.T) {
	never := Offer{Upstream: "late", Prefix: "late", Listed: true}
	whole := Build(Defaults(), []Offer{never, offer("a", "x")}, Profile{
		Name: "p", Upstreams: []string{"late"},
		Tools: ProfileTools{Deny: []string{"*__no"}, Rename: map[string]string{"late__x": "now"}},
	})
	c, _ := whole.Profile("p")
	own, _ := c.Only("late")
	for _, x := range []struct {
		c        *Catalog
		up, name string
		want     bool
	}{
		{c, "late", "late__y", true},
		{c, "late", "late__no", false},
		{c, "late", "late__x", false},
		{c, "late", "now", true},
		{c, "a", "a__y", false},
		{own, "late", "y", true},
		{own, "late", "no", false},
		{own, "late", "x", true},
		{whole, "a", "a__y", true},
		{whole, "c", "c__y", false},
	} {
		if got := x.c.MayHave(Tools, x.up, x.name); got != x.want {
			t.Errorf("%s of %s: %v", x.name, x.up, got)
		}
	}
	if c.Former("now") != "late__x" || c.Former("late__y") != "late__y" {
		t.Error("another name")
	}
	if !c.Sees("late") || c.Sees("a") || !whole.Sees("a") {
		t.Error("sees otherwise")
	}
}

// A tool that older clients get without its output schema is without it under its
// new name, too; a description is the profile's also where names are the upstream's
// own.
func TestProfileChanges(t *testing.T) {
	o := offer("a", "y")
	o.Modern = true
	o.Tools = append(o.Tools, json.RawMessage(`{"name":"x","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}`))
	c := seen(t, Profile{Tools: ProfileTools{Rename: map[string]string{"a__x": "new"}, Describe: map[string]string{"a__x": "said", "a__y": "so"}}}, o)
	own, _ := c.Only("a")
	for i, want := range []struct {
		page func(Kind, string) ([]byte, error)
		want string
	}{
		{c.ModernPage, `{"tools":[{"name":"a__y","description":"so","inputSchema":{"type":"object"}},{"name":"new","description":"said","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}]}`},
		{c.Page, `{"tools":[{"name":"a__y","description":"so","inputSchema":{"type":"object"}},{"name":"new","description":"said","inputSchema":{"type":"object"}}]}`},
		{own.ModernPage, `{"tools":[{"name":"y","description":"so","inputSchema":{"type":"object"}},{"name":"x","description":"said","inputSchema":{"type":"object"},"outputSchema":{"type":"array"}}]}`},
		{own.Page, `{"tools":[{"name":"y","description":"so","inputSchema":{"type":"object"}},{"name":"x","description":"said","inputSchema":{"type":"object"}}]}`},
	} {
		if got, err := want.page(Tools, ""); err != nil || string(got) != want.want {
			t.Errorf("%d: %s, %v", i, got, err)
		}
	}
	entries := c.Entries(Tools)
	if entries[1].Exposed != "new" || entries[1].Description != "said" || entries[1].Name != "x" || c.Listed(Tools)["a"] != 2 {
		t.Errorf("%+v", entries)
	}
}

// Rules that match nothing are found, and no others.
func TestIdleRules(t *testing.T) {
	a, b := offer("a", "x", "y"), offer("b", "x")
	a.Tags = []string{"red"}
	a.Templates = []json.RawMessage{json.RawMessage(`{"uriTemplate":"s:{x}","name":"x"}`)}
	a.Resources = []json.RawMessage{json.RawMessage(`{"uri":"s:/1","name":"x"}`)}
	c := seen(t, Profile{
		Upstreams: []string{"a", "c*", "!d"}, Tags: []string{"red", "!blue"},
		Tools: ProfileTools{
			Allow: []string{"a__*", "b__*"}, Deny: []string{"a__y", "?__q"},
			Rename:   map[string]string{"a__x": "new", "a__y": "hidden", "b__x": "other"},
			Describe: map[string]string{"a__x": "so", "never": "so"},
		},
		Prompts:   ProfileRules{Deny: []string{"p"}},
		Resources: ProfileRules{Allow: []string{"s:{x}", "s:/*", "t:/x/*"}},
	}, a, b)
	var got []string
	for _, p := range c.IdleRules() {
		got = append(got, p.Text)
		if p.Kind != Idle || p.Profile != "p" || p.Mend == "" {
			t.Errorf("%+v", p)
		}
	}
	want := []string{
		`prompts.deny of profile "p": "p" matches no prompt that is listed`,
		`resources.allow of profile "p": "t:/x/*" matches no resource that is listed`,
		`tags of profile "p": "blue" matches no upstream's tag`,
		`tools.allow of profile "p": "b__*" matches no tool that is listed`,
		`tools.deny of profile "p": "?__q" matches no tool that is listed`,
		`tools.describe of profile "p": "never" matches no tool that the profile shows`,
		`tools.rename of profile "p": "a__y" matches no tool that the profile shows`,
		`tools.rename of profile "p": "b__x" matches no tool that the profile shows`,
		`upstreams of profile "p": "c*" matches no upstream`,
		`upstreams of profile "p": "d" matches no upstream`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error("-want +got", d)
	}
	if whole := Build(Defaults(), []Offer{a}); whole.IdleRules() != nil {
		t.Error("the whole has no rules")
	}
}

// halves are profiles each of which shows another half of many, in pieces.
func halves(n int) []Profile {
	profiles := make([]Profile, n)
	for i := range profiles {
		profiles[i] = Profile{
			Name: fmt.Sprint(i), Tools: ProfileTools{Allow: []string{"*[02468]", "*3"}, Deny: []string{fmt.Sprintf("*%d2", i%10)}, Rename: map[string]string{"u1__tool_8": "eight"}},
		}
	}
	return profiles
}

// A list of a profile is made of parts of the whole's pages.
func TestProfilePages(t *testing.T) {
	c, _ := Build(Defaults(), many(4000), halves(1)...).Profile("0")
	names := listed(t, c, Tools)
	if len(names) != len(c.Entries(Tools)) || len(names) < 2000 || len(c.lists[Tools].pages) < 3 {
		t.Errorf("%d tools on %d pages, %d entries", len(names), len(c.lists[Tools].pages), len(c.Entries(Tools)))
	}
	for _, name := range names {
		if _, ok := c.Tool(name); !ok {
			t.Fatalf("%s is unknown", name)
		}
	}
}

// Profiles share what the whole holds: twenty of them, each with half of it, take
// less than it does.
func TestProfilesShareMemory(t *testing.T) {
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc) //nolint:gosec // no heap is that large
	}
	offers, profiles := many(2000), halves(20)
	start := heap()
	plain := Build(Defaults(), offers)
	one := heap() - start
	runtime.KeepAlive(plain)
	start = heap()
	all := Build(Defaults(), offers, profiles...)
	with := heap() - start
	runtime.KeepAlive(all)
	runtime.KeepAlive(offers)
	t.Logf("without profiles %d KiB, twenty take %d KiB more", one/1024, (with-one)/1024)
	if with-one > one {
		t.Errorf("twenty profiles take %d bytes beside %d of the whole", with-one, one)
	}
}

// BenchmarkProfiles builds 10,000 tools with twenty profiles, which may take ten
// times as long as without.
func BenchmarkProfiles(b *testing.B) {
	offers, profiles := many(10000), halves(20)
	var without, with time.Duration
	b.ReportAllocs()
	for b.Loop() {
		begun := time.Now()
		Build(Defaults(), offers)
		between := time.Now()
		Build(Defaults(), offers, profiles...)
		without, with = without+between.Sub(begun), with+time.Since(between)
	}
	ratio := float64(with) / float64(without)
	b.ReportMetric(ratio, "times")
	if ratio > 10 {
		b.Errorf("%.1f times as long as without profiles", ratio)
	}
}
