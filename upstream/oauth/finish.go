package oauth

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Finish takes the query with which the person came back, checks that it belongs to
// this attempt and its issuer, and fetches the tokens. The account is not stored.
// A refusal of the authorization server is a *Refusal. An attempt is finished once: a
// query with its state uses it up, whatever else is in it. It blocks for one request.
func (a *Attempt) Finish(ctx context.Context, query url.Values) (*Account, error) {
	for _, k := range []string{"state", "iss", "error", "code"} {
		if len(query[k]) > 1 { // RFC 6749 section 3.1; which of them counts is anybody's guess
			return nil, fmt.Errorf("the answer of the authorization server has %s more than once", k)
		}
	}
	if subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(a.State)) != 1 {
		return nil, errors.New("this is not the answer to the sign-in that was begun (state): begin it once more")
	}
	if a.used.Swap(true) {
		return nil, errors.New("this sign-in has been finished already: begin it once more")
	}
	if err := a.issuedBy(query); err != nil {
		return nil, err
	}
	if code := query.Get("error"); code != "" {
		return nil, &Refusal{Code: clean(code), Text: clean(query.Get("error_description"))}
	}
	code := query.Get("code")
	if code == "" || !printable(code) || len(code) > maxToken {
		return nil, errors.New("the authorization server sent no code")
	}
	return a.exchange(ctx, code)
}

// issuedBy checks who the answer is of (RFC 9207 section 2.4), to the letter: a server
// that was made to answer for another one would get its codes.
func (a *Attempt) issuedBy(query url.Values) error {
	switch iss := query.Get("iss"); {
	case query.Has("iss") && iss != a.Issuer:
		return fmt.Errorf("the answer is of %q, and the sign-in was begun at %q: it is not used (iss, RFC 9207)", clean(iss), a.Issuer)
	case !query.Has("iss") && a.issued:
		return fmt.Errorf("the answer does not say that it is of %q, as that server promises: it is not used (iss, RFC 9207)", a.Issuer)
	}
	return nil
}

// account makes the request for a code, and an account of the tokens.
func (a *Attempt) account(ctx context.Context, g *grant, revocation string, store Store) (*Account, error) {
	t, err := g.fetch(ctx)
	if refused, ok := errors.AsType[*Refusal](err); ok && refused.Code == "invalid_client" && g.client.How == Dynamic {
		if forget := store.DeleteRegistration(ctx, a.Upstream, g.client.Issuer, g.client.RedirectURI); forget != nil {
			return nil, errors.Join(err, forget)
		}
		return nil, fmt.Errorf("%w; it has forgotten the registration of this client: sign in once more, with a new one", err)
	}
	if err != nil {
		return nil, err
	}
	scopes := t.scopes
	if scopes == nil {
		scopes = a.Scopes // RFC 6749 section 5.1: then all of them were granted
	}
	return &Account{
		Key: a.Key, Issuer: a.Issuer, Resource: a.Resource, Scopes: scopes, Client: g.client,
		TokenEndpoint: g.endpoint, RevocationEndpoint: revocation,
		AccessToken: t.access, RefreshToken: t.refresh, Expires: t.expires, Obtained: time.Now().Round(0),
	}, nil
}
