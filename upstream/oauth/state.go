package oauth

import "time"

// State is what is known of an account, for people: no secrets.
type State struct {
	// Signed says that there is a token, which may have expired.
	Signed bool
	Issuer string
	Scopes []string
	// Expires is when the access token does, zero if the issuer did not say.
	// Renewable says that it is renewed then without a person.
	Expires   time.Time
	Renewable bool
	// Needs says what a person has to do, nil for nothing. With Why MoreScope the token
	// goes on to be used for what it is good for.
	Needs *NeedsAuth
	// Err is why there could not be a token lately, "" once there could.
	Err string
}

// Event is something that happened to an account. It has no secrets. Of a row of
// failures, or of needs for the same reason, the first alone is an event.
type Event struct {
	Key
	Kind   EventKind
	Issuer string
	// Err is a *NeedsAuth with Needed, and what went wrong with Failed.
	Err error
}

// EventKind is a stable word.
type EventKind string

// The events.
const (
	SignedInEvent  EventKind = "signed_in"  // a person signed in, or another process says so
	SignedOutEvent EventKind = "signed_out" // the account was forgotten
	Renewed        EventKind = "renewed"    // this process got a new token, and no person was asked
	Failed         EventKind = "failed"     // there is none for now: it is tried again
	Needed         EventKind = "needs_auth" // there is none until a person signs in
)
