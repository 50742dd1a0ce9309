package identity

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
)

func TestConfig(t *testing.T) {
	key, hash := NewKey()
	_, other := NewKey()
	one := func(change func(*APIKey)) Config {
		k := APIKey{Principal: "ci", Name: "k", Hash: hash}
		change(&k)
		return Config{APIKeys: []APIKey{k}}
	}
	by := func(change func(*OIDC)) Config {
		o := OIDC{Issuer: issuerURL}
		change(&o)
		return Config{OIDC: []OIDC{o}}
	}
	for name, c := range map[string]struct {
		config Config
		want   []string
	}{
		"nothing": {Config{}, nil},
		"fine":    {one(func(k *APIKey) { k.Expires = "2030-12-31"; k.Scopes = []string{"a:b", "c/d.e"} }), nil},
		"two keys": {Config{APIKeys: []APIKey{
			{Principal: "ci", Name: "a", Hash: hash}, {Principal: "ci", Name: "b", Hash: other}, {Principal: "x", Name: "a", Hash: strings.Repeat("x", 9)},
		}}, []string{"api_keys.2.hash: must be sha256: and 64 hexadecimal digits, which are of a key and not the key"}},
		"the same twice": {Config{APIKeys: []APIKey{{Principal: "ci", Name: "a", Hash: hash}, {Principal: "ci", Name: "a", Hash: hash}}}, []string{
			"api_keys.1.hash: is that of key 1 already", "api_keys.1.name: is that of key 1 of the same principal already",
		}},
		"empty":            {Config{APIKeys: []APIKey{{}}}, []string{"api_keys.0: needs a principal", "api_keys.0: needs a hash"}},
		"the key":          {one(func(k *APIKey) { k.Hash = key }), []string{"api_keys.0.hash: is the key itself, which does not belong into a file"}},
		"upper case":       {one(func(k *APIKey) { k.Hash = "sha256:" + strings.ToUpper(hash[7:]) }), []string{"api_keys.0.hash: must be sha256: and 64 hexadecimal digits, which are of a key and not the key"}},
		"a password":       {one(func(k *APIKey) { k.Hash = "hunter2" }), []string{"api_keys.0.hash: must be sha256: and 64 hexadecimal digits, which are of a key and not the key"}},
		"never a day":      {one(func(k *APIKey) { k.Expires = "2030-02-30" }), []string{"api_keys.0.expires: must be a day such as 2027-01-31, or a moment such as 2027-01-31T12:00:00Z"}},
		"scopes in a text": {one(func(k *APIKey) { k.Scopes = []string{"a b"} }), []string{`api_keys.0.scopes: holds "a b", which is not a scope: they have no spaces, quotes or backslashes`}},
		"invisible":        {one(func(k *APIKey) { k.Principal, k.Name = "a\u202eb", "\x1b[1m" }), []string{"api_keys.0.principal: holds characters that are not printed", "api_keys.0.name: holds characters that are not printed"}},

		"issuers": {Config{OIDC: []OIDC{{Issuer: "https://a.example"}, {Issuer: "http://localhost:1/x"}, {Issuer: "http://127.0.0.1"}, {Issuer: "https://a.example"}, {}}}, []string{
			"oidc.3.issuer: is that of issuer 1 already", "oidc.4: needs an issuer",
		}},
		"http":        {by(func(o *OIDC) { o.Issuer = "http://a.example" }), []string{"oidc.0.issuer: must be https://: whoever is on the way could answer with keys of their own"}},
		"http keys":   {by(func(o *OIDC) { o.JWKSURL = "http://a.example/jwks" }), []string{"oidc.0.jwks_url: must be https://: whoever is on the way could answer with keys of their own"}},
		"no URL":      {by(func(o *OIDC) { o.Issuer = "accounts.example.com" }), []string{"oidc.0.issuer: must be a URL such as https://login.example.com"}},
		"password":    {by(func(o *OIDC) { o.Issuer = "https://u:s3cret@a.example" }), []string{"oidc.0.issuer: must hold no password"}},
		"query":       {by(func(o *OIDC) { o.Issuer = "https://a.example?x" }), []string{"oidc.0.issuer: must have neither a query nor a fragment"}},
		"algorithms":  {by(func(o *OIDC) { o.Algorithms = []string{"ES256", "HS256", "none"} }), []string{`oidc.0.algorithms.1: "HS256" is not accepted: a signature must need the private key of the issuer`, `oidc.0.algorithms.2: "none" is not accepted: a signature must need the private key of the issuer`}},
		"skew":        {by(func(o *OIDC) { o.ClockSkew = time.Hour }), []string{"oidc.0.clock_skew: must be between 0s and 10m0s"}},
		"no audience": {by(func(o *OIDC) { o.Audience = []string{""} }), []string{"oidc.0.audience: holds an empty text"}},
		"no value":    {by(func(o *OIDC) { o.RequiredClaims = map[string]string{"tid": ""} }), []string{"oidc.0.required_claims.tid: needs a name and a value"}},

		"scopes of nobody": {Config{Scopes: Scopes{Required: []string{"mcp"}}}, []string{"scopes: need somebody who can have them"}},
		"scopes": {Config{OIDC: []OIDC{{Issuer: issuerURL}}, Scopes: Scopes{
			Required: []string{""}, Tools: map[string][]string{"[": {"x"}, "y*": {"a\"b"}}, Implies: map[string][]string{"a b": {"c"}, "d": {"e\\"}},
		}}, []string{
			`scopes.required: holds "", which is not a scope: they have no spaces, quotes or backslashes`,
			"scopes.tools.[: is not a glob",
			`scopes.tools.y*: holds "a\"b", which is not a scope: they have no spaces, quotes or backslashes`,
			`scopes.implies.a b: holds "a b", which is not a scope: they have no spaces, quotes or backslashes`,
			`scopes.implies.d: holds "e\\", which is not a scope: they have no spaces, quotes or backslashes`,
		}},
	} {
		err := c.config.Validate()
		var got []string
		if many, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range many.Unwrap() {
				if _, ok := errors.AsType[*policy.FieldError](e); !ok {
					t.Errorf("%s: %v is not a *policy.FieldError", name, e)
				}
				got = append(got, e.Error())
			}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
		for _, secret := range []string{key, hash, "hunter2", "s3cret"} {
			if err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%s: the error repeats what is secret: %v", name, err)
			}
		}
		if _, err := New(c.config, endpoint, nil); (err != nil) != (c.want != nil) && len(c.config.OIDC) == 0 {
			t.Errorf("%s: New: %v", name, err)
		}
	}
}
