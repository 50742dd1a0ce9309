package oauth

import (
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// Target is what is signed in to. It is not changed once it is in use.
type Target struct {
	// Upstream is its name, URL the address of its MCP endpoint.
	Upstream, URL string
	Config        Config
	// Client is Guard's, through which everything is fetched.
	Client *http.Client
	// Name is what authorization servers show of this client: "Interlock".
	Name string
}

// Discovery is what a server said of where its tokens come from.
type Discovery struct {
	// Resource is the server's identifier (RFC 8707): all requests name it.
	Resource string
	// Scopes are those of the challenge, else all of the server's metadata; nil for
	// none.
	Scopes []string
	// Server is the authorization server. All addresses in it are https, or of
	// loopback; TokenEndpoint is never empty.
	Server oauthex.AuthServerMeta
}
