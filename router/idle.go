package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// IdleRules returns the rules of a profile that match nothing of what is known: most
// are slips, and some hide nothing where they were meant to. Nil for a catalog that
// is no profile's.
func (c *Catalog) IdleRules() []Problem {
	p := c.sight
	if p == nil || p.full != nil {
		return nil
	}
	f := &idlers{profile: p.Name}
	var names, tags []string
	for name, s := range p.of.uris.sources {
		names, tags = append(names, name), append(tags, s.offer.Tags...)
	}
	f.check("upstreams", "no upstream", choosing(p.upstreams), names)
	f.check("tags", "no upstream's tag", choosing(p.tags), tags)
	for _, k := range []Kind{Tools, Prompts, Resources} {
		of := p.chosen(k)
		if k == Resources {
			of = append(of, p.chosen(Templates)...)
		}
		what := "no " + k.Noun() + " that is listed"
		f.check(k.String()+".allow", what, p.rules[k].allow, of)
		f.check(k.String()+".deny", what, p.rules[k].deny, of)
	}
	for key, all := range map[string]map[string]string{"tools.describe": p.Tools.Describe, "tools.rename": p.Tools.Rename} {
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if r := p.of.tools[name]; r == nil || !p.shown[Tools].has(r.seq) && !p.hides(r) {
				f.idle(key, name, "no tool that the profile shows")
			}
		}
	}
	slices.SortFunc(f.found, func(a, b Problem) int { return strings.Compare(a.Text, b.Text) })
	return f.found
}

// hides reports whether a tool is hidden by the profile's own rename alone, which is
// a problem of its own.
func (p *sight) hides(r *Route) bool {
	return p.Tools.Rename[r.Exposed] != "" && p.seen[r.Upstream] && p.rules[Tools].pass(r.Exposed)
}

// chosen are the names of list k of the upstreams that the profile chooses.
func (p *sight) chosen(k Kind) []string {
	var names []string
	for _, e := range p.of.entries[k] {
		if s := p.of.uris.sources[e.route.Upstream]; s != nil && p.selects(s.offer) {
			names = append(names, e.route.Exposed)
		}
	}
	return names
}

func choosing(c chooser) globs { return append(slices.Clone(c.in), c.out...) }

// idlers collects rules that match nothing.
type idlers struct {
	profile string
	found   []Problem
}

func (f *idlers) check(key, what string, all globs, names []string) {
	for _, g := range all {
		if !slices.ContainsFunc(names, func(name string) bool { return g.match(unslashed(name), false) }) {
			f.idle(key, g.String(), what)
		}
	}
}

func (f *idlers) idle(key, rule, what string) {
	f.found = append(f.found, Problem{
		Kind: Idle, Profile: f.profile, Name: printable(rule),
		Text: fmt.Sprintf("%s of profile %s: %s matches %s", key, quoted(f.profile), quoted(rule), what),
		Mend: "mend it, or remove it",
	})
}
