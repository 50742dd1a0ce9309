package main

import (
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// needsSignIn tells whether an upstream does not run for want of a sign-in.
func needsSignIn(u admin.Upstream) bool {
	return u.State == "error" && u.SignIn != nil && u.SignIn.State == admin.NeedsAuth
}

// howToSignIn is what to do about a sign-in that is missing, or is not good for all.
func howToSignIn(u admin.Upstream) string {
	if u.SignIn.How != "" {
		return printable(u.SignIn.How)
	}
	return "interlock login " + u.Name
}

// lackings writes which of the upstreams have a sign-in that is not good for all
// that they do, though they run.
func (s *screen) lackings(ups []admin.Upstream) {
	for _, u := range ups {
		in := u.SignIn
		if in == nil || u.State == "error" {
			continue
		}
		var text string
		switch {
		case in.Error != "":
			text = "its sign-in could not be renewed, which is tried again: " + printable(in.Error)
		case in.Why != "":
			text = whyLacking(in) + "; " + howToSignIn(u)
		default:
			continue
		}
		s.printf("\n%s %s\n", s.bold(u.Name), s.yellow(text))
	}
}

// whyLacking says what is amiss with a sign-in.
func whyLacking(in *admin.SignIn) string {
	e := oauth.NeedsAuth{Why: oauth.Why(in.Why), Scopes: in.Scopes}
	return printable(strings.TrimPrefix(e.Error(), "needs_auth: "))
}

// signInFact is what info says of a sign-in, "" for an upstream that knows none.
func signInFact(in *admin.SignIn) string {
	if in == nil {
		return ""
	}
	var parts []string
	switch in.State {
	case admin.SignedIn:
		text := "signed in"
		if in.Issuer != "" {
			text += " at " + in.Issuer
		}
		parts = append(parts, text)
		if in.Why == "" && len(in.Scopes) > 0 {
			parts = append(parts, "scopes "+strings.Join(in.Scopes, " "))
		}
	case admin.NotAsked:
		return "none, and the server asks for none"
	default:
		parts = append(parts, in.State)
	}
	if in.State == admin.SignedIn {
		parts = append(parts, tokenFact(in))
	}
	if in.Why != "" {
		parts = append(parts, whyLacking(in))
	}
	if in.Error != "" {
		parts = append(parts, "not renewed just now: "+in.Error)
	}
	if in.How != "" {
		parts = append(parts, in.How)
	}
	if in.Per == string(oauth.PerPrincipal) {
		parts = append(parts, "for lists and probes: each principal signs in for itself")
	}
	return strings.Join(parts, "; ")
}

// tokenFact is how long a token is good.
func tokenFact(in *admin.SignIn) string {
	left := time.Until(in.Expires).Round(time.Second)
	switch {
	case in.Expires.IsZero():
		return "no end is known"
	case in.Renewable && left > 0:
		return "renewed by itself, the next time within " + seconds(left.Seconds())
	case in.Renewable:
		return "renewed when it is needed next"
	case left > 0:
		return "good for " + seconds(left.Seconds()) + ", and not renewable"
	}
	return "expired"
}
