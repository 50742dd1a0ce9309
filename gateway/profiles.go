package gateway

import (
	"slices"
	"strings"

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
