package gateway

import (
	"context"
	"errors"
	"net/http"
	"net/url"
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
