package gateway

import (
	"net/http"

	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/policy"
)

// visitor is who sent an HTTP request. The zero value stands for a client on stdio,
// which is whoever its session says.
type visitor struct {
	request   *http.Request
	principal *policy.Principal // never nil with a request
	by        *guard            // that let it in
}

// auth is what knows the principal, nil if nobody was asked.
func (v visitor) auth() *identity.Authenticator {
	if v.by == nil {
		return nil
	}
	return v.by.auth
}

// anonymous is whoever comes while nobody has to say who it is. It is never
// changed.
var anonymous = new(policy.Principal)

// who returns whom a request in a session is from.
func (v visitor) who(s *session) *policy.Principal {
	if v.request == nil {
		return s.principal
	}
	return v.principal
}

// owner identifies a principal, as policy.Principal.Key does, and costs nothing.
type owner struct{ issuer, subject string }

func ownerOf(p *policy.Principal) owner { return owner{p.Issuer, p.Subject} }

// of reports whether the session is the principal's.
func (s *session) of(p *policy.Principal) bool { return ownerOf(s.principal) == ownerOf(p) }
