package oauthtest

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Issuer is an authorization server (RFC 6749, 7009, 7591, 8414, 8693, 8707, 9207) that
// grants at once to who comes to its authorization endpoint. It checks what a client
// has to do: PKCE, redirect URIs, client authentication, one use of each code.
type Issuer struct {
	// URL is its identifier.
	URL string

	mu      sync.Mutex // guards all below
	b       Behaviour
	clients map[string]Client
	codes   map[string]*sign
	access  map[string]*sign
	refresh map[string]*sign
	seen    []Seen
}

// Behaviour is what an Issuer does. The zero value behaves well.
type Behaviour struct {
	// Metadata says where it is served: OAuth, OIDC, Appended or None.
	Metadata Metadata
	// Edit changes the metadata, to lie in it.
	Edit func(doc map[string]any)
	// Before is asked first for each request; true says that it has answered.
	Before func(w http.ResponseWriter, r *http.Request) bool
	// Redirect changes the query with which a person is sent back: code, state, iss.
	Redirect func(q url.Values)
	// Methods are the ways of client authentication, all if nil.
	Methods []string
	// Scopes are scopes_supported, nil for none said. MaxScopes, unless nil, are those
	// that are ever granted.
	Scopes, MaxScopes []string
	// Lifetime is that of access tokens, an hour if 0. Negative says nothing of it.
	Lifetime time.Duration
	// NoRefresh gives no refresh tokens. Rotate gives a new one with each use; an old
	// one that is used again revokes the whole sign-in.
	NoRefresh, Rotate bool
	// NoRegistration has no dynamic registration, Documents takes Client ID Metadata
	// Documents: any https address as client id.
	NoRegistration, Documents bool
	// Silent grants without saying which scopes.
	Silent bool
	// Subject is who signs in, "somebody" if "".
	Subject string
}

// Metadata is the place of an issuer's metadata.
type Metadata string

// The places, as the MCP specification has them be tried.
const (
	OAuth    Metadata = ""              // RFC 8414, the path inserted
	OIDC     Metadata = "oidc"          // OpenID Connect, the path inserted
	Appended Metadata = "oidc-appended" // OpenID Connect, appended to the path
	None     Metadata = "none"
)

// Client is one that the issuer knows.
type Client struct {
	ID, Secret   string
	RedirectURIs []string
	// Method is its token_endpoint_auth_method, "none" if "".
	Method string
	// Key is the public key of a private_key_jwt.
	Key any
}

// Seen is a request that the issuer got.
type Seen struct {
	Endpoint string // metadata, authorize, token, register, revoke, other
	Form     url.Values
	Header   http.Header
	Body     map[string]any // of register
}

// sign is a sign-in that the issuer knows of: behind a code and its tokens.
type sign struct {
	client, subject, resource string
	scopes                    []string
	challenge, redirect       string    // of a code
	expires                   time.Time // of an access token
	used                      bool      // a code or a rotated refresh token
	family                    *bool     // revoked, common to all that came of one code
}

// NewIssuer returns an issuer in n at the address, "https://as.test" or with a path.
func NewIssuer(tb testing.TB, n *Net, address string, b Behaviour) *Issuer {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	s := newIssuer(address, b)
	n.Handle(u.Host, s)
	return s
}

// StartIssuer returns an issuer on a port of loopback, with a path or "", until the
// test ends.
func StartIssuer(tb testing.TB, path string, b Behaviour) *Issuer {
	tb.Helper()
	srv := httptest.NewUnstartedServer(nil)
	s := newIssuer("http://"+srv.Listener.Addr().String()+path, b)
	srv.Config.Handler = s
	srv.Start()
	tb.Cleanup(srv.Close)
	return s
}

func newIssuer(address string, b Behaviour) *Issuer {
	return &Issuer{URL: address, b: b, clients: map[string]Client{}, codes: map[string]*sign{}, access: map[string]*sign{}, refresh: map[string]*sign{}}
}

// Set changes the behaviour from now on.
func (s *Issuer) Set(change func(*Behaviour)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.b)
}

// Know makes a client known: one that was registered by hand.
func (s *Issuer) Know(c Client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = c
}

// Clients returns the ids of all that are known, in order.
func (s *Issuer) Clients() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.clients {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// ForgetClients forgets all clients, as after a loss of data.
func (s *Issuer) ForgetClients() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.clients)
}

// Revoke revokes all tokens and codes.
func (s *Issuer) Revoke() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.codes)
	clear(s.access)
	clear(s.refresh)
}

// ExpireAccess makes all access tokens invalid at once; refresh tokens stay.
func (s *Issuer) ExpireAccess() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
}

// Seen returns the requests to an endpoint so far, in order: see Seen.Endpoint. An
// endpoint "token/refresh_token" is that with this grant_type.
func (s *Issuer) Seen(endpoint string) []Seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	endpoint, grant, byGrant := strings.Cut(endpoint, "/")
	var out []Seen
	for _, r := range s.seen {
		if r.Endpoint == endpoint && (!byGrant || r.Form.Get("grant_type") == grant) {
			out = append(out, r)
		}
	}
	return out
}

// valid returns the sign-in behind an access token, nil for none.
func (s *Issuer) valid(token string) *sign {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.access[token]
	if g == nil || *g.family || !g.expires.IsZero() && !time.Now().Before(g.expires) {
		return nil
	}
	return g
}

// ServeHTTP implements http.Handler.
func (s *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	base, _ := url.Parse(s.URL)
	prefix := strings.TrimSuffix(base.Path, "/")
	endpoint, body := "other", map[string]any{}
	switch r.URL.Path {
	case s.metadataPath(prefix):
		endpoint = "metadata"
	case prefix + "/authorize", prefix + "/token", prefix + "/register", prefix + "/revoke":
		endpoint = strings.TrimPrefix(r.URL.Path, prefix+"/")
	}
	if endpoint == "register" {
		_ = json.NewDecoder(r.Body).Decode(&body) // what it did not say is missing below
	}
	_ = r.ParseForm() // the same
	s.mu.Lock()
	s.seen = append(s.seen, Seen{endpoint, r.Form, r.Header.Clone(), body})
	before := s.b.Before
	s.mu.Unlock()
	if before != nil && before(w, r) {
		return
	}
	switch endpoint {
	case "metadata":
		answer(w, http.StatusOK, s.document(prefix))
	case "authorize":
		if to := s.authorize(r.Form); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		http.Error(w, "unknown client or redirect URI", http.StatusBadRequest)
	case "token":
		s.token(r).write(w)
	case "register":
		s.register(body).write(w)
	case "revoke":
		s.revoke(r).write(w)
	default:
		http.NotFound(w, r)
	}
}

func (s *Issuer) metadataPath(prefix string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch s.b.Metadata {
	case OIDC:
		return "/.well-known/openid-configuration" + prefix
	case Appended:
		return prefix + "/.well-known/openid-configuration"
	case None:
		return "none"
	default:
		return "/.well-known/oauth-authorization-server" + prefix
	}
}

func (s *Issuer) document(prefix string) map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	base, _ := url.Parse(s.URL)
	at := func(path string) string { return base.Scheme + "://" + base.Host + prefix + path }
	doc := map[string]any{
		"issuer": s.URL, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"), "revocation_endpoint": at("/revoke"),
		"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token", "client_credentials", exchange},
		"authorization_response_iss_parameter_supported": true,
		"client_id_metadata_document_supported":          s.b.Documents,
	}
	if !s.b.NoRegistration {
		doc["registration_endpoint"] = at("/register")
	}
	if s.b.Methods != nil {
		doc["token_endpoint_auth_methods_supported"] = s.b.Methods
	} else {
		doc["token_endpoint_auth_methods_supported"] = []string{"none", "client_secret_basic", "client_secret_post", "private_key_jwt"}
	}
	if s.b.Scopes != nil {
		doc["scopes_supported"] = s.b.Scopes
	}
	if s.b.Edit != nil {
		s.b.Edit(doc)
	}
	return doc
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone
}

// reply is an answer that is not written yet: no lock is held while a client reads.
type reply struct {
	status int
	body   map[string]any
}

func (a reply) write(w http.ResponseWriter) { answer(w, a.status, a.body) }

// refuse is an answer as RFC 6749 section 5.2 has it.
func refuse(status int, code, text string) reply {
	return reply{status, map[string]any{"error": code, "error_description": text}}
}
