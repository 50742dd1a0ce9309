package gateway

import (
	"context"
	"time"

	"github.com/interlock-mcp/interlock/router"
)

// list answers from memory. Only the lists of a gateway that has just begun
// wait, for upstreams whose inventory was never learnt.
func (g *Gateway) list(ctx context.Context, x *exchange, k router.Kind) (answer, outcome) {
	if c := x.kindOf(x.msg.Cursor); c != 0 && c != '"' {
		return x.badParams("params.cursor must be a string")
	}
	g.awaitLists(ctx, x)
	for _, u := range x.inView() {
		u.Freshen()
	}
	find := x.catalog.Page
	if x.modern != nil {
		find = x.catalog.ModernPage
	}
	page, err := find(k, x.text(x.msg.Cursor))
	if err != nil {
		return x.badParams("params.cursor " + clipName(x.text(x.msg.Cursor)) + " is not one that this list gave: begin again without a cursor")
	}
	if x.modern != nil {
		return x.modernPage(page, x.catalog.Caching()), outcome{}
	}
	return resultOf(x.id(), page), outcome{}
}

// awaitLists blocks until every upstream has listed, or its time is up, and
// gives the exchange the newest view then.
func (g *Gateway) awaitLists(ctx context.Context, x *exchange) {
	select {
	case <-x.view.ready:
	default:
		g.waitFor(ctx, x.view.ready)
	}
	// Also when there was nothing to wait for: what made the lists ready may have
	// come just after the exchange took its view.
	x.view = g.view.Load()
	if c, ok := x.view.catalogFor(x.session.view, x.principal); ok {
		x.catalog = c
	}
}

// waitFor blocks until the lists are ready, list_wait is over or ctx is done.
func (g *Gateway) waitFor(ctx context.Context, ready <-chan struct{}) {
	left := time.Until(time.Unix(0, g.listsBy.Load()))
	if left <= 0 {
		return
	}
	t := time.NewTimer(left)
	defer t.Stop()
	select {
	case <-ready:
	case <-t.C:
	case <-ctx.Done():
	}
}
