package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// finishTimeout bounds the end of a sign-in, also where the browser is gone: its code
// is good once.
const finishTimeout = time.Minute

// serveCallback takes a person back from the authorization server.
func (g *Gateway) serveCallback(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	state := query.Get("state")
	cookie := ""
	if c, err := r.Cookie(cookieName(state)); err == nil {
		cookie = c.Value
	}
	a := g.signIns.offers.back(state, cookie)
	if a == nil {
		page{
			Title: "This sign-in did not begin here",
			Text:  "It took longer than ten minutes, was finished already, or began in another browser. Nothing was changed. Call the tool again to get another link.",
		}.show(w, http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), finishTimeout)
	defer cancel()
	if err := g.signIns.finish(ctx, a, query); err != nil {
		g.signIns.failed(ctx, a, r.RemoteAddr, err)
		status := http.StatusBadGateway
		if errors.As(err, new(*oauth.Refusal)) {
			status = http.StatusForbidden
		}
		page{Title: "You are not signed in to " + a.of.Upstream, Text: err.Error()}.show(w, status)
		return
	}
	page{Title: "You are signed in to " + a.of.Upstream, Text: "You can close this page. What waited for it goes on."}.show(w, http.StatusOK)
}

// finish fetches the tokens of an attempt, and keeps them.
func (s *signIns) finish(ctx context.Context, a *attempt, query url.Values) error {
	account, err := a.Finish(ctx, query)
	if err != nil {
		return err
	}
	return s.accounts.SignedIn(ctx, account)
}

// serveDocument is the gateway as a client of authorization servers
// (draft-ietf-oauth-client-id-metadata-document).
func (g *Gateway) serveDocument(w http.ResponseWriter, r *http.Request) {
	base := g.pageBase()
	if !strings.HasPrefix(base, "https:") || oauth.Loopback(hostOf(base)) {
		plainText(w, http.StatusNotFound, "nothing here: it takes a server.public_url with https")
		return
	}
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	writeJSON(w, http.StatusOK, answer{head: clientDocument(base)})
}

// clientDocument is the metadata of the gateway as a client: its address is its id.
func clientDocument(base string) []byte {
	b, err := json.Marshal(map[string]any{
		"client_id":                  base + documentPath,
		"client_name":                clientName,
		"client_uri":                 base,
		"application_type":           "web",
		"redirect_uris":              []string{base + callbackPath},
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": "none",
	})
	if err != nil { // strings always marshal
		panic(err)
	}
	return b
}
