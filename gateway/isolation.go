package gateway

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// belongsTo says whose the session is. It is said before anybody else knows the
// session.
func (s *session) belongsTo(p *policy.Principal) *session {
	s.principal, s.apart, s.account = p, "", ""
	// What the operator calls is served by what the supervisor has.
	if !p.Anonymous() && (p.Issuer != operatorIssuer || p.Subject != operatorSubject) {
		s.account = p.Key()
		sum := sha256.Sum256([]byte(s.account))
		s.apart = "principal-" + hex.EncodeToString(sum[:16])
	}
	return s
}

// scope says which link of an upstream serves the session, and with whose sign-in.
// Where each principal signs in for itself its links are its own, whatever else would
// be shared.
func (s *session) scope(u *upstream.Upstream) upstream.Scope {
	c := u.Config()
	scope := s.shared(u, c)
	if c.Auth.Per == oauth.PerPrincipal && s.account != "" && c.Kind() != upstream.Stdio {
		if scope.Principal = s.account; scope.Key == "" {
			scope.Key = s.apart
		}
	}
	return scope
}

// shared is scope without regard to sign-ins. Shared, it is the one
// that the supervisor has; one for each principal declares what that one declares;
// one for each session declares what the client did. Of itself a process is shared
// while nobody has to say who it is, and else each principal has one; and a legacy
// remote has a session for each of ours.
func (s *session) shared(u *upstream.Upstream, c *upstream.Config) upstream.Scope {
	process := c.Kind() == upstream.Stdio
	if u.Modern() && !process {
		return upstream.Scope{} // it has no sessions
	}
	iso := c.Isolation
	if iso == upstream.AutoIsolation {
		iso = upstream.PerSession
		if process {
			iso = upstream.PerPrincipal
		}
	}
	switch {
	case iso == upstream.PerPrincipal && s.apart != "":
		return upstream.Scope{Key: s.apart}
	case iso == upstream.PerSession && !u.Modern():
		return upstream.Scope{Key: s.key, Capabilities: s.capabilities().raw, Exclusive: true}
	}
	return upstream.Scope{}
}

// on reports whether the scope is that of the session's link at an upstream.
func (g *Gateway) on(scope upstream.Scope, s *session, up string) bool {
	u := g.set.Upstream(up)
	return u != nil && s.scope(u).Key == scope.Key
}
