package identity

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
)

// wants is the answer to whatever is wrong with a token.
const (
	badHeader = `Bearer resource_metadata="https://mcp.example.com/.well-known/oauth-protected-resource/mcp", ` +
		`scope="mcp", error="invalid_token", error_description="the credential is not valid here"`
	badBody = `{"error":"invalid_token","error_description":"the credential is not valid here","scope":"mcp"}` + "\n"
)

func TestGoodTokens(t *testing.T) {
	ec, ed := newEC("ec-1"), newEd("ed-1")
	fake := newIssuerFake(theRSA(), ec, ed)
	a := newKit(t, oidc(), fake)
	ada := &policy.Principal{
		Issuer: issuerURL, Subject: "u-1", Name: "ada", Scopes: []string{"mcp", "read"}, Groups: []string{"dev"}, Credential: "token t-1",
	}
	for name, token := range map[string]string{
		"RS256":              theRSA().token(t, good(nil), nil),
		"ES256":              ec.token(t, good(nil), nil),
		"EdDSA":              ed.token(t, good(nil), nil),
		"typ JWT":            ec.token(t, good(nil), map[string]any{"typ": "JWT"}),
		"no typ":             ec.token(t, good(nil), map[string]any{"typ": ""}),
		"application/at+jwt": ec.token(t, good(nil), map[string]any{"typ": "application/AT+JWT"}),
		"no kid":             ec.token(t, good(nil), map[string]any{"kid": ""}),
		"aud is a list":      ec.token(t, good(map[string]any{"aud": []string{"https://other.example", endpoint}}), nil),
		"aud with a slash":   ec.token(t, good(map[string]any{"aud": "HTTPS://MCP.example.com:443/mcp/"}), nil),
		"scp":                ec.token(t, good(map[string]any{"scope": nil, "scp": []string{"mcp", "read"}}), nil),
		"within the skew":    ec.token(t, good(map[string]any{"exp": time.Now().Add(-30 * time.Second).Unix(), "iat": time.Now().Add(30 * time.Second).Unix(), "nbf": time.Now().Add(30 * time.Second).Unix()}), nil),
		"Keycloak's nonce":   ec.token(t, good(map[string]any{"nonce": "x", "typ": "Bearer"}), map[string]any{"typ": "JWT"}),
		"exp with a fraction": ec.token(t, good(map[string]any{
			"exp": float64(time.Now().Add(time.Hour).UnixMilli()) / 1000,
		}), nil),
	} {
		p, c := a.Authenticate(t.Context(), request(token))
		if c != nil {
			t.Errorf("%s: refused with %d; %s", name, c.Status, lastLine(a.log))
			continue
		}
		if diff := cmp.Diff(ada, p); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
	if n := fake.fetches.Load(); n != 1 {
		t.Errorf("the keys were fetched %d times, want once", n)
	}
}

// TestBadTokens is the table of bad input: all of it is answered in the same words.
func TestBadTokens(t *testing.T) {
	ec, stranger := newEC("ec-1"), newEC("ec-1")
	other := newEC("ec-2")
	in := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	claims := func(name string, v any) map[string]any { return good(map[string]any{name: v}) }
	rs := theRSA().token(t, good(nil), nil)
	parts := strings.Split(rs, ".")
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

	for name, c := range map[string]struct{ token, reason string }{
		"opaque":              {"0123456789abcdef", "neither a key nor a JWT"},
		"two parts":           {"a.b", "neither a key nor a JWT"},
		"five parts":          {"a.b.c.d.e", "neither a key nor a JWT"},
		"not base64":          {parts[0] + "." + parts[1] + "!." + parts[2], "not of the form"},
		"garbage header":      {encode("garbage") + "." + parts[1] + "." + parts[2], "neither a key nor a JWT"},
		"claims are a list":   {ec.sign(t, map[string]any{"kid": "ec-1"}, []byte(`[]`)), "not a JSON object"},
		"claims are null":     {ec.sign(t, map[string]any{"kid": "ec-1"}, []byte(`null`)), "not a JSON object"},
		"a claim twice":       {ec.sign(t, map[string]any{"kid": "ec-1"}, append(marshal(t, good(nil))[:1], append([]byte(`"sub":"u-2",`), marshal(t, good(nil))[1:]...)...)), "not a JSON object"},
		"expired":             {ec.token(t, claims("exp", in(-2*time.Minute)), nil), "expired"},
		"no exp":              {ec.token(t, claims("exp", nil), nil), "no exp"},
		"exp is a text":       {ec.token(t, claims("exp", "tomorrow"), nil), "no exp"},
		"nbf in the future":   {ec.token(t, claims("nbf", in(2*time.Minute)), nil), "nbf is in the future"},
		"iat in the future":   {ec.token(t, claims("iat", in(2*time.Minute)), nil), "iat is in the future"},
		"nbf is a text":       {ec.token(t, claims("nbf", "now"), nil), "nbf is not a time"},
		"wrong issuer":        {ec.token(t, claims("iss", "https://evil.example"), nil), "not of an issuer"},
		"issuer with a slash": {ec.token(t, claims("iss", issuerURL+"/"), nil), "not of an issuer"},
		"no issuer":           {ec.token(t, claims("iss", nil), nil), "not of an issuer"},
		"wrong audience":      {ec.token(t, claims("aud", "https://other.example/mcp"), nil), otherAudience},
		"audience of a view":  {ec.token(t, claims("aud", endpoint+"/p/small"), nil), otherAudience},
		"audience above us":   {ec.token(t, claims("aud", "https://mcp.example.com"), nil), otherAudience},
		"audience with query": {ec.token(t, claims("aud", endpoint+"?x"), nil), otherAudience},
		"no audience":         {ec.token(t, claims("aud", nil), nil), otherAudience},
		"no subject":          {ec.token(t, claims("sub", nil), nil), "no subject"},
		"endless subject":     {ec.token(t, claims("sub", strings.Repeat("x", 1025)), nil), "no subject"},
		"alg none":            {encode(`{"alg":"none"}`) + "." + parts[1] + ".", "not of the form|neither"},
		"alg None, signed":    {encode(`{"alg":"None","kid":"rsa-1"}`) + "." + parts[1] + "." + parts[2], "neither a key nor a JWT"},
		"HS256, public key":   {hs256(t, theRSA(), good(nil)), "neither a key nor a JWT"},
		"unknown kid":         {other.token(t, good(nil), nil), "a key that the issuer does not have"},
		"another's signature": {stranger.token(t, good(nil), nil), "signature is wrong"},
		"claims exchanged":    {parts[0] + "." + encode(string(marshal(t, claims("sub", "root")))) + "." + parts[2], "signature is wrong"},
		"alg of another key":  {ec.token(t, good(nil), map[string]any{"kid": "rsa-1"}), "a key that the issuer does not have"},
		"jwk in the header":   {stranger.token(t, good(nil), map[string]any{"jwk": stranger.public()}), "signature is wrong"},
		"unknown crit":        {ec.token(t, good(nil), map[string]any{"crit": []string{"x"}, "x": 1}), "signature is wrong|neither"},
		"ID token, nonce":     {ec.token(t, claims("nonce", "n"), map[string]any{"typ": "JWT"}), "ID token"},
		"ID token, at_hash":   {ec.token(t, claims("at_hash", "n"), map[string]any{"typ": "JWT"}), "ID token"},
		"Keycloak ID token":   {ec.token(t, claims("typ", "ID"), map[string]any{"typ": "JWT"}), "not an access token"},
		"Keycloak refresh":    {ec.token(t, claims("typ", "Refresh"), nil), "not an access token"},
		"logout token":        {ec.token(t, good(nil), map[string]any{"typ": "logout+jwt"}), "not an access token"},
		"events":              {ec.token(t, claims("events", map[string]any{}), map[string]any{"typ": "JWT"}), "events"},
		"bound to a key":      {ec.token(t, claims("cnf", map[string]any{"jkt": "x"}), nil), "bound to a key"},
		"too long":            {ec.token(t, claims("x", strings.Repeat("x", maxCredential)), nil), "longer than"},
		"alg not listed":      {ec.token(t, good(nil), nil), "algorithm is not accepted"},
		"wrong tenant":        {ec.token(t, claims("tid", "theirs"), nil), "required claim tid"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := oidc()
			cfg.Scopes.Required = []string{"mcp"}
			switch name {
			case "wrong tenant":
				cfg.OIDC[0].RequiredClaims = map[string]string{"tid": "ours"}
			case "alg not listed":
				cfg.OIDC[0].Algorithms = []string{"RS256"}
			}
			a := newKit(t, cfg, newIssuerFake(theRSA(), ec))
			refusedAlike(t, a, request(c.token), c.reason)
			if strings.Contains(a.log.String(), c.token) {
				t.Errorf("the log holds the token: %s", a.log)
			}
		})
	}
}

// refusedAlike checks that the answer is that of every bad token, and the log the only
// one to know why.
func refusedAlike(t *testing.T, a *kit, r *http.Request, reason string) {
	t.Helper()
	p, c := a.Authenticate(t.Context(), r)
	if p != nil || c == nil {
		t.Fatalf("let in as %v", p)
	}
	resp := answered(c, r)
	if resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", resp.StatusCode)
	}
	if got := resp.Header.Get("WWW-Authenticate"); got != badHeader {
		t.Errorf("WWW-Authenticate\n got %s\nwant %s", got, badHeader)
	}
	if body, _ := io.ReadAll(resp.Body); string(body) != badBody {
		t.Errorf("body %s, want %s", body, badBody)
	}
	line, found := lastLine(a.log), false
	for want := range strings.SplitSeq(reason, "|") {
		found = found || strings.Contains(line, want)
	}
	if !found {
		t.Errorf("the log does not say %q: %s", reason, line)
	}
}

func lastLine(b *lockedBuffer) string {
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	return lines[len(lines)-1]
}

// hs256 signs with the public key as if it were a secret, in the form in which
// libraries were once taken in by it.
func hs256(t *testing.T, s *signer, c map[string]any) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.priv.Public().(*rsa.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	js, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: secret}, (&jose.SignerOptions{}).WithHeader("kid", s.id))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := js.Sign(marshal(t, c))
	if err != nil {
		t.Fatal(err)
	}
	out, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestClaims are claims that are not where most issuers have them.
func TestClaims(t *testing.T) {
	ec := newEC("ec-1")
	c := Config{OIDC: []OIDC{{
		Issuer: issuerURL, Audience: []string{"api://gateway"}, ScopesClaim: "realm_access.roles", GroupsClaim: "https://example.com/groups",
		SubjectClaim: "oid", NameClaim: "upn", RequiredClaims: map[string]string{"tid": "ours", "amr": "mfa", "acr": "2", "ok": "true"},
	}}}
	a := newKit(t, c, newIssuerFake(ec))
	said := map[string]any{
		"aud": "api://gateway", "realm_access": map[string]any{"roles": []string{"mcp", "admin"}}, "https://example.com/groups": "one group",
		"oid": "o-1", "upn": "ada\x1b[1m\n@example.com" + strings.Repeat("x", 200), "tid": "ours", "amr": []string{"pwd", "mfa"}, "acr": 2, "ok": true, "jti": nil,
	}
	p, ch := a.Authenticate(t.Context(), request(ec.token(t, good(said), nil)))
	if ch != nil {
		t.Fatalf("refused: %s", lastLine(a.log))
	}
	want := &policy.Principal{
		Issuer: issuerURL, Subject: "o-1", Name: "ada[1m@example.com" + strings.Repeat("x", 110), Scopes: []string{"mcp", "admin"},
		Groups: []string{"one group"}, Credential: "token",
	}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for name, v := range map[string]any{"tid": "theirs", "amr": []string{"pwd"}, "acr": 3, "ok": nil, "aud": endpoint, "oid": 7} {
		changed := maps.Clone(said)
		changed[name] = v
		wantStatus(t, a, ec.token(t, good(changed), nil), 401, name)
	}
}

// A token that was let in can be exchanged at its issuer; a key cannot.
func TestTokenOf(t *testing.T) {
	key, hash := NewKey()
	ec := newEC("ec-1")
	c := oidc()
	c.APIKeys = []APIKey{{Principal: "me", Hash: hash, Scopes: []string{"mcp"}}}
	a := newKit(t, c, newIssuerFake(ec))
	token := ec.token(t, good(nil), nil)
	if got, _ := a.TokenOf(request(token)); got != "" {
		t.Error("a token that nobody checked is handed on")
	}
	for _, credential := range []string{token, key} {
		if _, ch := a.Authenticate(t.Context(), request(credential)); ch != nil {
			t.Fatal(ch)
		}
	}
	got, expires := a.TokenOf(request(token))
	if left := time.Until(expires); got != token || left < 55*time.Minute || left > time.Hour {
		t.Errorf("the token: %v, good for %v", got == token, left)
	}
	for what, r := range map[string]*http.Request{"a key": request(key), "nothing": request(""), "another token": request(token + "x")} {
		if got, _ := a.TokenOf(r); got != "" {
			t.Errorf("%s is handed on", what)
		}
	}
}
