package router

import (
	"fmt"
	"maps"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Build makes the catalog of offers, which must be in the order of the file and
// have distinct upstreams, and its profiles, which must have distinct names. It
// takes time linear in the size of the offers, and in their number of items for
// each profile, and depends on nothing else: a name goes to the first offer that
// has it, also to one that is not listed.
func Build(c Config, offers []Offer, profiles ...Profile) *Catalog {
	sources := make([]*source, len(offers))
	for i := range offers {
		sources[i] = c.source(&offers[i])
	}
	transparent := len(sources) == 1 && sources[0].offer.Prefix == ""
	cat := c.assemble(sources, transparent)
	cat.only = make(map[string]*Catalog, len(sources))
	for _, s := range sources {
		if transparent {
			cat.only[s.offer.Upstream] = cat
			break
		}
		cat.only[s.offer.Upstream] = c.assemble([]*source{s}, true)
	}
	c.profiled(cat, sources, profiles)
	return cat
}

// builder is a catalog in the making.
type builder struct {
	Config
	sources []*source
	cat     *Catalog
	held    [kinds]map[string]*Route // names that are taken by what nobody can reach
	legacy  [][]byte                 // the listed tools as older clients can read them; nil while they are the same
}

func (c Config) assemble(sources []*source, own bool) *Catalog {
	b := &builder{Config: c, sources: sources, cat: &Catalog{
		tools: make(map[string]*Route), prompts: make(map[string]*Route), own: own,
	}}
	b.cat.uris.init(sources)
	for _, s := range sources {
		b.cat.problems = append(b.cat.problems, s.problems...)
		b.named(Tools, s, b.cat.tools)
		b.named(Prompts, s, b.cat.prompts)
		b.resources(s)
		b.templates(s)
		b.apps(s)
	}
	b.cat.uris.sort()
	b.cat.uris.held = b.held[Resources]
	if b.cat.uris.held == nil {
		b.cat.uris.held = b.held[Templates]
	} else {
		maps.Copy(b.cat.uris.held, b.held[Templates])
	}
	b.cat.held = b.held[Tools]
	b.instruct()
	b.cat.caching = caching(sources)
	for _, k := range Kinds() {
		b.list(k)
	}
	return b.cat
}

// list makes list k, and has its entries keep what is in its pages.
func (b *builder) list(k Kind) {
	entries := b.cat.entries[k]
	items := make([][]byte, 0, len(entries))
	sums := make([]itemSum, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.route.Listed {
			e.sum = sumOf(e.raw)
			items, sums = append(items, e.raw), append(sums, e.sum)
		}
	}
	sum := listSum(sums)
	b.cat.lists[k] = newList(k, items, sum)
	for i := range entries {
		if entries[i].route.Listed {
			entries[i].raw, items = items[0], items[1:]
		}
	}
	b.cat.legacy[k] = b.cat.lists[k]
	if k == Tools && b.legacy != nil {
		b.cat.legacy[k] = newList(k, b.legacy, sum)
		b.cat.older = make([][]byte, len(entries))
		for i := range entries {
			if entries[i].route.Listed {
				b.cat.older[i], b.legacy = b.legacy[0], b.legacy[1:]
			}
		}
	}
}

// named gives the tools or prompts of s their names.
func (b *builder) named(k Kind, s *source, routes map[string]*Route) {
	items := s.items[k]
	names := make([]string, len(items))
	changes := make([]ProblemKind, len(items))
	twins := make(map[string]int, len(items))
	for i, it := range items {
		if b.cat.own {
			names[i] = it.show
			continue
		}
		names[i], changes[i] = b.fit(b.join(s.prefix, it.show), it.show)
		twins[strings.ToLower(names[i])]++
	}
	made := make([]Route, len(items))
	idempotent := newGlobs(s.offer.Idempotent)
	for i := range items {
		it := &items[i]
		// What became equal only by the change is told apart by a hash, so that
		// neither order nor number of the others decides who has which name.
		if changes[i] == Replaced && twins[strings.ToLower(names[i])] > 1 {
			names[i] = b.hashed(b.join(s.prefix, it.show))
		}
		r, taken := routes[names[i]]
		if !taken {
			r, taken = b.held[k][names[i]]
		}
		if taken {
			b.collision(k, s, it, names[i], r)
			continue
		}
		if s.offer.withholds(k, it.own) {
			b.hold(k, s, it, names[i])
			continue
		}
		made[i] = Route{
			Upstream: s.offer.Upstream, Target: it.own, Quoted: it.key.Of(it.raw), Exposed: names[i],
			Listed: s.offer.Listed, Problem: b.changed(k, s, it, names[i], changes[i]), item: int32(i), //nolint:gosec // a list has no 2^31 items
		}
		var describe *string
		if k == Tools {
			made[i].Headers = headerParams(it.raw)
			made[i].Idempotent = idempotent.match(it.own, false) || s.offer.TrustAnnotations && it.idempotent
			if text, ok := s.offer.Describe[it.own]; ok {
				describe = &text
			}
		}
		routes[names[i]] = &made[i]
		b.add(k, &made[i], it.exposed(names[i], describe))
		if k == Tools && s.offer.Listed {
			b.addLegacy(s)
		}
	}
}

// hold has the name of an item that is withheld taken, and leads nowhere.
func (b *builder) hold(k Kind, s *source, it *item, name string) {
	if b.held[k] == nil {
		b.held[k] = make(map[string]*Route)
	}
	b.held[k][name] = &Route{Upstream: s.offer.Upstream, Target: it.own}
}

// addLegacy keeps the list for older clients abreast of the entries, to which a
// listed tool of s was just added.
func (b *builder) addLegacy(s *source) {
	all := b.cat.entries[Tools]
	last := all[len(all)-1].raw
	raw := last
	if s.offer.Modern {
		raw = forLegacy(raw)
	}
	if b.legacy == nil && &raw[0] == &last[0] {
		return
	}
	if b.legacy == nil {
		for _, e := range all[:len(all)-1] {
			if e.route.Listed {
				b.legacy = append(b.legacy, e.raw)
			}
		}
	}
	b.legacy = append(b.legacy, raw)
}

// add puts an item into its list.
func (b *builder) add(k Kind, r *Route, raw []byte) {
	r.seq = int32(len(b.cat.entries[k])) //nolint:gosec // a list has no 2^31 items
	b.cat.entries[k] = append(b.cat.entries[k], entry{route: r, raw: raw})
}

// changed records that an item goes by another name than its own, and returns
// the text of it.
func (b *builder) changed(k Kind, s *source, it *item, name string, kind ProblemKind) string {
	unaccepted := b.cat.own && b.Budget() > 0 && (len(name) > b.Budget() || !legal(name))
	if kind == "" && !unaccepted {
		return ""
	}
	who := fmt.Sprintf("%s %s of upstream %s", k.Noun(), quoted(it.own), quoted(s.offer.Upstream))
	p := Problem{Kind: kind, List: k.String(), Upstream: s.offer.Upstream, Name: printable(it.own), Exposed: printable(name)}
	switch {
	case kind == Shortened:
		p.Text = fmt.Sprintf("%s is listed as %s: with its prefix it is longer than %d characters", who, quoted(name), b.Budget())
		p.Mend = "set a shorter prefix" + orRename(k)
	case kind == Replaced:
		p.Text = fmt.Sprintf("%s is listed as %s: model APIs accept letters, digits, _ and - alone", who, quoted(name))
	default:
		p.Kind = Unaccepted
		p.Text = fmt.Sprintf("%s keeps its name, which some model APIs refuse: they accept %d letters, digits, _ and -", who, b.Budget())
		p.Mend = "set a prefix" + orRename(k)
	}
	b.cat.problems = append(b.cat.problems, p)
	return p.Text
}

func orRename(k Kind) string {
	if k == Tools {
		return " or use tools.rename"
	}
	return ""
}

// collision records that another has the name already.
func (b *builder) collision(k Kind, s *source, it *item, name string, has *Route) {
	p := Problem{
		Kind: Collision, List: k.String(), Upstream: s.offer.Upstream, Name: printable(it.own), Exposed: printable(name), Other: has.Upstream,
		Text: fmt.Sprintf("%s %s of upstream %s is hidden: upstream %s, earlier in the file, has the name %s (its %s)",
			k.Noun(), quoted(it.own), quoted(s.offer.Upstream), quoted(has.Upstream), quoted(name), quoted(has.Target)),
		Mend: "give one of the upstreams another prefix" + orRename(k),
	}
	if k == Resources || k == Templates {
		p.Text = fmt.Sprintf("%s %s of upstream %s is not listed: upstream %s, earlier in the file, has it",
			k.Noun(), quoted(it.own), quoted(s.offer.Upstream), quoted(has.Upstream))
		p.Mend = "it can be read as " + printable(AlwaysURI(s.offer.Upstream, it.own))
	}
	b.cat.problems = append(b.cat.problems, p)
}

// instruct merges the instructions, and lists the whole text as a resource if
// it had to be cut.
func (b *builder) instruct() {
	if b.cat.own {
		if o := b.sources[0].offer; o.Listed {
			b.cat.instructions, b.cat.full = o.Instructions, o.Instructions
		}
		return
	}
	var cut []string
	b.cat.instructions, b.cat.full, cut = b.Config.instructions(b.sources)
	if b.cat.instructions == b.cat.full {
		return
	}
	for _, name := range cut {
		b.cat.problems = append(b.cat.problems, Problem{
			Kind: Cut, Upstream: name,
			Text: fmt.Sprintf("the instructions of upstream %s are cut: clients keep %d characters of all upstreams together", quoted(name), maxInstructions),
			Mend: "the whole text is the resource " + InstructionsURI,
		})
	}
	r := &Route{Target: InstructionsURI, Quoted: []byte(`"` + InstructionsURI + `"`), Exposed: InstructionsURI, Listed: true}
	b.cat.uris.exact[InstructionsURI] = r
	raw := []byte(`{"uri":` + string(r.Quoted) + `,"name":"instructions","description":` +
		string(jsonrpc.AppendString(nil, "What the servers behind this one say about their use, in full")) + `,"mimeType":"text/plain"}`)
	b.add(Resources, r, raw)
}
