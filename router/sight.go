package router

import (
	"slices"
)

// bits is a set of small numbers.
type bits []uint64

func newBits(n int) bits { return make(bits, (n+63)/64) }

func (b bits) has(i int32) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bits) add(i int32)      { b[i/64] |= 1 << (i % 64) }
func (b bits) drop(i int32)     { b[i/64] &^= 1 << (i % 64) }

// sight is what a profile shows of a catalog. It holds what is different; the rest
// is the catalog's own.
type sight struct {
	*lens
	of    *Catalog
	shown [kinds]bits     // by the seq of routes; a renamed tool is among them
	seen  map[string]bool // the upstreams of which anything is, or may yet be, shown
	// named are the tools that the profile renames, by their new names, and former
	// what those names were.
	named  map[string]*Route
	former map[string]string
	// changed are the tools that the profile shows in another form, by the seq of
	// their routes.
	changed map[int32]entry
	having  []string
	only    map[string]*Catalog // by upstream, those that are seen
	// full is what the whole would call something by its upstream's own name; nil in
	// the whole.
	full func(own string) string
}

// tool is Catalog.Tool for a profile; r is what the catalog has of that name.
func (p *sight) tool(name string, r *Route) (*Route, bool) {
	if r == nil {
		r, ok := p.named[name]
		return r, ok
	}
	if !p.shown[Tools].has(r.seq) || p.renamed(r) {
		return nil, false
	}
	return r, true
}

// renamed reports whether a tool is not known by the name of its route.
func (p *sight) renamed(r *Route) bool {
	e, ok := p.changed[r.seq]
	return ok && e.route != r
}

// entry returns an entry as the profile shows it, the zero one if it does not.
func (p *sight) entry(k Kind, e entry) entry {
	if !p.shown[k].has(e.route.seq) {
		return entry{}
	}
	if k == Tools {
		if c, ok := p.changed[e.route.seq]; ok {
			return c
		}
	}
	return e
}

// resource is Catalog.Resource for a profile; r is where the catalog leads, nil for
// nowhere.
func (p *sight) resource(uri string, r *Route) (*Route, error) {
	if r != nil && p.permits(uri, r) {
		return r, nil
	}
	return nil, &Unroutable{URI: uri, Upstreams: p.having}
}

// permits reports whether a URI that the catalog leads along r may be used.
func (p *sight) permits(uri string, r *Route) bool {
	u := &p.of.uris
	switch {
	case r == u.exact[uri]:
		return p.shown[Resources].has(r.seq)
	case r == u.texts[uri]:
		return p.shown[Templates].has(r.seq)
	}
	own, seen := p.only[r.Upstream]
	return seen && own.sight.permitsOwn(r.Target)
}

// permitsOwn reports whether a URI of the one upstream of p may be used, whichever
// way it was asked for and however it is spelt.
func (p *sight) permitsOwn(uri string) bool {
	rules, u := &p.rules[Resources], &p.of.uris
	if !p.permitsSpelt(uri) {
		return false
	}
	if len(rules.allow)+len(rules.deny) == 0 || u.exact[uri] != nil || u.texts[uri] != nil {
		return true
	}
	meant := decoded(uri)
	if meant != uri && !p.permitsSpelt(meant) {
		return false
	}
	least := plainest(meant)
	return least == meant || !rules.deny.match(least, true)
}

// permitsSpelt is permitsOwn for the very URI.
func (p *sight) permitsSpelt(uri string) bool {
	rules, u := &p.rules[Resources], &p.of.uris
	if rules.deny.match(uri, true) {
		return false
	}
	if u.exact[uri] == nil {
		// What a template stands for goes with it.
		if t := u.templateOf(uri); t != nil {
			switch {
			case rules.deny.match(t.text, true):
				return false
			case rules.allow.match(t.text, false):
				return true
			}
		} else if a := u.apps[uri]; a != nil && !slices.ContainsFunc(a.tools, func(t *Route) bool { return p.shown[Tools].has(t.seq) }) {
			return false
		}
	}
	return len(rules.allow) == 0 || rules.allow.match(uri, false)
}

// templateOf returns the template that has the text, else the one that says most of
// those that match, nil for none.
func (u *resources) templateOf(uri string) *template {
	if r := u.texts[uri]; r != nil {
		for _, t := range u.templates {
			if t.route == r {
				return t
			}
		}
	}
	return u.template(uri)
}

// Own reports whether the catalog is of one upstream under its own names.
func (c *Catalog) Own() bool { return c.own }

// ProfileName is the name of the profile that the catalog is a view of, "" for
// none.
func (c *Catalog) ProfileName() string {
	if c.sight != nil {
		return c.sight.Name
	}
	return ""
}

// Sees reports whether the catalog shows anything of an upstream, or would if it
// offered something.
func (c *Catalog) Sees(upstream string) bool {
	if c.sight != nil {
		return c.sight.seen[upstream]
	}
	return c.uris.sources[upstream] != nil
}

// MayHave reports whether the catalog would show a tool or prompt of an upstream
// that is not listed yet, if clients knew it by that name.
func (c *Catalog) MayHave(k Kind, upstream, name string) bool {
	switch p := c.sight; {
	case p == nil:
		return c.uris.sources[upstream] != nil
	case !p.seen[upstream]:
		return false
	case p.full != nil:
		return p.rules[k].pass(p.full(name))
	case k != Tools:
		return p.rules[k].pass(name)
	}
	old := c.Former(name)
	return c.sight.rules[k].pass(old) && (old != name || c.sight.Tools.Rename[name] == "")
}

// Former returns the name that a tool would have without the profile's renames.
func (c *Catalog) Former(tool string) string {
	if c.sight != nil && c.sight.former[tool] != "" {
		return c.sight.former[tool]
	}
	return tool
}
