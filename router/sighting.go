package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

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
