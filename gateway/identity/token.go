package identity

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/interlock-mcp/interlock/policy"
)

// byToken returns whose access token it is.
func (a *Authenticator) byToken(ctx context.Context, r *http.Request, token string) (*policy.Principal, refusal) {
	hash := sha256.Sum256([]byte(token))
	v := a.cache.get(hash, time.Now())
	if v == nil {
		var why refusal
		if v, why = a.verify(ctx, r, token); why.reason != "" {
			return nil, why
		}
		a.cache.put(hash, v)
	} else if !v.anywhere && !a.resource.among(v.audience, r) {
		return nil, refusal{reason: otherAudience, credential: v.principal.Credential, who: v.principal.Subject}
	}
	return v.principal, refusal{}
}

const otherAudience = "made for another audience"

// verified is a token that was found to be good.
type verified struct {
	principal *policy.Principal
	until     time.Time
	issuer    *issuer
	keys      *keySet // with which it was verified
	// anywhere says that it is good for all that we are; else what it is good for is in
	// audience, as canonical URLs, and each request is held against it.
	anywhere bool
	audience []string
}

// good tells whether it still is.
func (v *verified) good(now time.Time) bool {
	return now.Before(v.until) && v.issuer.current(now) == v.keys
}

// verify checks all of a token. What costs nothing comes first: an issuer is asked
// only for tokens that could be good.
func (a *Authenticator) verify(ctx context.Context, r *http.Request, token string) (*verified, refusal) {
	signed, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, refusal{reason: "neither a key nor a JWT with a signature that is accepted"}
	}
	said, err := parseClaims(signed.UnsafePayloadWithoutVerification())
	if err != nil {
		return nil, refusal{reason: err.Error()}
	}
	by := a.issuers[said.text("iss")]
	if by == nil {
		return nil, refusal{reason: "not of an issuer that is configured"}
	}
	v := &verified{issuer: by}
	if err := a.examine(v, signed.Signatures[0].Header, said, r); err != nil {
		return nil, refusal{reason: err.Error(), credential: "token of " + by.config.Issuer}
	}
	if v.keys, err = by.verify(ctx, signed); err != nil {
		why := refusal{reason: err.Error(), credential: "token of " + by.config.Issuer}
		if down := (*unavailable)(nil); errors.As(err, &down) {
			why.unavailable = down.retry
		}
		return nil, why
	}
	return v, refusal{}
}

// examine checks what a token says, and notes it. Nothing of it is known to be true
// before the signature was checked.
func (a *Authenticator) examine(v *verified, header jose.Header, said claims, r *http.Request) (err error) {
	o := &v.issuer.config
	if !o.accepts(header.Algorithm) {
		return errors.New("its algorithm is not accepted")
	}
	if v.until, err = said.timely(time.Now(), o.skew()); err != nil {
		return err
	}
	if why := notAccess(header, said); why != "" {
		return errors.New(why)
	}
	if !a.aimed(v, said.list("aud", whole), r) {
		return errors.New(otherAudience)
	}
	for name, value := range o.RequiredClaims {
		if !said.has(name, value) {
			return errors.New("it has not the required claim " + name)
		}
	}
	v.principal, err = said.principal(o)
	return err
}

// aimed tells whether a token for the audience is for what a request asks for, and
// notes for what else it is.
func (a *Authenticator) aimed(v *verified, audience []string, r *http.Request) bool {
	own := v.issuer.config.Audience
	for _, aud := range audience {
		switch {
		case len(own) > 0:
			v.anywhere = v.anywhere || slices.Contains(own, aud)
		case canonical(aud) != "":
			v.audience = append(v.audience, canonical(aud))
		}
	}
	if len(own) > 0 {
		return v.anywhere
	}
	v.anywhere = slices.Contains(v.audience, a.resource.canonical)
	return v.anywhere || a.resource.among(v.audience, r)
}

// notAccess says why a token is not one for access, "" if it may be. An ID token
// tells a client who its user is, and is no permission to call us.
func notAccess(header jose.Header, said claims) string {
	typ, _ := header.ExtraHeaders["typ"].(string)
	access := false
	switch strings.TrimPrefix(strings.ToLower(typ), "application/") {
	case "at+jwt": // RFC 9068 section 2.1
		access = true
	case "", "jwt":
	default:
		return "it is not an access token: typ says so"
	}
	switch said.text("typ") { // Keycloak's
	case "ID", "Refresh", "Offline", "Logout":
		return "it is not an access token: typ says so"
	case "Bearer":
		access = true
	}
	if said["cnf"] != nil {
		return "it is bound to a key of its client, which is not checked here" // RFC 7800
	}
	if said["events"] != nil {
		return "it is not an access token: it tells of events" // RFC 8417
	}
	for _, claim := range []string{"nonce", "at_hash", "c_hash", "s_hash"} { // OpenID Connect Core section 3.3.2.11
		if said[claim] != nil && !access {
			return "it is an ID token: it has " + claim
		}
	}
	return ""
}

// TokenOf returns the access token with which a request came that Authenticate let in,
// and when it expires; "" for a key. It is for an exchange at its issuer (RFC 8693) and
// for nothing else: no log, no trace.
func (a *Authenticator) TokenOf(r *http.Request) (token string, expires time.Time) {
	token, err := credentialOf(r)
	if err != nil || token == "" || strings.HasPrefix(token, KeyPrefix) {
		return "", time.Time{}
	}
	v := a.cache.get(sha256.Sum256([]byte(token)), time.Now())
	if v == nil {
		return "", time.Time{}
	}
	return token, v.until.Add(-v.issuer.config.skew())
}
