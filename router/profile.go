package router

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Profile is a named view of a catalog: some of the upstreams, some of what they
// offer, and tools under other names and descriptions. It never changes whose a
// name is: what a profile shows is what the whole catalog has, and collisions are
// decided there. The koanf tags are keys of an item of `profiles`.
type Profile struct {
	Name string `koanf:"-"`

	// Upstreams are globs on upstreams' names and Tags on their tags; none shows
	// all. One that begins with ! leaves out, and that wins. An upstream is shown
	// if both lists show it.
	Upstreams []string `koanf:"upstreams"`
	Tags      []string `koanf:"tags"`
	// Tools filters the tools by the names that clients know, and changes them.
	Tools ProfileTools `koanf:"tools"`
	// Prompts filters the prompts by the names that clients know, Resources the
	// resources by their URIs and the templates by their text.
	Prompts   ProfileRules `koanf:"prompts"`
	Resources ProfileRules `koanf:"resources"`
}

// ProfileRules say what of a list is shown. The globs match any characters with *,
// a / as well. Nothing allowed means all; deny wins.
type ProfileRules struct {
	Allow []string `koanf:"allow"`
	Deny  []string `koanf:"deny"`
}

// ProfileTools are rules for tools, and what is changed of them. All names are
// those that clients know without the profile.
type ProfileTools struct {
	Allow []string `koanf:"allow"`
	Deny  []string `koanf:"deny"`
	// Rename gives tools, by their names, other names in this profile; they are
	// unknown by the old ones then. Describe gives them other descriptions.
	Rename   map[string]string `koanf:"rename"`
	Describe map[string]string `koanf:"describe"`
}

// Validate returns every fault of p, joined, each a *FieldError with a path below
// the profile.
func (p *Profile) Validate(c Config) error {
	var errs []error
	bad := func(text, mend string, path ...string) { errs = append(errs, &FieldError{path, text, mend}) }
	for _, g := range []struct {
		path  []string
		globs []string
		bang  bool
	}{
		{[]string{"upstreams"}, p.Upstreams, true},
		{[]string{"tags"}, p.Tags, true},
		{[]string{"tools", "allow"}, p.Tools.Allow, false},
		{[]string{"tools", "deny"}, p.Tools.Deny, false},
		{[]string{"prompts", "allow"}, p.Prompts.Allow, false},
		{[]string{"prompts", "deny"}, p.Prompts.Deny, false},
		{[]string{"resources", "allow"}, p.Resources.Allow, false},
		{[]string{"resources", "deny"}, p.Resources.Deny, false},
	} {
		for i, pattern := range g.globs {
			path := append(g.path, strconv.Itoa(i))
			rest := pattern
			if g.bang {
				rest = strings.TrimPrefix(pattern, "!")
			}
			switch {
			case rest == "":
				bad("is empty", "", path...)
			case !isGlob(rest):
				bad("is not a glob: "+quoted(pattern), `write *, ? and [a-z], and \ before one that is meant`, path...)
			}
		}
	}
	taken := make(map[string]string, len(p.Tools.Rename))
	for _, old := range slices.Sorted(maps.Keys(p.Tools.Rename)) {
		name := p.Tools.Rename[old]
		low := strings.ToLower(name)
		switch first, twice := taken[low]; {
		case name == "" || !legal(name):
			bad("gives the name "+quoted(name)+": model APIs accept letters, digits, _ and - alone", "", "tools", "rename", old)
			continue
		case c.Budget() > 0 && len(name) > c.Budget():
			bad(fmt.Sprintf("gives the name %s, which is longer than the %d characters that names may have", quoted(name), c.Budget()),
				"use a shorter one, or raise names.max", "tools", "rename", old)
			continue
		case twice:
			bad("is called "+quoted(name)+", as is "+quoted(first), "give each its own name", "tools", "rename", old)
			continue
		}
		taken[low] = old
		if _, other := p.Tools.Rename[name]; other && name != old {
			bad("is called "+quoted(name)+", which is the name of another tool", "a profile gives nobody's name to somebody else: choose another", "tools", "rename", old)
		}
	}
	return errors.Join(errs...)
}

// chooser tells which of several names a list of globs chooses, of which those
// that begin with ! leave out.
type chooser struct{ in, out globs }

func newChooser(patterns []string) chooser {
	var in, out []string
	for _, p := range patterns {
		if rest, ok := strings.CutPrefix(p, "!"); ok {
			out = append(out, rest)
		} else {
			in = append(in, p)
		}
	}
	return chooser{newGlobs(in), newGlobs(out)}
}

// any reports whether something with these names is chosen.
func (c chooser) any(names ...string) bool {
	chosen := len(c.in) == 0
	for _, name := range names {
		if c.out.match(name, true) {
			return false
		}
		chosen = chosen || c.in.match(name, false)
	}
	return chosen
}

// rules are ProfileRules ready to be asked.
type rules struct{ allow, deny globs }

func newRules(allow, deny []string) rules { return rules{newGlobs(allow), newGlobs(deny)} }

func (r *rules) pass(name string) bool {
	return !r.deny.match(name, true) && (len(r.allow) == 0 || r.allow.match(name, false))
}

// none reports whether nothing passes, whatever its name.
func (r *rules) none() bool {
	return slices.ContainsFunc(r.deny, func(g glob) bool { return g.form == prefix && g.text == "" })
}

// lens is a profile ready to be asked.
type lens struct {
	*Profile
	upstreams, tags chooser
	rules           [kinds]rules
}

func newLens(p *Profile) *lens {
	l := &lens{Profile: p, upstreams: newChooser(p.Upstreams), tags: newChooser(p.Tags)}
	l.rules[Tools] = newRules(p.Tools.Allow, p.Tools.Deny)
	l.rules[Prompts] = newRules(p.Prompts.Allow, p.Prompts.Deny)
	l.rules[Resources] = newRules(p.Resources.Allow, p.Resources.Deny)
	l.rules[Templates] = l.rules[Resources]
	return l
}

// selects reports whether the profile shows the upstream at all.
func (l *lens) selects(o *Offer) bool { return l.upstreams.any(o.Upstream) && l.tags.any(o.Tags...) }
