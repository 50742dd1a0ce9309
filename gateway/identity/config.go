package identity

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/glob"
)

// Config is the `server.auth` section. The zero value
// asks nobody who they are.
type Config struct {
	// APIKeys are the keys that may be used, of which only hashes are known.
	APIKeys []APIKey `koanf:"api_keys"`
	// OIDC are issuers whose access tokens are accepted.
	OIDC []OIDC `koanf:"oidc"`
	// Scopes says what credentials must allow.
	Scopes Scopes `koanf:"scopes"`
}

// APIKey is one key of a principal, who may have several.
type APIKey struct {
	// Principal is who uses it.
	Principal string `koanf:"principal"`
	// Name tells the keys of a principal apart, in logs and the audit.
	Name string `koanf:"name"`
	// Hash is what `interlock apikey new` printed: sha256: and 64 hexadecimal digits.
	Hash string `koanf:"hash"`
	// Scopes are what the key allows.
	Scopes []string `koanf:"scopes"`
	// Groups are those the principal is in.
	Groups []string `koanf:"groups"`
	// Expires is its last day, such as 2027-01-31 (in UTC), or a moment, such as
	// 2027-01-31T12:00:00Z. A key without it does not expire.
	Expires string `koanf:"expires"`
}

// Scopes says what credentials must allow.
type Scopes struct {
	// Required are needed for every request.
	Required []string `koanf:"required"`
	// Tools are what calls of tools need besides, by globs on the names that clients
	// see; a tool that several match needs the scopes of all of them.
	Tools map[string][]string `koanf:"tools"`
	// Implies are scopes that come with another: {admin: [read, write]}.
	Implies map[string][]string `koanf:"implies"`
}

// Enabled tells whether requests need a credential.
func (c *Config) Enabled() bool { return len(c.APIKeys) > 0 || len(c.OIDC) > 0 }

// Issuer is the issuer of principals whom the gateway knows itself.
const Issuer = "interlock"

// reserved are subjects of Issuer who need no credential.
var reserved = []string{"local", "operator"}

// Local is whoever may use the gateway by the rights of the operating system: over
// standard input, or the unix socket.
func Local() *policy.Principal {
	return &policy.Principal{Issuer: Issuer, Subject: "local", Name: "local"}
}

// trusted tells whether somebody is let in by the operating system, and so has
// every scope. No credential makes such a principal.
func trusted(p *policy.Principal) bool {
	return p.Issuer == Issuer && slices.Contains(reserved, p.Subject)
}

// bad takes a fault of the key at a path.
type bad func(text, mend string, path ...string)

// Validate returns every fault of c, joined, each a *policy.FieldError. No text
// repeats a key or its hash.
func (c *Config) Validate() error {
	var errs []error
	fault := func(text, mend string, path ...string) {
		errs = append(errs, &policy.FieldError{Path: path, Text: text, Mend: mend})
	}
	hashes, names := map[string]int{}, map[[2]string]int{}
	for i := range c.APIKeys {
		k, at := &c.APIKeys[i], strconv.Itoa(i)
		k.validate(func(text, mend string, path ...string) {
			fault(text, mend, append([]string{"api_keys", at}, path...)...)
		})
		if first, taken := hashes[k.Hash]; taken && k.Hash != "" {
			fault(fmt.Sprintf("is that of key %d already", first+1), "make a key of its own: interlock apikey new", "api_keys", at, "hash")
		}
		if first, taken := names[[2]string{k.Principal, k.Name}]; taken {
			fault(fmt.Sprintf("is that of key %d of the same principal already", first+1), "add another name", "api_keys", at, "name")
		}
		hashes[k.Hash], names[[2]string{k.Principal, k.Name}] = i, i
	}
	issuers := map[string]int{}
	for i := range c.OIDC {
		o, at := &c.OIDC[i], strconv.Itoa(i)
		o.validate(func(text, mend string, path ...string) {
			fault(text, mend, append([]string{"oidc", at}, path...)...)
		})
		if first, taken := issuers[o.Issuer]; taken && o.Issuer != "" {
			fault(fmt.Sprintf("is that of issuer %d already", first+1), "make them one: audience is a list", "oidc", at, "issuer")
		}
		issuers[o.Issuer] = i
	}
	c.Scopes.validate(func(text, mend string, path ...string) {
		fault(text, mend, append([]string{"scopes"}, path...)...)
	})
	if !c.Enabled() && (len(c.Scopes.Required) > 0 || len(c.Scopes.Tools) > 0) {
		fault("need somebody who can have them", "add api_keys or oidc", "scopes")
	}
	return errors.Join(errs...)
}

func (k *APIKey) validate(fault bad) {
	switch {
	case k.Principal == "":
		fault("needs a principal", "add principal: whose key it is")
	case slices.Contains(reserved, k.Principal):
		fault("is a name of the gateway's own", "call it something else", "principal")
	case !plain(k.Principal):
		fault("holds characters that are not printed", "", "principal")
	}
	if !plain(k.Name) {
		fault("holds characters that are not printed", "", "name")
	}
	switch {
	case k.Hash == "":
		fault("needs a hash", "make a key with: interlock apikey new --principal NAME")
	case strings.HasPrefix(k.Hash, KeyPrefix):
		fault("is the key itself, which does not belong into a file",
			"write what `interlock apikey hash` makes of it on its standard input; better, make a new one with `interlock apikey new`", "hash")
	case !hashForm(k.Hash):
		fault("must be sha256: and 64 hexadecimal digits, which are of a key and not the key",
			"make a key with: interlock apikey new --principal NAME", "hash")
	}
	if _, err := Expiry(k.Expires); err != nil {
		fault("must be a day such as 2027-01-31, or a moment such as 2027-01-31T12:00:00Z", "", "expires")
	}
	scopeList(fault, k.Scopes, "scopes")
}

// Expiry returns when a key ends, the zero time for never. A day ends with it, in
// UTC. The error says that s is no day and no moment.
func Expiry(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day.AddDate(0, 0, 1), nil
	}
	return time.Parse(time.RFC3339, s)
}

func (s *Scopes) validate(fault bad) {
	scopeList(fault, s.Required, "required")
	for _, pattern := range slices.Sorted(maps.Keys(s.Tools)) {
		if !glob.Legal(pattern) {
			fault("is not a glob", "", "tools", pattern)
		}
		scopeList(fault, s.Tools[pattern], "tools", pattern)
	}
	for _, scope := range slices.Sorted(maps.Keys(s.Implies)) {
		scopeList(fault, []string{scope}, "implies", scope)
		scopeList(fault, s.Implies[scope], "implies", scope)
	}
}

// scopeList checks that each is a scope-token (RFC 6749 section 3.3).
func scopeList(fault bad, scopes []string, path ...string) {
	for _, s := range scopes {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }) {
			fault(fmt.Sprintf("holds %q, which is not a scope: they have no spaces, quotes or backslashes", s), "write a list: [one, two]", path...)
		}
	}
}

// plain tells whether a name can be printed as it is.
func plain(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strconv.IsPrint(r) })
}
