package router

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"pgregory.net/rapid"
)

func someGlobs(label string, t *rapid.T, from ...string) []string {
	return rapid.SliceOfN(rapid.SampledFrom(from), 0, 2).Draw(t, label)
}

func someProfile(t *rapid.T, i int) Profile {
	names := []string{"*", "a*", "*b", "b__a", "?", "a__?", "*[ab]", "[", "*.*"}
	uris := []string{"*", "s:a*", "s:b", "*{x}*", "s:*/", "s:[", "q:/*"}
	return Profile{
		Name:      fmt.Sprintf("p%d", i),
		Upstreams: someGlobs("upstreams", t, "u0", "u*", "!u1", "!u2", "u3", "["),
		Tags:      someGlobs("tags", t, "red", "r*", "!blue", "!*"),
		Tools: ProfileTools{
			Allow: someGlobs("allow", t, names...), Deny: someGlobs("deny", t, names...),
			Rename:   rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "a__a", "b__b", "A", "aa", "ax", "a__ax"}), rapid.SampledFrom([]string{"a", "b", "a__a", "new", "New", "other"}), 0, 3).Draw(t, "rename"),
			Describe: rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "a__a", "b__b", "bx", "a__bx", "ax"}), rapid.Just("said so"), 0, 2).Draw(t, "describe"),
		},
		Prompts:   ProfileRules{Allow: someGlobs("prompts", t, names...), Deny: someGlobs("no prompts", t, names...)},
		Resources: ProfileRules{Allow: someGlobs("resources", t, uris...), Deny: someGlobs("no resources", t, uris...)},
	}
}

// withMore gives offers tags, templates, user interfaces and other eras.
func withMore(t *rapid.T, offers []Offer) []Offer {
	for i := range offers {
		o := &offers[i]
		o.Tags = rapid.SliceOfN(rapid.SampledFrom([]string{"red", "blue"}), 0, 2).Draw(t, "own tags")
		o.Modern = rapid.Bool().Draw(t, "modern")
		o.Instructions = strings.Repeat("words ", rapid.SampledFrom([]int{0, 10, 400}).Draw(t, "instructions"))
		for _, text := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"s:{x}", "s:a{x}", "q:/{+x}", "s:a/{x}"}), 0, 2, rapid.ID).Draw(t, "templates") {
			o.Templates = append(o.Templates, json.RawMessage(fmt.Sprintf(`{"uriTemplate":%q,"name":"x"}`, text)))
		}
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "ab"}), 0, 3, rapid.ID).Draw(t, "apps") {
			o.Tools = append(o.Tools, json.RawMessage(fmt.Sprintf(
				`{"name":%q,"inputSchema":{"type":"object"},"outputSchema":{"type":"string"},"_meta":{"ui":{"resourceUri":"ui://%s"}}}`, name+"x", name)))
		}
	}
	return offers
}

// itemsOf are the items of a list by their names.
func itemsOf(t *rapid.T, page []byte, k Kind) map[string][]byte {
	at, ok := jsonrpc.Lookup(page, jsonrpc.Whole(page), k.String())
	if !ok || !jsonrpc.Valid(page) {
		t.Fatalf("page %s", page)
	}
	all := make(map[string][]byte)
	for s := range jsonrpc.Elements(page, at) {
		name, _ := jsonrpc.Lookup(page, s, keyName(k))
		if all[jsonrpc.Text(page, name)] != nil {
			t.Fatalf("%s twice in %s", jsonrpc.Text(page, name), page)
		}
		all[jsonrpc.Text(page, name)] = s.Of(page)
	}
	return all
}

func modernItems(t *rapid.T, c *Catalog, k Kind) map[string][]byte {
	page, err := c.ModernPage(k, "")
	if err != nil {
		t.Fatal(err)
	}
	return itemsOf(t, page, k)
}

// find is the way from a name of list k to its route.
func find(c *Catalog, k Kind, name string) *Route {
	var r *Route
	switch k {
	case Tools:
		r, _ = c.Tool(name)
	case Prompts:
		r, _ = c.Prompt(name)
	default:
		r, _ = c.Resource(name)
	}
	return r
}

// passes is a profile's rules read plainly.
func passes(allow, deny []string, name string) bool {
	return !newGlobs(deny).match(name, true) && (len(allow) == 0 || newGlobs(allow).match(name, false))
}

func (p *Profile) rulesOf(k Kind) (allow, deny []string) {
	switch k {
	case Tools:
		return p.Tools.Allow, p.Tools.Deny
	case Prompts:
		return p.Prompts.Allow, p.Prompts.Deny
	}
	return p.Resources.Allow, p.Resources.Deny
}

func selected(p *Profile, o *Offer) bool {
	choose := func(globs []string, names ...string) bool {
		any, wanted := false, false
		for _, g := range globs {
			rest, out := strings.CutPrefix(g, "!")
			wanted = wanted || !out
			for _, n := range names {
				if newGlobs([]string{rest}).match(n, out) {
					if out {
						return false
					}
					any = true
				}
			}
		}
		return any || !wanted
	}
	return choose(p.Upstreams, o.Upstream) && choose(p.Tags, o.Tags...)
}

func TestProfileProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		offers := withMore(t, someOffers(t))
		profiles := []Profile{someProfile(t, 0), someProfile(t, 1), {Name: "all"}}
		whole, plain := Build(Defaults(), offers, profiles...), Build(Defaults(), offers)
		for _, k := range Kinds() {
			a, _ := whole.Page(k, "")
			b, _ := plain.Page(k, "")
			if !bytes.Equal(a, b) || whole.Digest(k) != plain.Digest(k) {
				t.Fatalf("%v: profiles change the whole", k)
			}
			if all, _ := whole.Profile("all"); all.Digest(k) != whole.Digest(k) {
				t.Fatalf("%v: a profile without rules shows something else", k)
			}
		}
		for i := range profiles {
			checkProfile(t, whole, offers, &profiles[i])
		}
	})
}

func checkProfile(t *rapid.T, whole *Catalog, offers []Offer, p *Profile) {
	v, _ := whole.Profile(p.Name)
	byName := make(map[string]*Offer)
	for i := range offers {
		byName[offers[i].Upstream] = &offers[i]
	}
	for _, k := range Kinds() {
		allow, deny := p.rulesOf(k)
		shown, all := modernItems(t, v, k), modernItems(t, whole, k)
		for name, raw := range shown {
			r := find(v, k, name)
			if r == nil || !r.Listed || r.Exposed != name {
				t.Fatalf("%s: %v %q is listed and leads to %+v", p.Name, k, name, r)
			}
			if r.Upstream == "" {
				continue // the instructions
			}
			old := name
			for from, to := range p.Tools.Rename {
				if k == Tools && to == name && find(whole, k, name) == nil {
					old = from
					if w := find(whole, k, old); w != nil && w.Upstream == r.Upstream && w.Target == r.Target {
						break
					}
				}
			}
			w := find(whole, k, old)
			if w == nil || w.Upstream != r.Upstream || w.Target != r.Target || all[old] == nil {
				t.Fatalf("%s: %v %q leads to %+v, and %q in the whole to %+v", p.Name, k, name, r, old, w)
			}
			want := all[old]
			if k == Tools {
				want = retold(want, old, name, p.Tools.Describe)
			}
			if !bytes.Equal(want, raw) {
				t.Fatalf("%s: %s, want %s", p.Name, raw, want)
			}
			if !selected(p, byName[r.Upstream]) || !passes(allow, deny, old) {
				t.Fatalf("%s shows %v %q of %s", p.Name, k, old, r.Upstream)
			}
		}
		// What is not listed cannot be reached, whatever passes the rules is listed.
		for _, e := range whole.Entries(k) {
			name := e.Exposed
			r, w := find(v, k, name), find(whole, k, name)
			to, renamed := p.Tools.Rename[name]
			renamed = renamed && k == Tools && to != name
			if r != nil && (r.Upstream != w.Upstream || r.Target != w.Target) {
				t.Fatalf("%s: %v %q is somebody else's: %+v, not %+v", p.Name, k, name, r, w)
			}
			if e.Upstream == "" {
				continue
			}
			visible := selected(p, byName[e.Upstream]) && passes(allow, deny, name) && !renamed
			if k == Templates && w.Target != name {
				continue // hidden behind a resource of that very URI
			}
			if visible != (r != nil) || visible && e.Listed != (shown[name] != nil) {
				t.Fatalf("%s: %v %q visible %v, leads to %+v, listed %v", p.Name, k, name, visible, r, shown[name] != nil)
			}
		}
		checkAlone(t, whole, v, k)
		checkLegacy(t, whole, v, k)
	}
	for _, uri := range []string{"s:a", "s:zz", "s:a/b", "q:/x/y", "ui://a", "ui://b", "nowhere:x"} {
		checkURI(t, whole, v, p, uri)
	}
}

// retold is the change of a tool by a profile done plainly.
func retold(item []byte, old, name string, describe map[string]string) []byte {
	m, _ := members(item)
	text, ok := describe[old]
	if !ok {
		return respelt(item, m, old, name, nil)
	}
	return respelt(item, m, old, name, &text)
}

func respelt(raw []byte, m fields, old, name string, describe *string) []byte {
	var e jsonrpc.Edits
	if old != name {
		e.Replace(m.name, quote(name))
	}
	if describe != nil && m.description.Ok() {
		e.Replace(m.description, quote(*describe))
	} else if describe != nil {
		e.Insert(int(m.name.End), append([]byte(`,"description":`), quote(*describe)...))
	}
	return e.Apply(nil, raw)
}

// checkAlone compares the views of single upstreams: what a profile shows of one is
// what it shows of it anywhere.
func checkAlone(t *rapid.T, whole, v *Catalog, k Kind) {
	for name := range whole.only {
		base, _ := whole.Only(name)
		own, ok := v.Only(name)
		if ok != v.Sees(name) {
			t.Fatalf("%s: sees %s %v, and has a view of it %v", v.ProfileName(), name, v.Sees(name), ok)
		}
		if !ok {
			continue
		}
		for _, e := range base.Entries(k) {
			var there bool
			if k == Tools || k == Prompts {
				there = slices.ContainsFunc(v.Entries(k), func(w Entry) bool { return w.Upstream == name && w.Name == e.Name })
			} else {
				there = find(v, k, AlwaysURI(name, e.Name)) != nil
			}
			if r := find(own, k, e.Exposed); (r != nil) != there {
				t.Fatalf("%s: %v %q of %s alone leads to %+v, in the whole: %v", v.ProfileName(), k, e.Exposed, name, r, there)
			}
			if there != (modernItems(t, own, k)[e.Exposed] != nil) && e.Listed {
				t.Fatalf("%s: %v %q of %s alone is listed otherwise than it leads", v.ProfileName(), k, e.Exposed, name)
			}
		}
	}
}

// checkLegacy compares the lists for older clients with those for newer ones.
func checkLegacy(t *rapid.T, whole, v *Catalog, k Kind) {
	page, err := v.Page(k, "")
	if err != nil {
		t.Fatal(err)
	}
	older, newer := itemsOf(t, page, k), modernItems(t, v, k)
	if len(older) != len(newer) {
		t.Fatalf("%d for older clients, %d for newer", len(older), len(newer))
	}
	for name, raw := range newer {
		want := raw
		if r := find(v, k, name); k == Tools && whole.uris.sources[r.Upstream].offer.Modern {
			want = forLegacy(raw)
		}
		if !bytes.Equal(older[name], want) {
			t.Fatalf("%s for older clients, want %s", older[name], want)
		}
	}
}

// checkURI checks a URI that need not be listed, in both its forms.
func checkURI(t *rapid.T, whole, v *Catalog, p *Profile, uri string) {
	w, r := find(whole, Resources, uri), find(v, Resources, uri)
	if r != nil && (w == nil || (r.Upstream != w.Upstream || r.Target != w.Target)) {
		t.Fatalf("%s: %s leads to %+v, in the whole to %+v", p.Name, uri, r, w)
	}
	if newGlobs(p.Resources.Deny).match(uri, true) && r != nil {
		t.Fatalf("%s: %s is denied and leads to %+v", p.Name, uri, r)
	}
	if w == nil || w.Upstream == "" {
		return
	}
	// Its other form leads there too, if it does in the whole.
	if form := AlwaysURI(w.Upstream, uri); r != nil && find(whole, Resources, form) != nil && find(v, Resources, form) == nil {
		t.Fatalf("%s: %s leads to %+v, and %s nowhere", p.Name, uri, r, form)
	}
	if r == nil {
		_, err := v.Resource(uri)
		_, other := v.Resource("never:heard")
		if other != nil && strings.ReplaceAll(err.Error(), uri, "never:heard") != other.Error() {
			t.Fatalf("%s: %q, and of what is unknown %q", p.Name, err, other)
		}
	}
}
