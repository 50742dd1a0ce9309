package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
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

// profiled adds the profiles to the whole catalog.
func (c Config) profiled(whole *Catalog, sources []*source, profiles []Profile) {
	if len(profiles) == 0 {
		return
	}
	whole.profiles = make(map[string]*Catalog, len(profiles))
	low := make(map[string]*Route, len(whole.tools)) // by their names in small letters
	for _, p := range profiles {
		if len(p.Tools.Rename) > 0 {
			for _, e := range whole.entries[Tools] {
				low[strings.ToLower(e.route.Exposed)] = e.route
			}
			break
		}
	}
	for i := range profiles {
		whole.profiles[profiles[i].Name] = c.profile(whole, sources, low, &profiles[i])
	}
}

func (c Config) profile(whole *Catalog, sources []*source, low map[string]*Route, p *Profile) *Catalog {
	v := &sight{lens: newLens(p), of: whole, changed: make(map[int32]entry), seen: make(map[string]bool, len(sources))}
	b := &sighting{Config: c, sight: v, cat: whole.narrowed(v)}
	b.choose(sources)
	b.describe()
	b.rename(low)
	var seen []*source
	for _, s := range sources {
		if v.seen[s.offer.Upstream] {
			seen = append(seen, s)
		}
	}
	b.instruct(seen)
	b.cat.caching = caching(seen)
	b.cat.lists, b.cat.legacy = v.lists()
	b.only(seen)
	return b.cat
}

// narrowed is a catalog that shows a part of c.
func (c *Catalog) narrowed(p *sight) *Catalog {
	return &Catalog{tools: c.tools, prompts: c.prompts, uris: c.uris, entries: c.entries, older: c.older, own: c.own, sight: p}
}

// sighting is a profile's catalog in the making.
type sighting struct {
	Config
	*sight
	cat *Catalog
	// from is where the entries of an upstream begin.
	from [kinds]map[string]int
}

// choose notes what passes the profile's rules.
func (b *sighting) choose(sources []*source) {
	type state struct{ selected, any, offers bool }
	states := make(map[string]*state, len(sources))
	for _, s := range sources {
		states[s.offer.Upstream] = &state{selected: b.selects(s.offer)}
	}
	for _, k := range Kinds() {
		entries := b.of.entries[k]
		b.shown[k] = newBits(len(entries))
		b.from[k] = make(map[string]int, len(sources))
		rules := &b.rules[k]
		var st *state
		var name string
		for i := range entries {
			r := entries[i].route
			if st == nil || r.Upstream != name {
				name, st = r.Upstream, states[r.Upstream]
				b.from[k][name] = i
			}
			if st == nil { // the gateway's own
				continue
			}
			st.offers = true
			if st.selected && rules.pass(r.Exposed) {
				st.any = true
				b.shown[k].add(r.seq)
			}
		}
	}
	for _, s := range sources {
		st := states[s.offer.Upstream]
		// One that has listed nothing may do so yet, and one with resources may have
		// others than it lists.
		more := !st.offers || s.resources && !b.rules[Resources].none() && (len(s.items[Templates]) > 0 || len(s.items[Resources]) == 0)
		if st.selected && (st.any || more) {
			b.seen[s.offer.Upstream] = true
			if s.resources {
				b.having = append(b.having, s.offer.Upstream)
			}
		}
	}
}

// describe gives tools the profile's descriptions.
func (b *sighting) describe() {
	for name, text := range b.Tools.Describe {
		if r := b.of.tools[name]; r != nil && b.shown[Tools].has(r.seq) {
			raw := b.of.entries[Tools][r.seq].raw
			b.changed[r.seq] = newEntry(r, edited(raw, "", &text))
		}
	}
}

// rename gives tools the profile's names. A name that some tool has without the
// profile, shown or not, is not given to another: the tool is hidden then.
func (b *sighting) rename(low map[string]*Route) {
	if len(b.Tools.Rename) == 0 {
		return
	}
	b.named, b.former = make(map[string]*Route, len(b.Tools.Rename)), make(map[string]string, len(b.Tools.Rename))
	taken := make(map[string]bool, len(b.Tools.Rename))
	for _, old := range slices.Sorted(maps.Keys(b.Tools.Rename)) {
		name := b.Tools.Rename[old]
		r := b.of.tools[old]
		if name == old {
			continue
		}
		b.former[name] = old
		if r == nil || !b.shown[Tools].has(r.seq) {
			continue
		}
		has := b.of.tools[name]
		if has == nil {
			has = b.of.held[name]
		}
		if has == nil {
			has = low[strings.ToLower(name)]
		}
		if has != nil && has != r {
			b.shown[Tools].drop(r.seq)
			delete(b.changed, r.seq)
			b.cat.problems = append(b.cat.problems, Problem{
				Kind: Collision, List: Tools.String(), Upstream: r.Upstream, Profile: b.Name, Name: printable(r.Target), Exposed: printable(name), Other: has.Upstream,
				Text: fmt.Sprintf("tool %s is hidden in profile %s: its new name %s is that of the tool %s of upstream %s",
					quoted(old), quoted(b.Name), quoted(name), quoted(has.Target), quoted(has.Upstream)),
				Mend: "choose another name in the profile's tools.rename",
			})
			continue
		}
		if taken[strings.ToLower(name)] { // a valid profile has none
			b.shown[Tools].drop(r.seq)
			continue
		}
		taken[strings.ToLower(name)] = true
		e := b.entry(Tools, b.of.entries[Tools][r.seq])
		route := *r
		route.Exposed = name
		b.named[name] = &route
		b.changed[r.seq] = newEntry(&route, edited(e.raw, name, nil))
	}
}

func newEntry(r *Route, raw []byte) entry { return entry{route: r, raw: raw, sum: sumOf(raw)} }

// edited returns an item of a list with another name, "" for its own, and another
// description.
func edited(raw []byte, name string, describe *string) []byte {
	m, _ := members(raw)
	it := item{raw: raw, own: jsonrpc.Text(raw, m.name), key: m.name, desc: m.description}
	if name == "" {
		name = it.own
	}
	return it.exposed(name, describe)
}

// instruct merges what the upstreams say that are seen.
func (b *sighting) instruct(seen []*source) {
	if b.of.own {
		if len(seen) > 0 {
			b.cat.instructions, b.cat.full = b.of.instructions, b.of.full
		}
		return
	}
	b.cat.instructions, b.cat.full, _ = b.Config.instructions(seen)
	if b.cat.instructions != b.cat.full {
		b.shown[Resources].add(b.of.uris.exact[InstructionsURI].seq) // the whole is no shorter
	}
}

// lists makes the lists of what is shown, for clients of 2026-07-28 and for older
// ones.
func (p *sight) lists() (now, legacy [kinds]list) {
	for _, k := range Kinds() {
		var items, older [][]byte
		var sums []itemSum
		same := len(p.changed) == 0 || k != Tools
		for _, e := range p.of.entries[k] {
			if !e.route.Listed {
				continue
			}
			mine := p.entry(k, e)
			if mine.route == nil {
				same = false
				continue
			}
			items, sums = append(items, mine.raw), append(sums, mine.sum)
			if k == Tools && p.of.older != nil {
				older = append(older, p.older(e, mine))
			}
		}
		if same {
			now[k], legacy[k] = p.of.lists[k], p.of.legacy[k]
			continue
		}
		sum := listSum(sums)
		now[k] = sharedList(k, items, sum)
		legacy[k] = now[k]
		if older != nil {
			legacy[k] = sharedList(k, older, sum)
		}
	}
	return now, legacy
}

// older is the tool e, which is mine in the profile, as clients of older revisions
// get it.
func (p *sight) older(e, mine entry) []byte {
	older := p.of.older[e.route.seq]
	switch {
	case &mine.raw[0] == &e.raw[0]:
		return older
	case len(older) < len(e.raw):
		return forLegacy(mine.raw)
	}
	return mine.raw
}

// only makes the views of single upstreams, under their own names.
func (b *sighting) only(seen []*source) {
	b.sight.only = make(map[string]*Catalog, len(seen))
	for _, s := range seen {
		b.sight.only[s.offer.Upstream] = b.alone(s)
	}
	b.cat.only = b.sight.only
}

// alone makes the view of one upstream.
func (b *sighting) alone(s *source) *Catalog {
	base := b.of.only[s.offer.Upstream]
	v := &sight{lens: b.lens, of: base, seen: map[string]bool{s.offer.Upstream: true}, changed: make(map[int32]entry)}
	n := base.narrowed(v)
	if base != b.of {
		v.full = func(own string) string { full, _ := b.fit(b.join(s.prefix, own), own); return full }
	}
	n.instructions, n.full, n.caching = base.instructions, base.full, base.caching
	if s.resources {
		v.having = []string{s.offer.Upstream}
	}
	v.only = map[string]*Catalog{s.offer.Upstream: n}
	for _, k := range Kinds() {
		v.shown[k] = newBits(len(base.entries[k]))
	}
	b.follow(Tools, v, s)
	b.follow(Prompts, v, s)
	for _, k := range []Kind{Resources, Templates} { // whose names are the same everywhere
		for _, e := range base.entries[k] {
			if b.rules[k].pass(e.route.Exposed) {
				v.shown[k].add(e.route.seq)
			}
		}
	}
	n.lists, n.legacy = v.lists()
	return n
}

// follow shows in the view of s alone what the profile shows of its tools or
// prompts.
func (b *sighting) follow(k Kind, v *sight, s *source) {
	routes := make([]*Route, len(s.items[k]))
	for _, e := range b.of.entries[k][b.from[k][s.offer.Upstream]:] {
		if e.route.Upstream != s.offer.Upstream {
			break
		}
		if b.shown[k].has(e.route.seq) {
			routes[e.route.item] = e.route
		}
	}
	for _, e := range v.of.entries[k] {
		r := routes[e.route.item]
		if r == nil {
			continue
		}
		v.shown[k].add(e.route.seq)
		if text, ok := b.Tools.Describe[r.Exposed]; ok && k == Tools {
			v.changed[e.route.seq] = newEntry(e.route, edited(e.raw, "", &text))
		}
	}
}
