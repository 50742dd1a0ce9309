package oauth

import (
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

// Reading a challenge costs the square of its length: longer ones are left out.
const (
	maxChallenge  = 4 << 10 // bytes of one header
	maxChallenges = 8       // headers
)

// challenged is what headers WWW-Authenticate say (RFC 6750 section 3, RFC 9728
// section 5.1). The zero value is that of none.
type challenged struct {
	metadata string // address of the protected resource metadata
	scopes   []string
	code     string // error: insufficient_scope, invalid_token
}

// WantsScope reports whether an answer with the header h says that the token has not the
// scopes for the request (RFC 6750 section 3.1, insufficient_scope).
func WantsScope(h http.Header) bool { return readChallenge(h).code == "insufficient_scope" }

// readChallenge reads the headers of an answer. A header that is malformed says nothing,
// and keeps the others from nothing.
func readChallenge(h http.Header) challenged {
	var c challenged
	for i, v := range h.Values("WWW-Authenticate") {
		if i == maxChallenges {
			break
		}
		if len(v) > maxChallenge {
			continue
		}
		all, err := oauthex.ParseWWWAuthenticate([]string{v})
		if err != nil {
			continue
		}
		for _, x := range all {
			if c.metadata == "" {
				c.metadata = x.Params["resource_metadata"]
			}
			if x.Scheme != "bearer" {
				continue
			}
			if c.scopes == nil {
				c.scopes = scopesOf(x.Params["scope"])
			}
			if c.code == "" {
				c.code = x.Params["error"]
			}
		}
	}
	return c
}
