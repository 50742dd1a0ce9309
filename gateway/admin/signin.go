package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// SignIns are the gateway's own sign-ins at upstreams.
type SignIns interface {
	// SignedIn has the gateway look again who is signed in at upstreams, since another
	// process has changed that: somebody signed in there, or out. One that waited for a
	// sign-in is started, unless an operator stopped it. It waits, and answers, as
	// orders do.
	SignedIn(ctx context.Context, o Order) []Outcome
}

// SignIn is the gateway's own sign-in at an upstream, without its secrets.
type SignIn struct {
	// State is signed_in, needs_auth (a person has to sign in, or again), or
	// not_asked: there is no sign-in, and the server has asked for none so far.
	State string `json:"state"`
	// Flow is authorization_code, client_credentials or bearer.
	Flow string `json:"flow"`
	// Per is gateway, or principal: then this is what makes the lists and probes alone.
	Per    string `json:"per"`
	Issuer string `json:"issuer,omitempty"`
	// Scopes are those granted, or where there is a Why those that are wanted.
	Scopes []string `json:"scopes,omitempty"`
	// Expires is when the access token does, zero if nobody said. Renewable says that
	// it is renewed before that without anybody's help.
	Expires   time.Time `json:"expires,omitzero"`
	Renewable bool      `json:"renewable,omitempty"`
	// Why is the reason for needs_auth as a stable word: not_signed_in, expired,
	// revoked, rejected, lost, issuer_changed or client_unknown. With signed_in it may be
	// more_scope: the server wants more for some of what it does.
	Why string `json:"why,omitempty"`
	// Error says why a token could not be had the last time that this was tried, for a
	// reason that may pass.
	Error string `json:"error,omitempty"`
	// How says what to do about it, "" for nothing.
	How string `json:"how,omitempty"`
}

// The states of a SignIn.
const (
	SignedIn  = "signed_in"
	NeedsAuth = "needs_auth"
	NotAsked  = "not_asked"
)

// SignedIn tells the gateway that somebody signed in at an upstream, or out, in
// another process. With o.Wait it returns when the upstream runs or has failed, for
// at most o.Timeout seconds. An outcome that is no success is no error.
func (c *Client) SignedIn(ctx context.Context, name string, o Order) (*Outcome, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("order: %w", err)
	}
	if raw, err = c.do(ctx, http.MethodPost, "/v1/upstreams/"+url.PathEscape(name)+"/signed-in", raw); err != nil {
		return nil, err
	}
	var out Outcome
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("answer of %s: %w", c.target, err)
	}
	return &out, nil
}
