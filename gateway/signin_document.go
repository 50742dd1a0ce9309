package gateway

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// The gateway as a client of authorization servers, in two documents
// (draft-ietf-oauth-client-id-metadata-document): for links, which lead back to the gateway
// over https, and for a person at its machine, who comes back to loopback. One for both
// would be of neither application_type (OpenID Connect Registration section 2), and refused
// whole by servers that hold to that.

// documents are where they are, by what they say.
var documents = map[string]func(base string) document{
	documentPath: func(base string) document {
		return document{ApplicationType: "web", RedirectURIs: []string{base + callbackPath}}
	},
	nativePath: func(string) document {
		return document{ApplicationType: "native", RedirectURIs: []string{
			oauth.LoopbackRedirect, strings.Replace(oauth.LoopbackRedirect, "127.0.0.1", "localhost", 1),
		}}
	},
}

// document is the metadata of a client: its address is its id.
type document struct {
	ClientID                string   `json:"client_id"`
	ClientName              string   `json:"client_name"`
	ClientURI               string   `json:"client_uri"`
	ApplicationType         string   `json:"application_type"`
	RedirectURIs            []string `json:"redirect_uris"`
	GrantTypes              []string `json:"grant_types"`
	ResponseTypes           []string `json:"response_types"`
	TokenEndpointAuthMethod string   `json:"token_endpoint_auth_method"`
}

// serveDocument serves the document at the path of r.
func (g *Gateway) serveDocument(w http.ResponseWriter, r *http.Request) {
	base := g.pageBase()
	describe, ok := documents[r.URL.Path]
	if !ok || !describable(base) {
		plainText(w, http.StatusNotFound, "nothing here: it takes a server.public_url with https")
		return
	}
	d := describe(base)
	d.ClientID, d.ClientName, d.ClientURI = base+r.URL.Path, clientName, base
	d.GrantTypes, d.ResponseTypes, d.TokenEndpointAuthMethod = []string{"authorization_code", "refresh_token"}, []string{"code"}, "none"
	b, err := json.Marshal(d)
	if err != nil { // strings always marshal
		panic(err)
	}
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	writeJSON(w, http.StatusOK, answer{head: b})
}

// describable reports whether authorization servers may reach a document below a base.
func describable(base string) bool {
	return strings.HasPrefix(base, "https:") && !oauth.Loopback(hostOf(base))
}

// LoginDocument is the address at which a gateway with that configuration describes the
// client that signs in at its machine, "" if it does not. Whether one runs, and can be
// reached there, it does not know.
func LoginDocument(s *config.Server) string {
	u, err := url.Parse(s.PublicURL)
	if err != nil || s.PublicURL == "" {
		return ""
	}
	if base := publicBase(u, s.Path); describable(base) {
		return base + nativePath
	}
	return ""
}
