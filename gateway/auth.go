package gateway

import (
	"context"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// newAuthenticator returns what server.auth asks for, nil for nothing.
func (g *Gateway) newAuthenticator(s *config.Server) (*identity.Authenticator, error) {
	if !s.Auth.Enabled() {
		return nil, nil
	}
	return identity.New(s.Auth, resourceOf(s), g.log)
}

// resourceOf is the URL by which clients call the endpoint.
func resourceOf(s *config.Server) string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	scheme := "http://"
	if s.TLS.Enabled() {
		scheme = "https://"
	}
	return scheme + s.Listen + s.Path
}

// nextAuthenticator is newAuthenticator for a reload: what did not change goes on
// with what it knows of its issuers.
func (g *Gateway) nextAuthenticator(next *config.Server) (*identity.Authenticator, error) {
	old := &g.cfg.Load().Server
	if reflect.DeepEqual(old.Auth, next.Auth) && resourceOf(old) == resourceOf(next) {
		return g.guard.Load().auth, nil
	}
	a, err := g.newAuthenticator(next)
	if a != nil {
		a.Inherit(g.guard.Load().auth)
	}
	return a, err
}

// runAuthenticators keeps the Authenticator of the moment going, until ctx is done.
func (g *Gateway) runAuthenticators(ctx context.Context) {
	for ctx.Err() == nil {
		own, stop := context.WithCancel(ctx)
		var running sync.WaitGroup
		if auth := g.guard.Load().auth; auth != nil {
			running.Go(func() { _ = auth.Run(own) }) // it ends with its context
		}
		again := time.NewTicker(recheckEvery)
	wait:
		for {
			select {
			case <-again.C:
				g.present.recheck(own, g.guard.Load())
			case <-g.rekeyed:
				running.Go(func() { g.present.recheck(ctx, g.guard.Load()) })
				break wait
			case <-ctx.Done():
				break wait
			}
		}
		again.Stop()
		stop()
		running.Wait()
	}
}

// authenticated finds out who sent a request, before its body is read, or answers
// what it lacks and reports false.
func (g *Gateway) authenticated(w http.ResponseWriter, r *http.Request, by *guard) (visitor, bool) {
	p, challenge, err := by.identify(r.Context(), r)
	switch {
	case err != nil:
		g.tel.CallRejected("unauthenticated")
		w.Header().Set("Connection", "close")
		plainText(w, http.StatusForbidden, err.Error())
		return visitor{}, false
	case challenge != nil:
		g.challenged(w, r, challenge, telemetry.AuditLine{})
		return visitor{}, false
	}
	g.signIns.presented(r, p, by)
	return visitor{r, p, by}, true
}

// identify tells whose a request is, or with which challenge it is answered, or what
// is wrong with the certificate of its connection.
func (by *guard) identify(ctx context.Context, r *http.Request) (p *policy.Principal, _ *identity.Challenge, err error) {
	p = anonymous
	if by.tls != nil && by.tls.authorities != nil {
		if p, err = by.tls.certified(r, time.Now()); err != nil {
			return nil, nil, err
		}
	}
	if by.auth == nil {
		return p, nil, nil
	}
	p, challenge := by.auth.Authenticate(ctx, r)
	return p, challenge, nil
}

// challenged answers a request with a challenge. line is what is known for the audit,
// which is spared those who showed nothing: many a client begins so.
func (g *Gateway) challenged(w http.ResponseWriter, r *http.Request, c *identity.Challenge, line telemetry.AuditLine) {
	g.tel.CallRejected(c.Reason())
	if c.Code != "" && g.tel.Auditing() {
		line.Kind, line.Client = auditSignIn, r.RemoteAddr
		line.Effect, line.Error, line.Executed = string(policy.Deny), c.Reason(), string(upstream.ExecutedNo)
		g.tel.Audit(line)
	}
	c.Write(w, r)
}

// serveMetadata tells clients where to get a token (RFC 9728). It is at the
// well-known path of the endpoint, under the path that it has here and under the one
// that clients know.
func (g *Gateway) serveMetadata(w http.ResponseWriter, r *http.Request) {
	by := g.guard.Load()
	if why := by.refuses(r); why != "" {
		plainText(w, http.StatusForbidden, why)
		return
	}
	if by.auth == nil {
		plainText(w, http.StatusNotFound, "nothing here: nobody needs to sign in")
		return
	}
	view, ok := g.describes("/" + r.PathValue("rest"))
	if !ok {
		plainText(w, http.StatusNotFound, "nothing here: the MCP endpoint is "+g.cfg.Load().Server.Path)
		return
	}
	r.SetPathValue("view", view)
	by.auth.Metadata().ServeHTTP(w, r)
}

// describes tells whether what follows the well-known path is the path of the
// endpoint, here or as clients know it, of the older transport, or of nothing; and
// which view below the endpoint it is, "" for none.
func (g *Gateway) describes(path string) (view string, ok bool) {
	s := &g.cfg.Load().Server
	paths := []string{s.Path}
	if u, err := url.Parse(s.PublicURL); err == nil && u.Host != "" {
		paths = append(paths, u.Path)
	}
	for _, p := range paths {
		p = strings.TrimSuffix(p, "/")
		if path == p || strings.HasPrefix(path, p+"/") {
			return strings.TrimPrefix(path[len(p):], "/"), true
		}
	}
	return "", path == "/" || path == "/sse"
}

// overstepped answers a call that the credential of its request does not allow, if
// that is so, and reports it (MCP 2026-07-28 basic/authorization, "Scope Challenge
// Handling"). Nothing has seen the call before.
func (g *Gateway) overstepped(w http.ResponseWriter, from visitor, x *exchange) bool {
	if from.auth() == nil {
		return false
	}
	for _, name := range g.namesOfTool(from.request.Context(), x) {
		if c := from.auth().Allowed(x.principal, name); c != nil {
			p := x.principal
			g.dismissed(x, outcome{Type: c.Reason()})
			g.challenged(w, from.request, c, telemetry.AuditLine{
				Issuer: p.Issuer, Principal: p.Subject, Name: p.Name, Credential: p.Credential,
				Session: x.sessionKey(), Method: x.method, Exposed: clipURI(name), Reason: c.Needs(),
			})
			return true
		}
	}
	return false
}

// namesOfTool are the names by which the rules of the configuration may know the tool
// that is called: as the client calls it, and as it is called where nothing is
// filtered or renamed. Whoever comes by another path gets no other rights.
func (g *Gateway) namesOfTool(ctx context.Context, x *exchange) []string {
	if x.method != "tools/call" {
		return nil
	}
	asked := x.text(x.msg.Name)
	r, ok := x.catalog.Tool(asked)
	if !ok {
		g.awaitLists(ctx, x) // as the call itself would
		r, ok = x.catalog.Tool(asked)
	}
	if !ok || x.catalog == x.view.catalog {
		return []string{asked}
	}
	names := []string{asked}
	if whole := x.view.names.of(x.view.catalog, r); whole != "" {
		return append(names, whole)
	}
	// There another tool has its name.
	if u := x.view.upstreams[r.Upstream]; u != nil {
		if p := u.Config().NamePrefix(); p != "" {
			names = append(names, p+x.view.cfg.Names.Separator+r.Target)
		}
	}
	return append(names, r.Target)
}

// wholeNames are the names of tools in the catalog of the whole gateway, by where
// they lead. They are collected when the first is asked for.
type wholeNames struct {
	once sync.Once
	by   map[[2]string]string
}

func (n *wholeNames) of(whole *router.Catalog, r *router.Route) string {
	n.once.Do(func() {
		n.by = make(map[[2]string]string)
		for _, e := range whole.Entries(router.Tools) {
			n.by[[2]string{e.Upstream, e.Name}] = e.Exposed
		}
	})
	return n.by[[2]string{r.Upstream, r.Target}]
}
