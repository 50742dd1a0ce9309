package gateway

import (
	"fmt"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
)

// What a client asks to see, by the path that it uses, is kept as a string: "" for
// all that there is for it, a name for one upstream, and one of these before a name
// for a profile. Names hold no slash. What that comes to depends on whose request it
// is and on the configuration of the moment, and is found out anew for each.
const (
	askedProfile = "p/" // /mcp/p/<profile>
	// givenProfile is chosen for a client on stdio by whoever runs it, and by the
	// operator for a call; without a name it is the whole. No path asks for it.
	givenProfile = "s/"
)

// catalogFor returns the catalog of what a principal sees of what was asked for: the
// whole, one upstream under its own names, or a profile. A principal that profiles
// list never sees beyond the first of them, or the one of them that it asks for;
// others are given the default profile, if there is one. ok is false if there is no
// such thing, or not for the principal.
func (v *view) catalogFor(asked string, p *policy.Principal) (c *router.Catalog, ok bool) {
	profiles := v.cfg.Profiles
	if len(profiles) == 0 && asked == "" {
		return v.catalog, true
	}
	kind, name := splitAsked(asked)
	switch kind {
	case "":
	case givenProfile:
		if name == "" {
			return v.catalog, true
		}
		return v.catalog.Profile(name)
	case askedProfile:
		if !mayAsk(profiles, name, p) {
			return nil, false
		}
		return v.catalog.Profile(name)
	default:
		return nil, false
	}
	c = v.catalog
	if mine := profileOf(profiles, p); mine != nil {
		if c, ok = c.Profile(mine.Name); !ok { // not while it is of the view's configuration
			return nil, false
		}
	}
	if name == "" {
		return c, true
	}
	return c.Only(name)
}

// upstreamAsked is what a client asks to see of one upstream. A name that none can
// have is kept from meaning anything else.
func upstreamAsked(name string) string {
	if strings.Contains(name, "/") {
		return "u/" + name
	}
	return name
}

// splitAsked takes apart what a client asks to see.
func splitAsked(asked string) (kind, name string) {
	if len(asked) > 1 && asked[1] == '/' {
		return asked[:2], asked[2:]
	}
	return "", asked
}

// profileOf returns the profile that a principal gets without asking for one, nil
// for none: the first that lists it, else the default.
func profileOf(all []config.Profile, p *policy.Principal) *config.Profile {
	var otherwise *config.Profile
	for i := range all {
		if all[i].Lists(p) {
			return &all[i]
		}
		if all[i].Default {
			otherwise = &all[i]
		}
	}
	return otherwise
}

// mayAsk reports whether a principal may ask for the profile of that name: one that
// lists it, or, if none does, one that lists nobody or is the default.
func mayAsk(all []config.Profile, name string, p *policy.Principal) bool {
	i := slices.IndexFunc(all, func(c config.Profile) bool { return c.Name == name })
	if i < 0 {
		return false
	}
	if all[i].Lists(p) {
		return true
	}
	open := len(all[i].Principals) == 0 || all[i].Default
	return open && !slices.ContainsFunc(all, func(c config.Profile) bool { return c.Lists(p) })
}

// routerProfiles are the profiles as the catalog takes them.
func routerProfiles(all []config.Profile) []router.Profile {
	out := make([]router.Profile, len(all))
	for i := range all {
		out[i] = all[i].Profile
	}
	return out
}

// whose is whom the session's last request was from: the same principal as ever, in
// the groups that it is in by now.
func (s *session) whose() *policy.Principal {
	if p := s.latest.Load(); p != nil {
		return p
	}
	return s.principal
}

// catalogOf returns the catalog of what a session sees at the moment.
func (v *view) catalogOf(s *session) *router.Catalog {
	if c, ok := v.catalogFor(s.view, s.whose()); ok {
		return c
	}
	return emptyCatalog
}

// sees reports whether the session sees anything of an upstream at the moment.
func (g *Gateway) sees(s *session, upstream string) bool {
	v := g.view.Load()
	return s.view == "" && len(v.cfg.Profiles) == 0 || v.catalogOf(s).Sees(upstream)
}

// seesResource reports whether the session sees the resource that it calls uri.
func (g *Gateway) seesResource(s *session, uri string) bool {
	return g.findsResource(s.view, s.whose(), uri)
}

// seesStill is the same for the client of a request.
func (g *Gateway) seesStill(x *exchange, uri string) bool {
	return g.findsResource(x.session.view, x.principal, uri)
}

func (g *Gateway) findsResource(asked string, p *policy.Principal, uri string) bool {
	v := g.view.Load()
	if len(v.cfg.Profiles) == 0 { // what it was let subscribe to it still sees
		return true
	}
	c, ok := v.catalogFor(asked, p)
	if !ok {
		return false
	}
	_, err := c.Resource(uri)
	return err == nil
}

// catalogIn returns the catalog of a profile, "" for the whole. The error is an
// *admin.Error.
func (g *Gateway) catalogIn(profile string) (*router.Catalog, error) {
	v := g.view.Load()
	if c, ok := v.catalogFor(givenProfile+profile, nil); ok {
		return c, nil
	}
	return nil, noProfile(v.cfg.Profiles, profile)
}

func noProfile(all []config.Profile, name string) error {
	e := &admin.Error{Code: admin.CodeUnknownProfile, Detail: fmt.Sprintf("no profile is named %.128q", name), Mend: "the configuration has no profiles"}
	var names []string
	for i := range all {
		names = append(names, all[i].Name)
	}
	if names != nil {
		e.Mend = "the profiles are " + strings.Join(names, ", ")
	}
	return e
}

// HasProfile returns an *admin.Error if there is no profile of that name; "" is the
// whole.
func (g *Gateway) HasProfile(name string) error {
	_, err := g.catalogIn(name)
	return err
}

// Profiles returns the profiles, in the order of the file.
func (g *Gateway) Profiles() []admin.Profile {
	v := g.view.Load()
	var out []admin.Profile
	for i := range v.cfg.Profiles {
		p := &v.cfg.Profiles[i]
		c, ok := v.catalog.Profile(p.Name)
		if !ok {
			continue
		}
		a := admin.Profile{
			Name: p.Name, Description: p.Description, Default: p.Default, Principals: p.Principals,
			Path: strings.TrimSuffix(v.cfg.Server.Path, "/") + "/p/" + p.Name, Upstreams: []string{},
		}
		for _, u := range v.order {
			if c.Sees(u.Name()) {
				a.Upstreams = append(a.Upstreams, u.Name())
			}
		}
		for kind, n := range map[router.Kind]*int{router.Tools: &a.Tools, router.Prompts: &a.Prompts, router.Resources: &a.Resources, router.Templates: &a.Resources} {
			for _, of := range c.Listed(kind) {
				*n += of
			}
		}
		out = append(out, a)
	}
	return out
}

// ToolsIn returns the tools as Tools does, of a profile. The error is an
// *admin.Error.
func (g *Gateway) ToolsIn(profile string) ([]admin.Tool, error) {
	c, err := g.catalogIn(profile)
	if err != nil {
		return nil, err
	}
	return toolsOf(c), nil
}

// IdleRules returns the rules of profiles that match nothing of what is known.
func (g *Gateway) IdleRules() []admin.Problem {
	v := g.view.Load()
	var out []admin.Problem
	for i := range v.cfg.Profiles {
		if c, ok := v.catalog.Profile(v.cfg.Profiles[i].Name); ok {
			out = append(out, adminProblems(c.IdleRules())...)
		}
	}
	return out
}
