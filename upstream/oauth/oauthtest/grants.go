package oauthtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const exchange = "urn:ietf:params:oauth:grant-type:token-exchange"

// authorize returns where the person is sent back to, "" for nowhere.
func (s *Issuer) authorize(q url.Values) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.client(q.Get("client_id"))
	if !ok || !strings.HasPrefix(c.ID, "https://") && !slices.Contains(c.RedirectURIs, q.Get("redirect_uri")) {
		return ""
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		return ""
	}
	out := url.Values{"state": {q.Get("state")}, "iss": {s.URL}}
	switch {
	case q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("code_challenge") == "":
		out.Set("error", "invalid_request")
	case q.Get("resource") == "":
		out.Set("error", "invalid_target")
	default:
		code := rand.Text()
		s.codes[code] = &sign{
			client: c.ID, subject: s.subject(), resource: q.Get("resource"), scopes: s.grantable(q.Get("scope")),
			challenge: q.Get("code_challenge"), redirect: q.Get("redirect_uri"), family: new(bool),
		}
		out.Set("code", code)
	}
	if s.b.Redirect != nil {
		s.b.Redirect(out)
	}
	was := back.Query()
	maps.Copy(was, out)
	back.RawQuery = was.Encode()
	return back.String()
}

func (s *Issuer) subject() string {
	if s.b.Subject != "" {
		return s.b.Subject
	}
	return "somebody"
}

func (s *Issuer) grantable(scope string) []string {
	asked := strings.Fields(scope)
	if s.b.MaxScopes == nil {
		return asked
	}
	return slices.DeleteFunc(asked, func(x string) bool { return !slices.Contains(s.b.MaxScopes, x) })
}

func (s *Issuer) client(id string) (Client, bool) {
	if c, ok := s.clients[id]; ok {
		return c, true
	}
	if s.b.Documents && strings.HasPrefix(id, "https://") {
		return Client{ID: id}, true
	}
	return Client{}, false
}

// token answers the token endpoint.
func (s *Issuer) token(r *http.Request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.authenticate(r)
	if !ok {
		return refuse(http.StatusUnauthorized, "invalid_client", "the client is not known, or not who it says")
	}
	f := r.PostForm
	switch f.Get("grant_type") {
	case "authorization_code":
		g := s.codes[f.Get("code")]
		sum := sha256.Sum256([]byte(f.Get("code_verifier")))
		if g == nil || g.used || g.client != c.ID || g.redirect != f.Get("redirect_uri") || g.resource != f.Get("resource") ||
			g.challenge != base64.RawURLEncoding.EncodeToString(sum[:]) {
			return refuse(http.StatusBadRequest, "invalid_grant", "the code is not valid")
		}
		g.used = true
		return s.grant(g, "")
	case "refresh_token":
		return s.renew(c, f)
	case "client_credentials":
		if c.Secret == "" && c.Key == nil {
			return refuse(http.StatusBadRequest, "unauthorized_client", "only confidential clients")
		}
		return s.grant(&sign{client: c.ID, subject: c.ID, resource: f.Get("resource"), scopes: s.grantable(f.Get("scope")), family: new(bool)}, "-")
	case exchange:
		if f.Get("subject_token") == "" || f.Get("subject_token_type") == "" {
			return refuse(http.StatusBadRequest, "invalid_request", "no subject token")
		}
		return s.grant(&sign{client: c.ID, subject: "exchanged:" + f.Get("subject_token"), resource: f.Get("resource"), scopes: s.grantable(f.Get("scope")), family: new(bool)}, "-")
	default:
		return refuse(http.StatusBadRequest, "unsupported_grant_type", f.Get("grant_type"))
	}
}

// renew is the grant refresh_token.
func (s *Issuer) renew(c Client, f url.Values) reply {
	old := f.Get("refresh_token")
	g := s.refresh[old]
	if g != nil && g.used {
		*g.family = true // somebody else has it: nobody keeps what came of it
	}
	if g == nil || *g.family || g.client != c.ID {
		return refuse(http.StatusBadRequest, "invalid_grant", "the refresh token is not valid")
	}
	if !s.b.Rotate {
		return s.grant(g, old)
	}
	g.used = true
	next := *g
	next.used = false
	return s.grant(&next, "")
}

// grant answers with tokens of a sign-in. keep is the refresh token that stays, "" to
// give a new one, "-" for none.
func (s *Issuer) grant(g *sign, keep string) reply {
	life := s.b.Lifetime
	if life == 0 {
		life = time.Hour
	}
	a := *g
	token := "at-" + rand.Text()
	out := map[string]any{"access_token": token, "token_type": "Bearer"}
	if life > 0 {
		a.expires = time.Now().Add(life)
		out["expires_in"] = int(life / time.Second)
	}
	s.access[token] = &a
	if !s.b.Silent {
		out["scope"] = strings.Join(g.scopes, " ")
	}
	if keep == "" && !s.b.NoRefresh {
		fresh := *g
		fresh.used = false
		keep = "rt-" + rand.Text()
		s.refresh[keep] = &fresh
		out["refresh_token"] = keep
	}
	return reply{http.StatusOK, out}
}

// authenticate says which client asks, if it proves that it is one.
func (s *Issuer) authenticate(r *http.Request) (Client, bool) {
	f := r.PostForm
	id, secret, basic := r.BasicAuth()
	if basic {
		id, _ = url.QueryUnescape(id)
		secret, _ = url.QueryUnescape(secret)
	} else {
		id, secret = f.Get("client_id"), f.Get("client_secret")
	}
	c, ok := s.client(id)
	if !ok {
		return c, false
	}
	switch c.Method {
	case "client_secret_basic":
		return c, basic && secret == c.Secret
	case "client_secret_post":
		return c, !basic && secret == c.Secret
	case "private_key_jwt":
		return c, s.proven(c, f)
	default:
		return c, !basic && secret == ""
	}
}

// proven checks a client assertion (RFC 7523 section 3).
func (s *Issuer) proven(c Client, f url.Values) bool {
	if f.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
		return false
	}
	t, err := jwt.ParseSigned(f.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.EdDSA})
	if err != nil {
		return false
	}
	var claims jwt.Claims
	return t.Claims(c.Key, &claims) == nil && claims.ID != "" &&
		claims.Validate(jwt.Expected{Issuer: c.ID, Subject: c.ID, AnyAudience: jwt.Audience{s.URL}, Time: time.Now()}) == nil
}

// register answers dynamic registration (RFC 7591).
func (s *Issuer) register(asked map[string]any) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.b.NoRegistration {
		return refuse(http.StatusForbidden, "access_denied", "no dynamic registration here")
	}
	c := Client{ID: "dyn-" + rand.Text()}
	c.Method, _ = asked["token_endpoint_auth_method"].(string)
	if c.Method == "" {
		c.Method = "client_secret_basic"
	}
	if s.b.Methods != nil && !slices.Contains(s.b.Methods, c.Method) {
		return refuse(http.StatusBadRequest, "invalid_client_metadata", "token_endpoint_auth_method")
	}
	uris, _ := asked["redirect_uris"].([]any)
	for _, u := range uris {
		if u, ok := u.(string); ok {
			c.RedirectURIs = append(c.RedirectURIs, u)
		}
	}
	if len(c.RedirectURIs) == 0 {
		return refuse(http.StatusBadRequest, "invalid_redirect_uri", "none")
	}
	out := map[string]any{"client_id": c.ID, "redirect_uris": c.RedirectURIs, "token_endpoint_auth_method": c.Method}
	if strings.HasPrefix(c.Method, "client_secret") {
		c.Secret = "cs-" + rand.Text()
		out["client_secret"], out["client_secret_expires_at"] = c.Secret, 0
	}
	s.clients[c.ID] = c
	return reply{http.StatusCreated, out}
}

// revoke answers RFC 7009: a refresh token takes all with it that came of it.
func (s *Issuer) revoke(r *http.Request) reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, ok := s.authenticate(r)
	if !ok {
		return refuse(http.StatusUnauthorized, "invalid_client", "")
	}
	t := r.PostForm.Get("token")
	if g := s.refresh[t]; g != nil && g.client == c.ID {
		*g.family = true
	}
	if g := s.access[t]; g != nil && g.client == c.ID {
		delete(s.access, t)
	}
	return reply{http.StatusOK, map[string]any{}}
}
