package oauth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// register returns the client to sign in with, in the order of the MCP specification:
// one that was registered by hand, one that a document describes, one that is
// registered now or was before, at this very issuer.
func (t *Target) register(ctx context.Context, d *Discovery, o *BeginOptions, scopes []string) (*Registration, error) {
	switch {
	case t.Config.ClientID != "":
		return t.preregistered(d, o.RedirectURI), nil
	case d.Server.ClientIDMetadataDocumentSupported && t.Config.ClientMetadata != "":
		return t.documented(d, t.Config.ClientMetadata, o.RedirectURI), nil
	case d.Server.ClientIDMetadataDocumentSupported && o.Document != "":
		return t.documented(d, o.Document, o.RedirectURI), nil
	case d.Server.ClientIDMetadataDocumentSupported && o.Offered != "" && t.lists(ctx, o.Offered, o.RedirectURI):
		return t.documented(d, o.Offered, o.RedirectURI), nil
	case d.Server.RegistrationEndpoint == "":
		return nil, fmt.Errorf("%s takes only clients that it knows: register one there by hand, with the redirect URI %s, and set auth.client_id, and auth.client_secret if it gave one", d.Server.Issuer, o.RedirectURI)
	}
	old, err := o.Store.Registration(ctx, t.Upstream, d.Server.Issuer, o.RedirectURI)
	if err != nil {
		return nil, err
	}
	if old != nil && old.covers(scopes) && (old.Expires.IsZero() || time.Until(old.Expires) > time.Hour) {
		if t.known(ctx, d, old) {
			return old, nil
		}
		if err := o.Store.DeleteRegistration(ctx, t.Upstream, d.Server.Issuer, o.RedirectURI); err != nil {
			return nil, err
		}
	}
	r, err := t.dynamic(ctx, d, o.RedirectURI, scopes)
	if err != nil {
		return nil, fmt.Errorf("registration at %s: %w", d.Server.RegistrationEndpoint, err)
	}
	return r, o.Store.PutRegistration(ctx, t.Upstream, r)
}

// covers reports whether a client may ask for scopes as far as its registration goes.
func (r *Registration) covers(scopes []string) bool {
	own := strings.Fields(r.Scope)
	return len(own) == 0 || !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(own, s) })
}

// preregistered is the client of the configuration.
func (t *Target) preregistered(d *Discovery, redirectURI string) *Registration {
	r := &Registration{
		Issuer: d.Server.Issuer, RedirectURI: redirectURI, How: Preregistered,
		ClientID: t.Config.ClientID, ClientSecret: t.Config.ClientSecret, AuthMethod: methodNone,
	}
	switch {
	case t.Config.PrivateKey != "":
		r.AuthMethod = methodKey
	case r.ClientSecret != "":
		r.AuthMethod = secretMethod(d.Server.TokenEndpointAuthMethodsSupported)
	}
	return r
}

// documented is the client that a document describes: the address is its id.
func (t *Target) documented(d *Discovery, document, redirectURI string) *Registration {
	r := &Registration{Issuer: d.Server.Issuer, RedirectURI: redirectURI, How: ByDocument, ClientID: document, AuthMethod: methodNone}
	if t.Config.PrivateKey != "" && document == t.Config.ClientMetadata && slices.Contains(d.Server.TokenEndpointAuthMethodsSupported, methodKey) {
		r.AuthMethod = methodKey
	}
	return r
}

// lists reports whether a document can be fetched from here that is about its address, and
// has a redirect URI to the letter: not every server leaves the port of loopback out
// (RFC 8252 section 7.3), and one that does not shows a person an error of which nobody
// here learns. An authorization server may still not get there; that a server inside of a
// network is out of its reach shows here, since the client is Guard's.
func (t *Target) lists(ctx context.Context, document, redirectURI string) bool {
	var doc struct {
		ClientID     string   `json:"client_id"`
		RedirectURIs []string `json:"redirect_uris"`
	}
	err := t.document(ctx, document, &doc)
	return err == nil && doc.ClientID == document && slices.Contains(doc.RedirectURIs, redirectURI)
}

// secretMethod is the way to send a secret: in the header, which every server has to
// support (RFC 6749 section 2.3.1), unless it says that it does not.
func secretMethod(supported []string) string {
	if !slices.Contains(supported, methodBasic) && slices.Contains(supported, methodPost) {
		return methodPost
	}
	return methodBasic
}

// known tells whether a server still knows a client. A person who is sent to it with
// one that it forgot ends at an error page of the server, and nobody here learns of
// it; so a refresh token that nobody issued is asked about first: who answers with
// invalid_client has forgotten the client, and everything else is no reason to.
func (t *Target) known(ctx context.Context, d *Discovery, r *Registration) bool {
	g := &grant{
		target: t, client: *r, endpoint: d.Server.TokenEndpoint, kind: grantRefresh, resource: d.Resource,
		params: url.Values{"refresh_token": {rand.Text()}},
	}
	var refused *Refusal
	_, err := g.fetch(ctx)
	return !errors.As(err, &refused) || refused.Code != "invalid_client"
}

// dynamic registers a client (RFC 7591). Servers that hold clients to the scopes of
// their registration are told all that may be asked for; those that do not know one of
// them are asked again without.
func (t *Target) dynamic(ctx context.Context, d *Discovery, redirectURI string, scopes []string) (*Registration, error) {
	m := oauthex.ClientRegistrationMetadata{
		RedirectURIs: []string{redirectURI}, ClientName: t.Name, ApplicationType: applicationType(redirectURI),
		GrantTypes: []string{grantCode}, ResponseTypes: []string{"code"},
		TokenEndpointAuthMethod: publicMethod(d.Server.TokenEndpointAuthMethodsSupported),
		Scope:                   strings.Join(union(scopes, d.Scopes), " "),
	}
	if refreshes(&d.Server) {
		m.GrantTypes = append(m.GrantTypes, grantRefresh)
	}
	a, err := t.postRegistration(ctx, d.Server.RegistrationEndpoint, &m)
	var refused *Refusal
	if errors.As(err, &refused) && refused.Code == "invalid_client_metadata" && m.Scope != "" {
		m.Scope = ""
		a, err = t.postRegistration(ctx, d.Server.RegistrationEndpoint, &m)
	}
	if err != nil {
		return nil, err
	}
	r := &Registration{
		Issuer: d.Server.Issuer, RedirectURI: redirectURI, How: Dynamic,
		ClientID: a.ClientID, ClientSecret: Secret(a.ClientSecret), Expires: a.expires(), AuthMethod: a.Method, Scope: m.Scope,
	}
	switch {
	case r.AuthMethod != "":
	case r.ClientSecret == "":
		r.AuthMethod = methodNone
	case len(d.Server.TokenEndpointAuthMethodsSupported) == 0:
		r.AuthMethod = methodBasic // RFC 7591 section 2
	default:
		r.AuthMethod = m.TokenEndpointAuthMethod
	}
	if !slices.Contains([]string{methodNone, methodBasic, methodPost}, r.AuthMethod) {
		return nil, fmt.Errorf("it wants client authentication by %q, which is not known here", clean(r.AuthMethod))
	}
	if r.ClientSecret == "" {
		r.AuthMethod = methodNone
	}
	return r, nil
}

// publicMethod is the method to register with: none if it may be, since a secret that
// anybody can have by registering proves nothing, and expires.
func publicMethod(supported []string) string {
	if len(supported) == 0 || slices.Contains(supported, methodNone) {
		return methodNone
	}
	return secretMethod(supported)
}

// applicationType is native for a redirect to this machine (SEP-837): servers that hold
// to OpenID Connect refuse those to web clients.
func applicationType(redirectURI string) string {
	if u, err := url.Parse(redirectURI); err == nil && (loopbackHost(u.Hostname()) || u.Scheme != "http" && u.Scheme != "https") {
		return "native"
	}
	return "web"
}

// registered is the answer to a registration (RFC 7591 section 3.2), or its error.
type registered struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Method       string `json:"token_endpoint_auth_method"`
	SecretUntil  any    `json:"client_secret_expires_at"`
	Code         string `json:"error"`
	Text         string `json:"error_description"`
}

// expires is when the secret does, zero for never. Some servers send null or a text.
func (a *registered) expires() time.Time {
	if s, ok := a.SecretUntil.(float64); ok && s > 0 && s < 1<<40 {
		return time.Unix(int64(s), 0)
	}
	return time.Time{}
}

// postRegistration makes one request. Its errors do not quote the answer, which may
// have a secret in it.
func (t *Target) postRegistration(ctx context.Context, endpoint string, m *oauthex.ClientRegistrationMetadata) (*registered, error) {
	var a registered
	status, err := t.post(ctx, endpoint, m, &a)
	switch {
	case meant(a.Code, status):
		return nil, &Refusal{Code: clean(a.Code), Text: clean(hide(a.Text, a.ClientSecret)), Status: status}
	case status != 0 && status != http.StatusOK && status != http.StatusCreated:
		return nil, fmt.Errorf("it answered %d", status)
	case err != nil:
		return nil, err
	case a.ClientID == "" || len(a.ClientID) > maxAddress || !printable(a.ClientID) || len(a.ClientSecret) > maxToken || !printable(a.ClientSecret):
		return nil, errors.New("it gave no client id that could be used")
	}
	return &a, nil
}

// printable tells whether s is an id or a secret (RFC 6749 appendix A.1, A.2).
func printable(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}
