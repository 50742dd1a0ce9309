package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/telemetry"
)

// effects are all that a decision can have, in the order in which they are shown.
var effects = [...]policy.Effect{policy.Allow, policy.Change, policy.Report, policy.Deny, policy.Hide, policy.Failed}

// score counts what one policy decided.
type score struct {
	counts [len(effects)]atomic.Uint64

	mu      sync.Mutex // guards the rest
	warned  time.Time  // when the log was last told that it could not decide
	unsaid  int        // how often it could not since
	lastSay string     // its last reason for anything but to allow
}

// scores are those of the policies in a chain, by name. The map never changes.
type scores map[string]*score

// newScores goes on counting for policies that were there before.
func newScores(steps []policy.Step, before scores) scores {
	t := make(scores, len(steps))
	for _, s := range steps {
		if t[s.Name] = before[s.Name]; t[s.Name] == nil {
			t[s.Name] = new(score)
		}
	}
	return t
}

// count counts a decision.
func (t *score) count(e policy.Effect) {
	for i := range effects {
		if effects[i] == e {
			t.counts[i].Add(1)
			return
		}
	}
}

// warnEvery is how often the log is told that a policy cannot decide.
const warnEvery = time.Minute

// warns reports whether the log is to be told of a failure now, and how many there
// were of which it was not.
func (t *score) warns(now time.Time) (unsaid int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.warned.IsZero() && now.Sub(t.warned) < warnEvery {
		t.unsaid++
		return 0, false
	}
	unsaid, t.unsaid, t.warned = t.unsaid, 0, now
	return unsaid, true
}

func (t *score) said(reason string) {
	t.mu.Lock()
	t.lastSay = reason
	t.mu.Unlock()
}

func (t *score) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lastSay
}

// Policies returns the policies in the order in which they are consulted before a
// call, and what they have decided.
func (g *Gateway) Policies() []admin.Policy {
	now := g.rules.now.Load()
	steps := now.steps()
	out := make([]admin.Policy, len(steps))
	for i, s := range steps {
		t := now.scores[s.Name]
		out[i] = admin.Policy{
			Name: s.Name, Kind: now.configs[i].Kind(), OnError: string(policy.Deny), DryRun: s.DryRun,
			Timeout: s.Timeout.Seconds(), Decisions: make(map[string]uint64), LastReason: t.last(),
		}
		if s.OnError == policy.Allow {
			out[i].OnError = string(policy.Allow)
		}
		if r, ok := s.Policy.(policy.Reporter); ok {
			out[i].State = r.State()
		}
		for n := range effects {
			if count := t.counts[n].Load(); count > 0 {
				out[i].Decisions[string(effects[n])] = count
			}
		}
	}
	return out
}

// observing returns what is told of each decision of a chain with these scores.
func (g *Gateway) observing(all scores) policy.Observer {
	return func(ctx context.Context, c *policy.Call, d policy.Decision) {
		t := all[d.Policy]
		t.count(d.Effect)
		g.tel.PolicyDecided(ctx, telemetry.PolicyDecision{
			Policy: d.Policy, Phase: string(d.Phase), Effect: string(d.Effect), Reason: d.Reason,
			DryRun: d.DryRun, Passed: d.Passed, Began: d.Began, Took: d.Took,
		})
		if d.Effect == policy.Allow {
			return
		}
		if d.Reason != "" {
			t.said(d.Reason)
		}
		var what string
		if c != nil {
			what = c.Method
			if r, ok := c.Kept(recordKey{}).(*record); ok {
				r.decided(&d)
			}
		}
		switch d.Effect {
		case policy.Failed:
			if ctx.Err() != nil { // nobody waits any more, and that is no fault of the policy
				return
			}
			if unsaid, ok := t.warns(d.Began); ok {
				g.log.WarnContext(ctx, "policy could not decide", telemetry.EventName, telemetry.LogPolicyFailed, "policy", d.Policy, "phase", string(d.Phase), "method", what,
					"passed", d.Passed, "error", d.Err, "also", unsaid)
			}
		case policy.Deny:
			g.log.DebugContext(ctx, "denied", telemetry.EventName, telemetry.LogDenied, "policy", d.Policy, "phase", string(d.Phase), "method", what, "reason", d.Reason, "dry_run", d.DryRun)
		}
	}
}

// recordKey is the key under which a call keeps its *record.
type recordKey struct{}

// record is what policies did to a call, for the audit.
type record struct {
	mu  sync.Mutex // guards all; a parked call's goroutine writes, too
	all []telemetry.AuditDecision
	// The decision that counts: the last that refused, changed or failed.
	effect policy.Effect
	policy string
	reason string
}

// decided notes a decision of another effect than to allow.
func (r *record) decided(d *policy.Decision) {
	if d.Phase == policy.PhaseReceived || d.Phase == policy.PhaseVet {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, telemetry.AuditDecision{
		Policy: d.Policy, Phase: string(d.Phase), Effect: string(d.Effect), Reason: d.Reason, DryRun: d.DryRun,
	})
	if d.DryRun || d.Effect == policy.Report {
		return
	}
	r.effect, r.policy, r.reason = d.Effect, d.Policy, d.Reason
}
