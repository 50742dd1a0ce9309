package oauth

import (
	"net/http"
	"slices"
)

// demand is what the last refusal asked for, until somebody signs in.
type demand struct {
	// challenge has nothing but the header WWW-Authenticate, nil if nothing was refused.
	challenge http.Header
	// wider says that the server wants more than was granted, nil if it does not.
	wider *NeedsAuth
}

// keep remembers the challenge of a refusal.
func (w *demand) keep(h http.Header) {
	const name = "Www-Authenticate"
	w.challenge = http.Header{}
	if v := h.Values(name); len(v) > 0 {
		w.challenge[name] = slices.Clone(v)
	}
}

// widen makes the challenge that is kept a need of more scopes: those of a, those that
// were wanted before, and its own. All of them are needed, since a new token takes the
// place of the one there is.
func (w *demand) widen(k Key, a *Account) *NeedsAuth {
	n := &NeedsAuth{Key: k, Why: MoreScope}
	if a != nil {
		n.Issuer, n.Scopes = a.Issuer, a.Scopes
	}
	if w.wider != nil {
		n.Scopes = union(n.Scopes, w.wider.Scopes)
	}
	n.Scopes = union(n.Scopes, readChallenge(w.challenge).scopes)
	w.wider = n
	return n
}

// give returns what was asked for, for Accounts.Wanted.
func (w *demand) give() (challenge http.Header, more []string) {
	if w.wider != nil {
		more = slices.Clone(w.wider.Scopes)
	}
	return w.challenge.Clone(), more
}
