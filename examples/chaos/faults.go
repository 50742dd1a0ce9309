package main

import (
	"context"
	"fmt"
	"os"
	"time"
)

// faultKind is a fault that a schedule may hold.
type faultKind struct {
	name string
	hits func(kind) bool // whom, nil for all
	// network, if not nil, makes the way to a remote bad until the function that
	// it returns is called.
	network func(p *peer) (mend func())
	// inject makes it happen to p, and returns when it is over.
	inject func(ctx context.Context, r *run, p *peer, e event)
}

func children(k kind) bool       { return !k.remote }
func remotes(k kind) bool        { return k.remote }
func legacyRemotes(k kind) bool  { return k.remote && !k.modern }
func legacyChildren(k kind) bool { return !k.remote && !k.modern }
func pausable(k kind) bool       { return !k.remote && canPause }

// faults are all kinds. A schedule draws from them in this order: a new one goes
// to the end, so that old seeds stay what they were as far as that can be.
var faults = []faultKind{
	{"kill -9", children, nil, func(ctx context.Context, r *run, p *peer, _ event) {
		if c, err := os.FindProcess(p.pid()); err == nil {
			_ = c.Kill()
		}
		wait(ctx, time.Second)
	}},
	{"stop -STOP", pausable, nil, func(ctx context.Context, r *run, p *peer, e event) {
		c, err := os.FindProcess(p.pid())
		if err != nil {
			return
		}
		pauseProcess(c)
		wait(ctx, e.For)
		unpauseProcess(c)
	}},
	mode("hang", nil, "hang"),
	mode("deaf", nil, "deaf"),
	mode("slow", nil, "slow=400"),
	mode("noise", children, "noise", "glued"),
	mode("answers thrice", children, "dup"),
	mode("malformed answers", nil, "both"),
	mode("empty answers", nil, "neither"),
	mode("exits at the handshake", legacyChildren, "exitoninit"),
	mode("HTTP 500", remotes, "status=500"),
	mode("HTTP 502", remotes, "status=502"),
	mode("HTTP 429", remotes, "retry=1"),
	mode("HTML", remotes, "html"),
	mode("another's id", remotes, "wrongid"),
	mode("cut before the result", remotes, "cutbefore"),
	mode("cut in the result", remotes, "cutin"),
	mode("cut after the result", remotes, "cutafter"),
	mode("closed without a word", remotes, "reset"),
	{"session forgotten", legacyRemotes, nil, func(ctx context.Context, _ *run, p *peer, _ event) {
		p.fake.Forget()
		wait(ctx, time.Second)
	}},
	toxic("reset by peer", `{"name":"reset","type":"reset_peer","attributes":{"timeout":20}}`),
	toxic("reset after bytes", `{"name":"limit","type":"limit_data","attributes":{"bytes":700}}`),
	toxic("black hole", `{"name":"hole","type":"timeout","attributes":{"timeout":0}}`),
	toxic("latency", `{"name":"latency","type":"latency","attributes":{"latency":300,"jitter":200}}`),
	toxic("1 KB/s", `{"name":"rate","type":"bandwidth","attributes":{"rate":1}}`),
	network("refused", func(p *peer) func() {
		accept := p.proxy.refuse()
		return func() { p.fake.Restarted(); accept() }
	}),
	order("restart"),
	{"operator stop, start", nil, nil, func(ctx context.Context, r *run, p *peer, e event) {
		r.orders.Lock() // an operator does one thing after the other
		defer r.orders.Unlock()
		r.try(ctx, "stop", p)
		wait(ctx, e.For)
		r.try(context.WithoutCancel(ctx), "start", p)
	}},
	{"reload, a live key", nil, nil, func(ctx context.Context, r *run, p *peer, e event) {
		r.reload(ctx, func(u map[string]map[string]any) {
			change(u, p, map[string]any{"call_timeout": fmt.Sprintf("%dms", 3000+e.Value)})
		})
	}},
	{"reload, a restart", nil, nil, func(ctx context.Context, r *run, p *peer, e event) {
		key, value := "env", any(map[string]any{"CHAOS": fmt.Sprint(e.Value)})
		if p.remote {
			key, value = "headers", map[string]any{"X-Chaos": fmt.Sprint(e.Value)}
		} else {
			value = with(p.config()["env"].(map[string]any), value.(map[string]any))
		}
		r.reload(ctx, func(u map[string]map[string]any) { change(u, p, map[string]any{key: value}) })
	}},
	{"reload, removed and added", nil, nil, func(ctx context.Context, r *run, p *peer, e event) {
		var was map[string]any
		r.reload(ctx, func(u map[string]map[string]any) { was = u[p.name]; delete(u, p.name) })
		wait(ctx, e.For)
		r.reload(ctx, func(u map[string]map[string]any) {
			if was != nil { // it had been removed already
				u[p.name] = was
			}
		})
	}},
	{"reload, invalid", nil, nil, func(_ context.Context, r *run, _ *peer, e event) {
		r.spoil([]string{`{"upstreams": {`, `{"upstreams":{"x":{"comand":"sh"}}}`, ``, `{"upstreams":{"a":{"command":"x","depends_on":["a"]}}}`}[e.Value%4])
	}},
}

// kindOf is the kind with a name.
func kindOf(name string) faultKind {
	for _, f := range faults {
		if f.name == name {
			return f
		}
	}
	panic("chaos: no fault is called " + name)
}

// change sets keys of a peer that is in the file.
func change(upstreams map[string]map[string]any, p *peer, keys map[string]any) {
	if was := upstreams[p.name]; was != nil {
		upstreams[p.name] = with(was, keys)
	}
}

// mode is a fault that a server makes itself as long as it lasts.
func mode(name string, hits func(kind) bool, modes ...string) faultKind {
	return faultKind{name, hits, nil, func(ctx context.Context, _ *run, p *peer, e event) {
		end := p.begin(name, modes...)
		wait(ctx, e.For)
		end()
	}}
}

// network is a fault of the way to a remote as long as it lasts.
func network(name string, bad func(p *peer) (mend func())) faultKind {
	return faultKind{name, remotes, bad, func(ctx context.Context, _ *run, p *peer, e event) {
		mend := bad(p)
		wait(ctx, e.For)
		mend()
	}}
}

// toxic is such a fault in toxiproxy's words.
func toxic(name, what string) faultKind {
	return network(name, func(p *peer) func() {
		remove, err := p.proxy.add(what)
		if err != nil {
			panic(err) // it is not toxiproxy's language
		}
		return remove
	})
}

func order(verb string) faultKind {
	return faultKind{"operator " + verb, nil, nil, func(ctx context.Context, r *run, p *peer, _ event) {
		r.orders.Lock()
		defer r.orders.Unlock()
		r.try(ctx, verb, p)
	}}
}

// wait blocks for d, or until ctx is done.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
