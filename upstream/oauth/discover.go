package oauth

import (
	"context"
	"errors"
	"net/http"
)

// Discover finds out where tokens for a server come from: its protected resource
// metadata (RFC 9728) and that of its authorization server (RFC 8414, OpenID Connect
// Discovery), or the places of revision 2025-03-26 for servers without them. The
// header challenge is that of an answer 401 or 403; nil asks the server for one, with
// an initialize without a token. It blocks for a few requests.
func Discover(_ context.Context, _ *Target, _ http.Header) (*Discovery, error) {
	return nil, errors.ErrUnsupported
}
