package gateway

import (
	"context"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// SignedIn implements admin.SignIns: somebody signed in to upstreams, or out, in
// another process. What is meant to be up, and is not, is started.
func (g *Gateway) SignedIn(ctx context.Context, o admin.Order) []admin.Outcome {
	t := g.tally(o)
	for _, name := range t.known() {
		g.log.InfoContext(ctx, "operator's order", telemetry.EventName, telemetry.LogOrder, "order", "look at sign-ins", "upstream", name, "by", by(ctx))
		if err := g.signIns.look(ctx, name); err != nil {
			g.log.WarnContext(ctx, "sign-ins of principals could not be listed", "upstream", name, "error", err)
		}
	}
	t.run(func(name string) admin.Outcome {
		u := g.set.Upstream(name)
		if u == nil { // it was removed just now
			return admin.Outcome{Name: name, Error: g.noUpstream(name).Fault()}
		}
		if !u.Status().Desired || g.signIns.gone(oauth.Key{Upstream: name}) {
			return admin.Outcome{Name: name, OK: true, Done: true, State: string(u.Status().State)}
		}
		for _, x := range g.set.Order(upstream.VerbStart, name) {
			return g.settled(ctx, order{x, u}, upstream.VerbStart, o.Wait)
		}
		return admin.Outcome{Name: name, Error: g.noUpstream(name).Fault()}
	})
	return t.list
}

// configOf is how an upstream is signed in to.
func (s *signIns) configOf(name string) oauth.Config {
	if u := s.g.set.Upstream(name); u != nil {
		return u.Config().Auth
	}
	return oauth.Config{}
}

// targetOf returns what is signed in to at an upstream, nil for nothing.
func (s *signIns) targetOf(name string) *oauth.Target {
	if u := s.g.set.Upstream(name); u != nil {
		return s.target(u.Config())
	}
	return nil
}

// view is the gateway's own sign-in as the admin API shows it, nil for an upstream
// that knows none.
func (s *signIns) view(c *upstream.Config) *admin.SignIn {
	if s.target(c) == nil {
		return nil
	}
	st := s.accounts.State(oauth.Key{Upstream: c.Name})
	v := &admin.SignIn{
		State: admin.NotAsked, Flow: string(c.Auth.Flow), Per: string(c.Auth.Per), Issuer: st.Issuer, Scopes: st.Scopes,
		Expires: st.Expires, Renewable: st.Renewable, Error: st.Err,
	}
	if v.Flow == "" {
		v.Flow = string(oauth.AuthorizationCode)
	}
	if v.Per == "" {
		v.Per = string(oauth.PerGateway)
	}
	if st.Signed {
		v.State = admin.SignedIn
	}
	if n := st.Needs; n != nil {
		v.Why, v.How = string(n.Why), n.Mend(c.Auth.Flow)
		if n.Why != oauth.MoreScope { // with which the token goes on to be used
			v.State = admin.NeedsAuth
		}
		if n.Scopes != nil {
			v.Scopes = n.Scopes
		}
		if v.Issuer == "" {
			v.Issuer = n.Issuer
		}
	}
	return v
}
