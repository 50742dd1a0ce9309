// Package screen looks for what has no place in the texts of MCP servers: characters
// that nobody sees, changes of direction that make a text look like another one, escape
// sequences of terminals, names of other servers' tools, and texts beyond a size.
//
// It looks at definitions when they are offered, and at answers, errors and what servers
// send of themselves when they come. What it finds is reported, taken out, or reason to
// hide the definition or refuse the answer, as configured. What it takes out are whole
// characters inside of JSON strings; every other byte stays as it was. Escapes of JSON
// count as the characters that they stand for.
//
// It does not judge what a text says: words can be chosen freely, and no list of phrases
// is a boundary. It starts no goroutine.
package screen

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
)

// Policy is the policy. Make it with Config.New.
type Policy struct {
	c     Config
	log   *slog.Logger
	scope narrow.Scope

	definitions, results [rules]Action
	// cutting and taking are the rules of definitions and results that strip.
	cutting, taking [rules]bool

	mu    sync.Mutex // guards all below
	seen  map[*policy.Definition]*sight
	noted map[string]time.Time // when a report of an upstream's message was logged
}

// New makes the policy. It does not fail.
func (c *Config) New(env policy.Env) (policy.Policy, error) {
	f := c.filled()
	p := &Policy{c: f, log: env.Log, scope: narrow.New(f.Config), noted: make(map[string]time.Time)}
	for i, s := range f.Definitions.settings()[:rules] {
		p.definitions[i], p.cutting[i] = *s.value, *s.value == Strip
	}
	for i, s := range f.Results.settings()[:rules] {
		p.results[i], p.taking[i] = *s.value, *s.value == Strip
	}
	return p, nil
}

// Before lets every call pass.
func (p *Policy) Before(context.Context, *policy.Call) error { return nil }

// After looks at the answer.
func (p *Policy) After(_ context.Context, c *policy.Call, a *policy.Answer) error {
	raw := a.Result()
	if raw == nil {
		raw = a.Failure()
	}
	if !p.scope.Call(c) {
		return nil
	}
	return p.sift("answer", raw, a.Replace, c.Annotate)
}

// Received looks at what a server sends of itself.
func (p *Policy) Received(ctx context.Context, m *policy.ServerMessage) error {
	if !p.scope.Message(m) {
		return nil
	}
	return p.sift("message", m.Params(), m.Replace, func(name, value string) { p.report(ctx, m.Upstream, name, value) })
}

// reportEvery is how often what one upstream's messages have is logged.
const reportEvery = time.Minute

// report logs what was found in a message of a server, which has no notes.
func (p *Policy) report(ctx context.Context, upstream, name, value string) {
	p.mu.Lock()
	now := time.Now()
	due := now.Sub(p.noted[upstream]) >= reportEvery
	if due {
		p.noted[upstream] = now
	}
	p.mu.Unlock()
	if due {
		p.log.WarnContext(ctx, "found in what a server sent of itself", "upstream", upstream, "what", name, "found", value)
	}
}

// sift looks at an answer or message, notes what it finds, and takes out or refuses
// what is to be. Where there is nothing to find it costs one look, without
// allocations.
func (p *Policy) sift(what string, raw []byte, replace func([]byte) error, note func(name, value string)) error {
	if most := p.c.Limits.Result; most > 0 && int64(len(raw)) > most && p.c.Results.Size != Allow {
		if p.c.Results.Size == Block {
			return &policy.Denial{Reason: fmt.Sprintf("the %s has %d bytes, and this gateway lets %d through", what, len(raw), most)}
		}
		note("size", fmt.Sprintf("%d bytes", len(raw)))
	}
	if clean(raw) {
		return nil
	}
	s := scan{cutting: p.taking}
	s.json(raw)
	for r := range rules {
		f := &s.found[r]
		switch {
		case f.count == 0 || p.results[r] == Allow:
		case p.results[r] == Block:
			return &policy.Denial{Reason: "the " + what + " has " + f.say(r)}
		default:
			note(ruleNames[r], fmt.Sprintf("%U ×%d", f.first, f.count))
		}
	}
	if len(s.cuts) == 0 {
		return nil
	}
	return replace(s.stripped(raw))
}

var ruleNames = [rules]string{smuggled: "smuggled", invisible: "invisible", bidi: "bidi", control: "control", private: "private"}

// Vet looks at all that is offered; at each definition once.
func (p *Policy) Vet(all []*policy.Definition) []policy.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	seen := make(map[*policy.Definition]*sight, len(all))
	var tools owners
	if p.c.Definitions.Names != Allow {
		tools = ownersOf(all, int(p.c.Limits.Name))
	}
	var out []policy.Verdict
	for _, d := range all {
		if !p.about(d) {
			continue
		}
		s := p.seen[d]
		if s == nil {
			s = p.look(d)
		}
		seen[d] = s
		if v := p.verdict(d, s, tools); v.Effect != policy.Allow {
			out = append(out, v)
		}
	}
	p.seen = seen
	return out
}

// about reports whether the policy looks at d.
func (p *Policy) about(d *policy.Definition) bool {
	c := policy.Call{Upstream: d.Upstream, Target: d.Name}
	if d.Kind == policy.Tool {
		c.Method = "tools/call"
	}
	return p.scope.Call(&c)
}

// verdict is what a definition and the names of all tools make of it.
func (p *Policy) verdict(d *policy.Definition, s *sight, tools owners) policy.Verdict {
	action, reasons := s.action, s.reasons
	for _, w := range s.words {
		if u := tools.other(w, d.Upstream); u != "" {
			if weight(p.c.Definitions.Names) > weight(action) {
				action = p.c.Definitions.Names
			}
			reasons = append(slices.Clip(reasons), fmt.Sprintf("it names %.80q, a tool of upstream %q", w, u))
			break // one is enough to look at it
		}
	}
	v := policy.Verdict{Definition: d, Effect: policy.Allow, Reason: strings.Join(reasons, "; ")}
	switch action {
	case Hide:
		v.Effect = policy.Hide
	case Strip:
		v.Effect, v.Raw = policy.Change, s.raw
	case Report:
		v.Effect = policy.Report
	}
	return v
}
