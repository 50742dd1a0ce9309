package identity

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// OIDC is an issuer whose access tokens are accepted: an OpenID Connect provider, or
// any authorization server with metadata of RFC 8414, whose tokens are JWTs.
type OIDC struct {
	// Issuer is its URL exactly as its tokens have it in iss.
	Issuer string `koanf:"issuer"`
	// Audience are the values of aud that make a token ours. By default that is the URL
	// of the endpoint, or of the view that is called.
	Audience []string `koanf:"audience"`
	// JWKSURL is where its keys are; by default its metadata says so.
	JWKSURL string `koanf:"jwks_url"`
	// Algorithms are the signatures that are accepted. By default those are all that need
	// two keys: RS256 to RS512, PS256 to PS512, ES256 to ES512, and EdDSA.
	Algorithms []string `koanf:"algorithms"`
	// ClockSkew is how far its clock and ours may be apart, 1m if 0.
	ClockSkew time.Duration `koanf:"clock_skew"`
	// ScopesClaim holds the scopes, as a list or divided by spaces; by default those of
	// scope and of scp. A name with dots that no claim has is a path: realm_access.roles.
	ScopesClaim string `koanf:"scopes_claim"`
	// GroupsClaim holds the groups, groups by default.
	GroupsClaim string `koanf:"groups_claim"`
	// SubjectClaim holds who it is, unchanging and unique at the issuer, sub by default.
	SubjectClaim string `koanf:"subject_claim"`
	// NameClaim holds what people call them; by default that is the first there is of
	// preferred_username, email and name.
	NameClaim string `koanf:"name_claim"`
	// RequiredClaims are claims that must have a value, or have it in their list.
	RequiredClaims map[string]string `koanf:"required_claims"`
}

const (
	defaultSkew = time.Minute
	maxSkew     = 10 * time.Minute
)

// algorithms are the signatures there are. Those that need a secret shared with the
// issuer (HS256 and its kin) are not among them: with them whoever knows the public
// key could sign. Nor is none.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func (o *OIDC) validate(fault bad) {
	switch why := badURL(o.Issuer); {
	case o.Issuer == "":
		fault("needs an issuer", "add issuer: its URL, as its tokens have it in iss")
	case why != "":
		fault(why, "", "issuer")
	case strings.ContainsAny(o.Issuer, "?#"):
		fault("must have neither a query nor a fragment", "", "issuer")
	}
	if why := badURL(o.JWKSURL); o.JWKSURL != "" && why != "" {
		fault(why, "", "jwks_url")
	}
	for i, alg := range o.Algorithms {
		if !slices.Contains(algorithms, jose.SignatureAlgorithm(alg)) {
			var all []string
			for _, a := range algorithms {
				all = append(all, string(a))
			}
			fault(fmt.Sprintf("%q is not accepted: a signature must need the private key of the issuer", alg),
				"use "+strings.Join(all, ", "), "algorithms", strconv.Itoa(i))
		}
	}
	if slices.Contains(o.Audience, "") {
		fault("holds an empty text", "", "audience")
	}
	if o.ClockSkew < 0 || o.ClockSkew > maxSkew {
		fault("must be between 0s and "+maxSkew.String(), "", "clock_skew")
	}
	for _, name := range slices.Sorted(maps.Keys(o.RequiredClaims)) {
		if name == "" || o.RequiredClaims[name] == "" {
			fault("needs a name and a value", "", "required_claims", name)
		}
	}
}

// badURL says why what comes from a URL cannot be trusted, "" if it can.
func badURL(s string) string {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "must be a URL such as https://login.example.com"
	case u.User != nil:
		return "must hold no password"
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "must be https://: whoever is on the way could answer with keys of their own"
	}
	return ""
}

// skew is how far clocks may be apart.
func (o *OIDC) skew() time.Duration {
	if o.ClockSkew == 0 {
		return defaultSkew
	}
	return o.ClockSkew
}

// accepts tells whether a signature of the algorithm is.
func (o *OIDC) accepts(alg string) bool {
	return len(o.Algorithms) == 0 || slices.Contains(o.Algorithms, alg)
}
