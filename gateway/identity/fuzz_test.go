package identity

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// FuzzCredential: whatever a request presents, nobody is let in by it, the answer is a
// challenge whose header is one line, and the log does not repeat it.
func FuzzCredential(f *testing.F) {
	for _, seed := range [][3]string{
		{"Bearer ilk_0", "", ""},
		{"bearer a.b.c", "ilk_", "access_token=x"},
		{"Bearer eyJhbGciOiJub25lIn0.e30.", "", "%zz;&"},
		{"Basic x", "a\x00b", "Token="},
	} {
		f.Add(seed[0], seed[1], seed[2], "/mcp/u/x")
	}
	ec := newEC("1")
	_, hash := NewKey()
	c := oidc()
	c.APIKeys = []APIKey{{Principal: "ci", Hash: hash}}
	a := newKit(f, c, newIssuerFake(ec))
	f.Fuzz(func(t *testing.T, authorization, own, query, path string) {
		r := request("")
		r.Header["Authorization"] = []string{authorization}
		if own != "" {
			r.Header["X-Api-Key"] = []string{own}
		}
		r.URL = &url.URL{Path: path, RawQuery: query}
		p, ch := a.Authenticate(t.Context(), r)
		if p != nil || ch == nil || ch.Status != http.StatusUnauthorized {
			t.Fatalf("%v, %+v", p, ch)
		}
		header := answered(ch, r).Header.Get("WWW-Authenticate")
		if strings.ContainsAny(header, "\r\n") || strings.Count(header, `"`)%2 != 0 || !strings.HasPrefix(header, `Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource`) {
			t.Errorf("WWW-Authenticate: %q", header)
		}
	})
}

// FuzzClaims: no payload that an issuer signs makes more of it than a principal with a
// subject, or an error.
func FuzzClaims(f *testing.F) {
	for _, seed := range []string{`{}`, `{"sub":"x","exp":1e300,"groups":[1,"a",null]}`, `{"a":{"b":{"c":"d"}},"scope":" a  b "}`, `{"exp":-1}`, `[`} {
		f.Add([]byte(seed))
	}
	o := OIDC{Issuer: issuerURL, GroupsClaim: "a.b.c", NameClaim: "a.b"}
	f.Fuzz(func(t *testing.T, payload []byte) {
		said, err := parseClaims(payload)
		if err != nil {
			return
		}
		_, _ = said.timely(time.Now(), o.skew())
		if p, err := said.principal(&o); err == nil && (p.Subject == "" || p.Issuer != issuerURL || p.Anonymous()) {
			t.Errorf("%+v", p)
		}
	})
}

// FuzzKeys: no key set is taken for one with keys that are not public.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"AA"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		set, err := parseKeys(raw)
		if err != nil {
			return
		}
		for _, k := range set.keys {
			if !k.IsPublic() {
				t.Errorf("%T", k.Key)
			}
		}
	})
}
