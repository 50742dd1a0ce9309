package router

import (
	"iter"
	"slices"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Catalog maps the names that clients see to routes, and holds the lists of
// them. It never changes, so everything it returns is shared and read-only.
type Catalog struct {
	// own says that names stay as the upstream has them: there is only one.
	own bool

	lists    [kinds]list
	legacy   [kinds]list // what clients of older revisions get; mostly the same
	caching  Caching
	tools    map[string]*Route
	held     map[string]*Route // names of tools that are taken by what nobody can reach
	prompts  map[string]*Route
	uris     resources
	entries  [kinds][]entry
	older    [][]byte // the entries of tools as clients of older revisions get them; nil for the same
	problems []Problem

	instructions, full string

	only     map[string]*Catalog // by upstream; nil in a view of one upstream
	profiles map[string]*Catalog // by name; nil in a profile and in a view of one upstream

	sight *sight // nil for all of it
}

// entry is an item of a list with its route.
type entry struct {
	route *Route
	raw   []byte
	sum   itemSum // of raw; zero if it is not listed
}

// Tool returns the route of the tool that clients call name. A tool that is
// filtered, hidden or left out is as unknown as one that never was.
func (c *Catalog) Tool(name string) (*Route, bool) {
	r, ok := c.tools[name]
	if c.sight != nil {
		return c.sight.tool(name, r)
	}
	return r, ok
}

// Prompt returns the route of the prompt that clients call name.
func (c *Catalog) Prompt(name string) (*Route, bool) {
	r, ok := c.prompts[name]
	if ok && c.sight != nil && !c.sight.shown[Prompts].has(r.seq) {
		return nil, false
	}
	return r, ok
}

// Page returns the whole result object of a list request with that cursor, ""
// for the first page: {"tools":[...],"nextCursor":"..."}, on one line, for a
// client of a revision before 2026-07-28. It was made at Build, or is put together
// of what was. The error is ErrCursor.
func (c *Catalog) Page(k Kind, cursor string) ([]byte, error) { return pageOf(&c.legacy, k, cursor) }

// ModernPage is Page for a client of 2026-07-28, but for the members that say of
// the result what Caching says.
func (c *Catalog) ModernPage(k Kind, cursor string) ([]byte, error) {
	return pageOf(&c.lists, k, cursor)
}

func pageOf(lists *[kinds]list, k Kind, cursor string) ([]byte, error) {
	if k < kinds {
		return lists[k].at(cursor)
	}
	return nil, ErrCursor
}

// Caching is for how long, and by whom, what a catalog lists may be kept
// (2026-07-28 server/utilities/caching).
type Caching struct {
	TTL     time.Duration // the smallest of all upstreams, 0 for not at all
	Private bool          // some of it is one user's
}

// Caching returns what applies to all lists of the catalog.
func (c *Catalog) Caching() Caching { return c.caching }

// caching is what applies to all that the sources offer.
func caching(sources []*source) Caching {
	var c Caching
	for i, s := range sources {
		if i == 0 || s.offer.TTL < c.TTL {
			c.TTL = s.offer.TTL
		}
		c.Private = c.Private || s.offer.Private
	}
	return c
}

// Digest identifies the contents of a list: it changes if and only if a client
// that lists again sees something else.
func (c *Catalog) Digest(k Kind) string { return c.lists[k].digest }

// Profile returns the view of a profile; false if Build was given none of that
// name. It has views of one upstream as the whole has, with what the profile shows
// of it.
func (c *Catalog) Profile(name string) (*Catalog, bool) {
	p, ok := c.profiles[name]
	return p, ok
}

// Only returns the view of one upstream alone, under its own names, as they
// are; false if there is no such upstream.
func (c *Catalog) Only(upstream string) (*Catalog, bool) {
	o, ok := c.only[upstream]
	return o, ok
}

// Instructions is what to tell a client at its start: what the listed upstreams
// say, at most 2,000 characters with a fair share for each. A single upstream
// without a prefix speaks for itself, unchanged.
func (c *Catalog) Instructions() string { return c.instructions }

// FullInstructions is the same without a limit. When the two differ it is the
// resource InstructionsURI.
func (c *Catalog) FullInstructions() string { return c.full }

// Problems returns what was hidden, changed or left out, in file order.
func (c *Catalog) Problems() []Problem { return c.problems }

// Entries describes the items of list k for people to read, in the order of
// the list, unlisted offers included.
func (c *Catalog) Entries(k Kind) []Entry {
	all := make([]Entry, 0, len(c.entries[k]))
	for e := range c.each(k) {
		m, _ := members(e.raw)
		all = append(all, Entry{
			Exposed: e.route.Exposed, Upstream: e.route.Upstream, Name: e.route.Target,
			Description: jsonrpc.Text(e.raw, m.description), Listed: e.route.Listed, Item: slices.Clip(e.raw),
		})
	}
	return all
}

// Listed counts the items of list k that clients are shown, by upstream.
func (c *Catalog) Listed(k Kind) map[string]int {
	n := make(map[string]int)
	for e := range c.each(k) {
		if e.route.Listed {
			n[e.route.Upstream]++
		}
	}
	return n
}

// each yields the entries of list k that the catalog shows.
func (c *Catalog) each(k Kind) iter.Seq[entry] {
	return func(yield func(entry) bool) {
		for _, e := range c.entries[k] {
			if c.sight != nil {
				if e = c.sight.entry(k, e); e.route == nil {
					continue
				}
			}
			if !yield(e) {
				return
			}
		}
	}
}
