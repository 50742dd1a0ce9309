package oauth

import (
	"fmt"
	"strings"
)

// NeedsAuth says that a person has to sign in before a server answers.
type NeedsAuth struct {
	Key
	// Issuer is where to, "" if that is not known yet.
	Issuer string
	// Scopes are those that the server wants, nil if it did not say.
	Scopes []string
	Why    Why
}

// Why is the reason for a sign-in: a stable word.
type Why string

// The reasons.
const (
	NotSignedIn   Why = "not_signed_in"
	Expired       Why = "expired"        // and there is no refresh token
	Revoked       Why = "revoked"        // the issuer does not renew it any more
	Rejected      Why = "rejected"       // the server does not take the token, though it is fresh
	MoreScope     Why = "more_scope"     // the server wants more than was granted
	IssuerChanged Why = "issuer_changed" // the server relies on another authorization server now
	Lost          Why = "lost"           // what was kept of the sign-in cannot be read any more
	BadClient     Why = "client_unknown" // the issuer does not know the client any more
)

func (e *NeedsAuth) Error() string {
	said := map[Why]string{
		NotSignedIn: "nobody has signed in", Expired: "the sign-in has expired", Revoked: "the sign-in was revoked",
		Rejected: "the server does not take the token", MoreScope: "the server wants more than was granted",
		Lost:          "what was kept of the sign-in cannot be read any more",
		IssuerChanged: "the server has another authorization server now", BadClient: "the authorization server does not know this client any more",
	}[e.Why]
	if e.Why == MoreScope && len(e.Scopes) > 0 {
		said += fmt.Sprintf(": %s", strings.Join(e.Scopes, " "))
	}
	return "needs_auth: " + said
}

// Mend says what a person does about it, where the account is got by way of flow: a
// sentence without a capital and a full stop.
func (e *NeedsAuth) Mend(flow Flow) string {
	switch {
	case flow == ClientCredentials:
		return "check auth.client_id, its secret or key, and what the client is allowed to at its authorization server"
	case flow == Bearer:
		return "put another token under auth.token"
	case e.Principal != "":
		return "who calls has to sign in there, through a client that can open links, or at the gateway's machine with: interlock login " + e.Upstream + " --principal " + e.Subject()
	}
	return "sign in with: interlock login " + e.Upstream
}
