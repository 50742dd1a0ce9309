package router

import (
	"bytes"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// scheme begins the URIs of our own.
const scheme = "interlock://"

// AlwaysURI is the form of a resource's URI that leads to one upstream,
// whatever others have: interlock://<upstream>/<percent-encoded URI>.
func AlwaysURI(upstream, uri string) string {
	return scheme + url.PathEscape(upstream) + "/" + url.PathEscape(uri)
}

// Unroutable is the error of Resource: no upstream can be told from the URI.
type Unroutable struct {
	URI string
	// Upstreams are those that have resources, in file order.
	Upstreams []string
}

// Error names the URI, escaped and cut, and the form that always works.
func (e *Unroutable) Error() string {
	if len(e.Upstreams) == 0 {
		return fmt.Sprintf("unknown resource %s: no upstream has resources", quoted(e.URI))
	}
	names := make([]string, len(e.Upstreams))
	for i, n := range e.Upstreams {
		names[i] = printable(n)
	}
	return fmt.Sprintf("unknown resource %s: no upstream lists it. Ask for %s<upstream>/<percent-encoded URI>, upstream being one of %s",
		quoted(e.URI), scheme, strings.Join(names, ", "))
}

// resources leads from URIs to routes.
type resources struct {
	exact     map[string]*Route
	templates []*template       // the most literal first
	texts     map[string]*Route // templates by their text, which completion refers to
	apps      map[string]*app   // what tools show themselves with, which need not be listed
	sources   map[string]*source
	sole      *source           // the only one that has resources
	held      map[string]*Route // URIs and texts of templates that are withheld
	having    []string
}

func (u *resources) init(sources []*source) {
	u.exact = make(map[string]*Route)
	u.texts = make(map[string]*Route)
	u.apps = make(map[string]*app)
	u.sources = make(map[string]*source, len(sources))
	for _, s := range sources {
		u.sources[s.offer.Upstream] = s
		if s.resources {
			u.having = append(u.having, s.offer.Upstream)
			u.sole = s
		}
	}
	if len(u.having) != 1 {
		u.sole = nil
	}
}

// sort puts the templates that say most before those that say less: one that
// is a mere {+uri} must not take what belongs to another. Equals keep the
// order of the file.
func (u *resources) sort() {
	slices.SortStableFunc(u.templates, func(a, b *template) int { return b.literal - a.literal })
}

// Resource returns the route of a URI: interlock://<upstream>/<percent-encoded
// URI>, else an exact listed URI (or the text of a listed template, as
// completion names it), else the template that matches with the most literal
// characters, else the upstream of a tool that names it as its user interface (MCP
// Apps), else the only upstream that has resources. The error is an *Unroutable.
func (c *Catalog) Resource(uri string) (*Route, error) {
	r, err := c.uris.find(uri)
	if c.sight != nil {
		return c.sight.resource(uri, r)
	}
	return r, err
}

func (u *resources) find(uri string) (*Route, error) {
	if _, held := u.held[uri]; held {
		return nil, &Unroutable{URI: uri, Upstreams: u.having}
	}
	if s, target, ok := u.own(uri); ok {
		if s.resources && !s.withholds(target) {
			return s.route(uri, target), nil
		}
		return nil, &Unroutable{URI: uri, Upstreams: u.having}
	}
	if r, ok := u.exact[uri]; ok {
		return r, nil
	}
	if r, ok := u.texts[uri]; ok {
		return r, nil
	}
	if t := u.template(uri); t != nil {
		return u.sources[t.route.Upstream].route(uri, uri), nil
	}
	if a, ok := u.apps[uri]; ok {
		return a.route, nil
	}
	if u.sole != nil && !strings.HasPrefix(uri, scheme) && !u.sole.withholds(uri) {
		return u.sole.route(uri, uri), nil
	}
	return nil, &Unroutable{URI: uri, Upstreams: u.having}
}

// template returns the one that says most of those that match, nil for none.
func (u *resources) template(uri string) *template {
	for _, t := range u.templates {
		if t.match(uri) {
			return t
		}
	}
	return nil
}

// own splits interlock://<upstream>/<percent-encoded URI>. Clients may have put
// the upstream, a URI's host, in lower case.
func (u *resources) own(uri string) (s *source, target string, ok bool) {
	if len(uri) < len(scheme) || !strings.EqualFold(uri[:len(scheme)], scheme) {
		return nil, "", false
	}
	host, rest, found := strings.Cut(uri[len(scheme):], "/")
	if !found || rest == "" {
		return nil, "", false
	}
	host, err := url.PathUnescape(host)
	if err != nil {
		return nil, "", false
	}
	if target, err = url.PathUnescape(rest); err != nil {
		return nil, "", false
	}
	if s = u.sources[host]; s != nil {
		return s, target, true
	}
	for name, other := range u.sources {
		if strings.EqualFold(name, host) {
			if s != nil {
				return nil, "", false
			}
			s = other
		}
	}
	return s, target, s != nil
}

// withholds reports whether a URI of s leads to what is withheld: to one of its
// resources, or to a template of its that is, unless another one leads there too.
func (s *source) withholds(uri string) bool {
	if s.offer.withholds(Resources, uri) || s.offer.withholds(Templates, uri) {
		return true
	}
	if len(s.offer.withheld[Templates]) == 0 {
		return false
	}
	for i := range s.items[Resources] {
		if s.items[Resources][i].own == uri {
			return false
		}
	}
	held := false
	for i, t := range s.parsed {
		if t.match(uri) {
			if !s.offer.withholds(Templates, s.items[Templates][i].own) {
				return false
			}
			held = true
		}
	}
	return held
}

func (s *source) route(exposed, target string) *Route {
	return &Route{
		Upstream: s.offer.Upstream, Target: target, Quoted: jsonrpc.AppendString(nil, target),
		Exposed: exposed, Listed: s.offer.Listed, Chosen: true,
	}
}

// resources adds the resources of s that no earlier upstream has. A URI is
// never changed.
func (b *builder) resources(s *source) {
	u := &b.cat.uris
	for i := range s.items[Resources] {
		it := &s.items[Resources][i]
		if _, _, ours := u.own(it.own); ours || it.own == InstructionsURI && !b.cat.own {
			b.reserved(Resources, s, it)
			continue
		}
		has, taken := u.exact[it.own]
		if !taken {
			has, taken = b.held[Resources][it.own]
		}
		if taken {
			b.collision(Resources, s, it, it.own, has)
			continue
		}
		if s.offer.withholds(Resources, it.own) {
			b.hold(Resources, s, it, it.own)
			continue
		}
		r := &Route{Upstream: s.offer.Upstream, Target: it.own, Quoted: it.key.Of(it.raw), Exposed: it.own, Listed: s.offer.Listed}
		u.exact[it.own] = r
		b.add(Resources, r, it.raw)
	}
}

// app is what tools of one upstream show themselves with.
type app struct {
	route *Route
	tools []*Route // that name it
}

// apps adds the resources that the tools of s name as their user interface. A URI
// that two upstreams name is the first one's.
func (b *builder) apps(s *source) {
	routes := make([]*Route, len(s.items[Tools])) // nil for a tool whose name another has
	for _, e := range slices.Backward(b.cat.entries[Tools]) {
		if e.route.Upstream != s.offer.Upstream {
			break
		}
		routes[e.route.item] = e.route
	}
	apps := b.cat.uris.apps
	for i := range s.items[Tools] {
		it := &s.items[Tools][i]
		uri := appURI(it.raw)
		if uri == "" || s.offer.withholds(Tools, it.own) || s.offer.withholds(Resources, uri) {
			continue
		}
		if apps[uri] == nil {
			apps[uri] = &app{route: s.route(uri, uri)}
		}
		if r := routes[i]; r != nil && apps[uri].route.Upstream == s.offer.Upstream {
			apps[uri].tools = append(apps[uri].tools, r)
		}
	}
}

// appURI returns _meta.ui.resourceUri of a tool (extension
// io.modelcontextprotocol/ui), or its older spelling _meta["ui/resourceUri"]; ""
// for none.
func appURI(raw []byte) string {
	if !bytes.Contains(raw, []byte("ui://")) {
		return ""
	}
	at, ok := jsonrpc.Lookup(raw, jsonrpc.Whole(raw), "_meta", "ui", "resourceUri")
	if !ok {
		at, _ = jsonrpc.Lookup(raw, jsonrpc.Whole(raw), "_meta", "ui/resourceUri")
	}
	if uri := jsonrpc.Text(raw, at); strings.HasPrefix(uri, "ui://") && len(uri) <= maxURI {
		return uri
	}
	return ""
}

// templates adds the resource templates of s that no earlier upstream has.
func (b *builder) templates(s *source) {
	u := &b.cat.uris
	for i := range s.items[Templates] {
		it := &s.items[Templates][i]
		has, taken := u.texts[it.own]
		if !taken {
			has, taken = b.held[Templates][it.own]
		}
		if taken {
			b.collision(Templates, s, it, it.own, has)
			continue
		}
		if s.offer.withholds(Templates, it.own) {
			b.hold(Templates, s, it, it.own)
			continue
		}
		t := *s.parsed[i]
		t.route = &Route{Upstream: s.offer.Upstream, Target: it.own, Quoted: it.key.Of(it.raw), Exposed: it.own, Listed: s.offer.Listed}
		u.texts[it.own] = t.route
		u.templates = append(u.templates, &t)
		b.add(Templates, t.route, it.raw)
	}
}

// reserved records a URI that would be taken for one of ours.
func (b *builder) reserved(k Kind, s *source, it *item) {
	b.cat.problems = append(b.cat.problems, Problem{
		Kind: Hidden, List: k.String(), Upstream: s.offer.Upstream, Name: printable(it.own),
		Text: fmt.Sprintf("%s %s of upstream %s is hidden: such URIs are the gateway's own", k.Noun(), quoted(it.own), quoted(s.offer.Upstream)),
		Mend: "it can be read as " + printable(AlwaysURI(s.offer.Upstream, it.own)),
	})
}
