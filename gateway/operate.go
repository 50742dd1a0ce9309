package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// Start starts upstreams, and what they depend on. As with each order, there is
// an outcome for each name, in their order, and the failure of one leaves the
// others as they are. It returns when the orders are given or, with o.Wait, when
// all outcomes are known or ctx is done; o.Timeout is the caller's to put into ctx.
func (g *Gateway) Start(ctx context.Context, o admin.Order) []admin.Outcome {
	return g.obey(ctx, upstream.VerbStart, o)
}

// Stop stops upstreams until they are started again, also across reloads.
func (g *Gateway) Stop(ctx context.Context, o admin.Order) []admin.Outcome {
	verb := upstream.VerbStop
	if o.Force {
		verb = upstream.VerbKill
	}
	return g.obey(ctx, verb, o)
}

// Restart stops and starts upstreams and forgets their failed attempts.
func (g *Gateway) Restart(ctx context.Context, o admin.Order) []admin.Outcome {
	return g.obey(ctx, upstream.VerbRestart, o)
}

// order is what one upstream was ordered.
type order struct {
	*upstream.Order
	of *upstream.Upstream
}

// obey gives an order to all at once.
func (g *Gateway) obey(ctx context.Context, verb upstream.Verb, o admin.Order) []admin.Outcome {
	t := g.tally(o)
	names := t.known()
	word := string(verb)
	if verb == upstream.VerbKill {
		word = "stop by force"
	}
	g.ordered(ctx, word, names)
	given := make(map[string]order, len(names))
	ups := make(map[string]*upstream.Upstream, len(names))
	for _, name := range names {
		ups[name] = g.set.Upstream(name)
	}
	for _, x := range g.set.Order(verb, names...) {
		if u := ups[x.Name]; u != nil {
			given[x.Name] = order{x, u}
		}
	}
	t.run(func(name string) admin.Outcome {
		x, ok := given[name]
		if !ok { // it was removed just now
			return admin.Outcome{Name: name, Error: g.noUpstream(name).Fault()}
		}
		return g.settled(ctx, x, verb, o.Wait)
	})
	return t.list
}

// settled is the outcome of an order. One that was waited for shows in the lists of
// clients already: who starts an upstream can call its tools then.
func (g *Gateway) settled(ctx context.Context, x order, verb upstream.Verb, wait bool) admin.Outcome {
	out := admin.Outcome{Name: x.Name, OK: true, Done: wait, With: x.With, Left: x.Left}
	if wait {
		if err := x.Wait(ctx); err != nil {
			out.OK = false
			out.Done, out.Error = failure(ctx, x.of, verb, err)
		}
		g.Alive(ctx)
	}
	out.State = string(x.of.Status().State)
	return out
}

// failure says why an order has no good end. done is false if it may still have
// one.
func failure(ctx context.Context, u *upstream.Upstream, verb upstream.Verb, err error) (done bool, f *admin.Fault) {
	var start *upstream.StartError
	var call *upstream.CallError
	stopping := verb == upstream.VerbStop || verb == upstream.VerbKill
	switch {
	case errors.As(err, &start) && stopping:
		return true, &admin.Fault{Code: admin.CodeStopFailed, Detail: start.Error(), Mend: "its process outlived SIGKILL: look for it with ps"}
	case errors.As(err, &start) && u.Status().Failure != nil && u.Status().Failure.Reason == admin.NeedsAuth:
		return true, &admin.Fault{Code: admin.CodeStartFailed, Detail: start.Error()} // it says how to mend it
	case errors.As(err, &start):
		return true, &admin.Fault{Code: admin.CodeStartFailed, Detail: start.Error(), Mend: "`interlock doctor " + u.Name() + "` explains it"}
	case errors.As(err, &call):
		return true, &admin.Fault{Code: admin.CodeOvertaken, Detail: call.Text}
	case ctx.Err() != nil:
		return false, &admin.Fault{
			Code: admin.CodeWaitTimeout, Detail: "it is still " + string(u.Status().State),
			Mend: "it goes on: `interlock status " + u.Name() + "` shows how it ends",
		}
	}
	return true, &admin.Fault{Code: admin.CodeInternal, Detail: err.Error()}
}

// ordered notes an order, and who gave it.
func (g *Gateway) ordered(ctx context.Context, what string, names []string) {
	who := by(ctx)
	for _, name := range names {
		g.log.InfoContext(ctx, "operator's order", telemetry.EventName, telemetry.LogOrder, "order", what, "upstream", name, "by", who)
		g.acted(ctx, what, name)
		g.happened(admin.Event{Kind: "order", Upstream: name, Text: what + " of " + name + " ordered by " + who})
	}
}

// by names who asks for what ctx is for.
func by(ctx context.Context) string {
	if who := admin.CallerOf(ctx).Who; who != "" {
		return who
	}
	return "the program"
}

// noUpstream is the error of a name that no upstream has.
func (g *Gateway) noUpstream(name string) *admin.Error {
	e := &admin.Error{
		Code: admin.CodeUnknownUpstream, Detail: fmt.Sprintf("no upstream is named %.128q", name), Mend: "`interlock list` shows the names",
	}
	if c := g.cfg.Load().Upstream(name); c != nil && !c.Enabled {
		return &admin.Error{Code: admin.CodeDisabled, Detail: name + " is disabled", Mend: "set enabled: true and reload"}
	}
	if c := g.overlay.files.Load().Upstream(name); c != nil && c.Enabled {
		e.Detail, e.Mend = name+" was removed at run time", "it is back when its entry in the file changes, or when the gateway restarts"
		return e
	}
	if near := g.set.Near(name); len(near) > 0 {
		e.Mend = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return e
}

// tally collects the outcomes of an order.
type tally struct {
	list []admin.Outcome
	each func(admin.Outcome)
}

// tally begins the outcomes of o: what cannot be ordered has its own already.
func (g *Gateway) tally(o admin.Order) *tally {
	names := o.Names
	if o.All {
		names = nil
		for _, u := range g.set.Upstreams() {
			names = append(names, u.Name())
		}
	}
	t := &tally{each: o.Each}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		out := admin.Outcome{Name: name}
		switch {
		case g.set.Upstream(name) == nil:
			out.Error = g.noUpstream(name).Fault()
		case g.draining.Load():
			out.Error = &admin.Fault{Code: admin.CodeDraining, Detail: "the gateway is shutting down"}
		}
		t.list = append(t.list, out)
	}
	return t
}

// known are the names that an order can be given to.
func (t *tally) known() []string {
	var names []string
	for _, out := range t.list {
		if out.Error == nil {
			names = append(names, out.Name)
		}
	}
	return names
}

// run has f find out the outcome of each known name, all at the same time, and
// tells of each as it comes.
func (t *tally) run(f func(name string) admin.Outcome) {
	type found struct {
		i   int
		out admin.Outcome
	}
	came := make(chan found)
	waiting := 0
	for i, out := range t.list {
		if out.Error == nil {
			waiting++
			go func() { came <- found{i, f(out.Name)} }()
			continue
		}
		t.tell(out)
	}
	for range waiting {
		x := <-came
		t.list[x.i] = x.out
		t.tell(x.out)
	}
}

func (t *tally) tell(out admin.Outcome) {
	if t.each != nil {
		t.each(out)
	}
}
