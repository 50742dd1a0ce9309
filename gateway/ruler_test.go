package gateway

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// ruler is a policy that a test scripts. What is nil lets all pass.
type ruler struct {
	before func(context.Context, *policy.Call) error
	after  func(context.Context, *policy.Call, *policy.Answer) error

	asked, done, closed atomic.Int64

	mu   sync.Mutex
	seen []policy.Call
}

func (r *ruler) Before(ctx context.Context, c *policy.Call) error {
	r.asked.Add(1)
	r.mu.Lock()
	r.seen = append(r.seen, policy.Call{
		Principal: c.Principal, Session: c.Session, Profile: c.Profile, Method: c.Method, Upstream: c.Upstream, Tags: c.Tags,
		Target: c.Target, Exposed: c.Exposed, Resumed: c.Resumed, Definition: c.Definition, Message: c.Message,
	})
	r.mu.Unlock()
	if r.before == nil {
		return nil
	}
	return r.before(ctx, c)
}

func (r *ruler) After(ctx context.Context, c *policy.Call, a *policy.Answer) error {
	if r.after == nil {
		return nil
	}
	return r.after(ctx, c, a)
}

func (r *ruler) Done(*policy.Call) { r.done.Add(1) }

func (r *ruler) Close() error { r.closed.Add(1); return nil }

// calls are those that it was asked about so far.
func (r *ruler) calls() []policy.Call {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// last is the call that it was asked about last.
func (r *ruler) last() policy.Call {
	all := r.calls()
	return all[len(all)-1]
}

// customs is a ruler that also looks at what servers send.
type customs struct {
	ruler
	received func(context.Context, *policy.ServerMessage) error
}

func (c *customs) Received(ctx context.Context, m *policy.ServerMessage) error {
	return c.received(ctx, m)
}

// censor refuses what has the word "forbidden" in it, and writes "fine" for "foul".
func censor(_ context.Context, m *policy.ServerMessage) error {
	p := string(m.Params())
	if strings.Contains(p, "forbidden") {
		return &policy.Denial{Reason: "it has a word that is not spoken here"}
	}
	if strings.Contains(p, "foul") {
		return m.Replace([]byte(strings.ReplaceAll(p, "foul", "fine")))
	}
	return nil
}

// inspector is a ruler that also looks at what upstreams offer.
type inspector struct {
	ruler
	vet func([]*policy.Definition) []policy.Verdict
}

func (i *inspector) Vet(all []*policy.Definition) []policy.Verdict { return i.vet(all) }

// step is the policy as the one of a chain, under the name that governed gives it.
func step(name string, p policy.Policy) policy.Step { return policy.Step{Name: name, Policy: p} }

// askingTool answers tools/call with what f does.
func askingTool(f func(context.Context, *upstream.Request) (json.RawMessage, error)) func(context.Context, *linktest.Link, string, *upstream.Request) (json.RawMessage, error) {
	return func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		return f(ctx, r)
	}
}

func denies(context.Context, *policy.Call) error {
	return &policy.Denial{Reason: "not on my watch"}
}
