package gateway

import (
	"context"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream"
)

// SignedIn implements admin.SignIns: somebody signed in at upstreams, or out, in
// another process. What is meant to be up, and is not, is started.
func (g *Gateway) SignedIn(ctx context.Context, o admin.Order) []admin.Outcome {
	t := g.tally(o)
	t.run(func(name string) admin.Outcome {
		u := g.set.Upstream(name)
		if u == nil { // it was removed just now
			return admin.Outcome{Name: name, Error: g.noUpstream(name).Fault()}
		}
		if !u.Status().Desired {
			return admin.Outcome{Name: name, OK: true, Done: true, State: string(u.Status().State)}
		}
		for _, x := range g.set.Order(upstream.VerbStart, name) {
			return settled(ctx, order{x, u}, upstream.VerbStart, o.Wait)
		}
		return admin.Outcome{Name: name, Error: g.noUpstream(name).Fault()}
	})
	return t.list
}
