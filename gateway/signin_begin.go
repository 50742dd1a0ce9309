package gateway

import (
	"context"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// stalePage is shown for a link that leads nowhere, for whatever reason.
var stalePage = page{
	Title: "This link is not good any more",
	Text:  "It was used already, or is older than ten minutes. Call the tool again to get another one.",
}

// serveSignIn shows what is signed in to, and for whom. Nothing happens yet: links are
// opened by whatever looks at messages.
func (g *Gateway) serveSignIn(w http.ResponseWriter, r *http.Request) {
	o := g.signIns.offers.page(r.PathValue("ticket"))
	if o == nil {
		stalePage.show(w, http.StatusNotFound)
		return
	}
	p := page{Title: "Sign in to " + o.Upstream, Ask: true, Upstream: o.Upstream, Who: o.who}
	if t := g.signIns.targetOf(o.Upstream); t != nil {
		if u, err := url.Parse(t.URL); err == nil {
			p.Host = u.Host
		}
	}
	p.show(w, http.StatusOK)
}

// serveBegin sends a person who pressed the button to the authorization server.
func (g *Gateway) serveBegin(w http.ResponseWriter, r *http.Request) {
	if !g.enter() {
		page{Title: "The gateway is shutting down", Text: "Call the tool again in a moment."}.show(w, http.StatusServiceUnavailable)
		return
	}
	defer g.leave()
	ticket := r.PathValue("ticket")
	o := g.signIns.offers.page(ticket)
	if o != nil {
		if wait := g.signIns.offers.admit(o.Key, time.Now()); wait > 0 {
			seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
			w.Header().Set("Retry-After", seconds)
			page{Title: "Too many tries to sign in to " + o.Upstream, Text: "Go back and press the button again in " + seconds + " seconds. The link stays good."}.show(w, http.StatusTooManyRequests)
			return
		}
		o = g.signIns.offers.use(ticket)
	}
	if o == nil {
		stalePage.show(w, http.StatusNotFound)
		return
	}
	a, err := g.signIns.begin(r.Context(), o)
	if err != nil {
		g.signIns.offers.restore(o, ticket)
		g.log.WarnContext(r.Context(), "a sign-in could not begin", "upstream", o.Upstream, "error", err)
		page{Title: "Signing in to " + o.Upstream + " is not possible now", Text: err.Error()}.show(w, http.StatusBadGateway)
		return
	}
	pageHeaders(w)
	w.Header().Set("Referrer-Policy", "no-referrer")
	base := g.pageBase()
	http.SetCookie(w, &http.Cookie{ //nolint:gosec // Secure wherever the address is https
		Name: cookieName(a.State), Value: a.cookie, Path: pathOf(base) + callbackPath, MaxAge: int(offerTTL / time.Second),
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: strings.HasPrefix(base, "https:"),
	})
	http.Redirect(w, r, a.URL, http.StatusSeeOther)
}

// pathOf is the path of a base, "" for none.
func pathOf(base string) string {
	if u, err := url.Parse(base); err == nil {
		return u.Path
	}
	return ""
}

// begin begins the sign-in of an offer.
func (s *signIns) begin(ctx context.Context, o *offer) (*attempt, error) {
	t := s.targetOf(o.Upstream)
	base := s.g.pageBase()
	if t == nil || base == "" {
		return nil, errOfferGone
	}
	challenge, more := s.accounts.Wanted(o.Key)
	begin := oauth.BeginOptions{
		Principal: o.Principal, RedirectURI: base + callbackPath, Challenge: challenge, More: more, Store: s.store,
	}
	if describable(base) {
		begin.Document = base + documentPath
	}
	at, err := oauth.Begin(ctx, t, begin)
	if err != nil {
		return nil, err
	}
	a := &attempt{Attempt: at, of: o, cookie: randomHex(32)}
	if !s.offers.begun(a) {
		return nil, errOfferGone
	}
	return a, nil
}

func hostOf(base string) string {
	if u, err := url.Parse(base); err == nil {
		return u.Hostname()
	}
	return ""
}
