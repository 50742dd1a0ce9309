package gateway

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
)

// Add adds the upstreams of o to those that run, and keeps them. All are valid or
// none is added; one whose name is taken has an outcome that says so. The error is
// an *admin.Error, and then nothing has changed.
func (g *Gateway) Add(ctx context.Context, o admin.AddOrder) ([]admin.Outcome, error) {
	if g.draining.Load() {
		return nil, draining()
	}
	x, err := g.extend(ctx, o)
	if err != nil {
		return nil, err
	}
	t := &tally{each: o.Each}
	for _, e := range x.Added {
		t.list = append(t.list, admin.Outcome{Name: e.Name})
	}
	for _, name := range x.Existing {
		t.list = append(t.list, admin.Outcome{Name: name, State: g.stateNow(name), Error: &admin.Fault{
			Code: admin.CodeExists, Detail: "there is an upstream named " + name + " already", Mend: g.makeRoom(name),
		}})
	}
	notes := x.Config.Warnings
	t.run(func(name string) admin.Outcome {
		out := admin.Outcome{Name: name, OK: true, Done: o.Wait}
		if u := g.set.Upstream(name); u != nil {
			if o.Wait && u.Config().Start != upstream.OnDemand {
				for _, x := range g.set.Order(upstream.VerbStart, name) {
					out = g.settled(ctx, order{x, u}, upstream.VerbStart, o.Wait)
				}
			}
			out.State = string(u.Status().State)
		} else {
			out.Notes = append(out.Notes, "it is disabled: enabled is false")
		}
		for _, w := range notes {
			if len(x.Added) == 1 || strings.Contains(w.Key+".", "."+name+".") {
				out.Notes = append(out.Notes, config.Problem{Text: w.Text, Mend: w.Mend}.String())
			}
		}
		return out
	})
	return t.list, nil
}

// extend makes what runs more by the entries of o.
func (g *Gateway) extend(ctx context.Context, o admin.AddOrder) (*config.Extension, error) {
	g.reload.Lock()
	defer g.reload.Unlock()
	x, err := g.cfg.Load().Extend(o.Entries, config.ExtendOptions{
		Dir: dirOf(g.overlay.files.Load()), Taken: g.overlay.taken(), Literal: !o.Commands,
	})
	if refused := (*config.Refused)(nil); errors.As(err, &refused) {
		return nil, &admin.Error{
			Code: admin.CodeNeedsSocket, Errors: configErrors(refused.Errors),
			Detail: "commands, and values that are read from variables or files, are taken over the unix socket alone",
			Mend:   "send it over the unix socket, or put it into the file",
		}
	} else if err != nil {
		return nil, invalid(err)
	}
	if len(x.Added) == 0 {
		return x, nil
	}
	added := append(slices.Clone(g.overlay.added), x.Added...)
	if err := g.overlay.keep(added); err != nil {
		return nil, notKept(err)
	}
	if err := g.adopt(x.Config); err != nil {
		_ = g.overlay.keep(g.overlay.added) // it was writable a moment ago
		return nil, err
	}
	g.overlay.added = added
	who := by(ctx)
	for _, e := range x.Added {
		g.log.InfoContext(ctx, "upstream added", "upstream", e.Name, "by", who)
		g.acted(ctx, "add", e.Name)
		g.happened(admin.Event{Kind: "added", Upstream: e.Name, Text: e.Name + " was added by " + who})
	}
	return x, nil
}

// Remove stops upstreams and forgets them: what was added is dropped from what is
// kept; what the file has is left out until the gateway restarts or its entry
// changes. One that others depend on is removed together with them only.
func (g *Gateway) Remove(ctx context.Context, o admin.Order) []admin.Outcome {
	t, gone := g.takeOut(ctx, o)
	t.run(func(name string) admin.Outcome {
		out, x := admin.Outcome{Name: name, OK: true, Done: o.Wait}, gone[name]
		if x.file {
			out.Notes = []string{"the file has it: it is back when its entry there changes, or when the gateway restarts"}
		}
		if x.stop == nil || !o.Wait {
			return out
		}
		var call *upstream.CallError
		if err := x.stop.Wait(ctx); err != nil && !errors.As(err, &call) { // it is gone: that is what was wanted
			out.OK = false
			out.Done, out.Error = failure(ctx, x.of, upstream.VerbStop, err)
		}
		return out
	})
	return t.list
}

// departed is an upstream on its way out.
type departed struct {
	of   *upstream.Upstream // nil if it was disabled, as is stop
	stop *upstream.Order
	file bool
}

// takeOut removes what can be removed, without waiting for its end.
func (g *Gateway) takeOut(ctx context.Context, o admin.Order) (*tally, map[string]departed) {
	g.reload.Lock()
	defer g.reload.Unlock()
	cfg := g.cfg.Load()
	t := g.leaving(cfg, o)
	names := t.known()
	if len(names) == 0 {
		return t, nil
	}
	left := slices.DeleteFunc(slices.Clone(g.overlay.added), func(e config.Entry) bool { return slices.Contains(names, e.Name) })
	if len(left) < len(g.overlay.added) {
		if err := g.overlay.keep(left); err != nil {
			g.failAll(t, notKept(err))
			return t, nil
		}
	}
	g.ordered(ctx, "removal", names)
	gone := make(map[string]departed, len(names))
	for _, name := range names {
		gone[name] = departed{of: g.set.Upstream(name), file: g.source(name) == "file"}
	}
	verb := upstream.VerbStop
	if o.Force {
		verb = upstream.VerbKill
	}
	for _, x := range g.set.Order(verb, names...) {
		d := gone[x.Name]
		d.stop = x
		gone[x.Name] = d
	}
	next := *cfg
	next.Upstreams = slices.DeleteFunc(slices.Clone(cfg.Upstreams), func(u upstream.Config) bool { return slices.Contains(names, u.Name) })
	if err := g.adopt(&next); err != nil {
		_ = g.overlay.keep(g.overlay.added) // it was writable a moment ago
		g.failAll(t, err)
		return t, nil
	}
	g.overlay.added = left
	for _, name := range names {
		if c := g.overlay.files.Load().Upstream(name); c != nil {
			g.overlay.removed[name] = *c
		}
		g.acted(ctx, "remove", name)
		g.happened(admin.Event{Kind: "removed", Upstream: name, Text: name + " was removed by " + by(ctx)})
	}
	return t, gone
}

// failAll makes e the fault of all that has none.
func (g *Gateway) failAll(t *tally, e *admin.Error) {
	for i := range t.list {
		if out := &t.list[i]; out.Error == nil {
			out.Error, out.State = e.Fault(), g.stateNow(out.Name)
		}
	}
}

// leaving begins the outcomes of a removal: of names that are not there, and of
// those that others need.
func (g *Gateway) leaving(cfg *config.Config, o admin.Order) *tally {
	t := &tally{each: o.Each}
	names := o.Names
	if o.All {
		names = nil
		for i := range cfg.Upstreams {
			names = append(names, cfg.Upstreams[i].Name)
		}
		for _, e := range g.overlay.added {
			names = append(names, e.Name)
		}
	}
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		out := admin.Outcome{Name: name}
		switch {
		case cfg.Upstream(name) == nil && !g.overlay.has(name): // one that went stale is no upstream
			out.Error = g.noUpstream(name).Fault()
		case g.draining.Load():
			out.Error = draining().Fault()
		}
		t.list = append(t.list, out)
	}
	for again := true; again; {
		again = false
		gone := t.known()
		for i := range t.list {
			out := &t.list[i]
			if out.Error != nil {
				continue
			}
			if need := dependents(cfg, out.Name, gone); len(need) > 0 {
				again = true
				out.State = g.stateNow(out.Name)
				verb := " depends on it"
				if len(need) > 1 {
					verb = " depend on it"
				}
				out.Error = &admin.Fault{
					Code: admin.CodeHasDependents, Detail: strings.Join(need, ", ") + verb,
					Mend: "remove " + strings.Join(above(cfg, out.Name), " ") + " together, or only stop it",
				}
			}
		}
	}
	return t
}

// dependents are the upstreams that depend on one and are not among gone.
func dependents(cfg *config.Config, name string, gone []string) []string {
	var out []string
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		if u.Enabled && !slices.Contains(gone, u.Name) &&
			slices.ContainsFunc(u.DependsOn, func(d upstream.Dependency) bool { return d.On == name }) {
			out = append(out, u.Name)
		}
	}
	return out
}

// above are an upstream and all that depend on it, also through others.
func above(cfg *config.Config, name string) []string {
	out := []string{name}
	for i := 0; i < len(out); i++ {
		out = append(out, dependents(cfg, out[i], out)...)
	}
	return out
}

// makeRoom says how a name becomes free.
func (g *Gateway) makeRoom(name string) string {
	if g.source(name) == "file" {
		return "it is in the file, which wins: change it there, or choose another name"
	}
	return "`interlock remove " + name + "` first, or choose another name"
}

// source tells where an upstream comes from: file or added.
func (g *Gateway) source(name string) string {
	if g.overlay.files.Load().Upstream(name) == nil {
		return "added"
	}
	return "file"
}

// stateNow is the state of an upstream, "" if there is none.
func (g *Gateway) stateNow(name string) string {
	if u := g.set.Upstream(name); u != nil {
		return string(u.Status().State)
	}
	return ""
}

func draining() *admin.Error {
	return &admin.Error{Code: admin.CodeDraining, Detail: "the gateway is shutting down"}
}

func notKept(err error) *admin.Error {
	return &admin.Error{
		Code: admin.CodeNotKept, Detail: "it cannot be kept, and nothing was changed: " + err.Error(), Mend: "see that state_dir can be written to", Err: err,
	}
}
