package oauth

import (
	"slices"
	"time"
)

// header is the header Authorization with a's token, "" for no account or no token.
func (a *Account) header() string {
	if a == nil || a.AccessToken == "" {
		return ""
	}
	return "Bearer " + string(a.AccessToken)
}

// same says whether both have the same tokens.
func (a *Account) same(b *Account) bool {
	return a != nil && b != nil && a.AccessToken == b.AccessToken && a.RefreshToken == b.RefreshToken
}

// valid says whether the access token has not expired.
func (a *Account) valid(now time.Time) bool {
	return a != nil && a.AccessToken != "" && (a.Expires.IsZero() || now.Before(a.Expires))
}

// dueAt is when the access token is to be renewed, zero for never: when a minute or a
// tenth of its lifetime is left, whichever is less.
func (a *Account) dueAt() time.Time {
	if a.Expires.IsZero() {
		return time.Time{}
	}
	lead := maxLead
	if life := a.Expires.Sub(a.Obtained); !a.Obtained.IsZero() && life < 10*maxLead {
		lead = max(life/10, 0)
	}
	return a.Expires.Add(-lead)
}

// due says whether the access token is to be renewed.
func (a *Account) due(now time.Time) bool {
	at := a.dueAt()
	return !at.IsZero() && !now.Before(at)
}

// granted says whether all of scopes were.
func (a *Account) granted(scopes []string) bool {
	if a == nil {
		return false
	}
	return !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(a.Scopes, s) })
}
