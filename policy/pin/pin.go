// Package pin holds what MCP servers offer against what somebody approved.
//
// The definition of every tool, of every prompt, and a server's instructions are
// hashed in their canonical form (RFC 8785) and compared with a lock file that people
// review: what is new, and what is not what it was, is served, hidden or blocked, as
// configured. What an upstream offers when it is first seen may be trusted. A definition
// that becomes again what was approved is approved; one that is gone is remembered.
//
// The file is read at the start, at each reload, and whenever definitions are vetted and
// it has changed; one that is not whole is an error, and what was read last counts.
// First uses are written by a goroutine that Close waits for, approvals before Approve
// returns. Nothing protects from who may write the file.
package pin

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// Policy is the policy. Make it with Config.New.
type Policy struct {
	c     Config
	log   *slog.Logger
	again func()
	file  string
	book  atomic.Pointer[book]

	disk sync.Mutex // held to write the file; it is taken before mu

	mu      sync.Mutex // guards all below, and who replaces the book
	mark    mark       // the file as it was read or written last
	unsaved map[key]*entry
	offered []*policy.Definition // what was vetted last
	said    map[*policy.Definition]said
	busy    bool   // first uses are about to be written
	ill     string // what was complained of last

	writing sync.WaitGroup
}

// said is a verdict, and what it came of.
type said struct {
	policy.Verdict
	state State
	entry *entry
	known bool
}

// New makes the policy. The error is a *LockError if the lock file is not whole.
func (c *Config) New(env policy.Env) (policy.Policy, error) {
	p := &Policy{c: c.filled(), log: env.Log, again: env.Again, file: c.File, unsaved: make(map[key]*entry)}
	if p.file == "" {
		if env.StateDir == "" {
			return nil, errors.New("there is no place for the lock file: set file, or state_dir")
		}
		p.file = filepath.Join(env.StateDir, FileName)
	}
	p.book.Store(newBook(nil))
	if err := p.Renew(); err != nil {
		return nil, err
	}
	return p, nil
}

// File is the path of the lock file.
func (p *Policy) File() string { return p.file }

// The reasons are read by models.
const (
	changedReason = "the definition of this is not the one that was approved; an operator has to review it (interlock pins diff)"
	newReason     = "nobody has approved this yet; an operator has to review it (interlock pins diff)"
)

var (
	errChanged = &policy.Denial{Reason: changedReason}
	errNew     = &policy.Denial{Reason: newReason}
)

// Before refuses calls of what is not as it was approved, unless that is served.
func (p *Policy) Before(_ context.Context, c *policy.Call) error {
	d := c.Definition
	if d == nil || !slices.Contains(p.c.Kinds, d.Kind) {
		return nil
	}
	b := p.book.Load()
	state, _ := b.judge(d)
	action, err := p.c.Changed, errChanged
	switch {
	case state == Approved:
		return nil
	case !b.known[d.Upstream]:
		action, err = Hide, errNew
	case state == New:
		action, err = p.c.Added, errNew
	}
	if action != Serve {
		return err
	}
	c.Annotate("pin", string(state))
	return nil
}

// After lets every answer pass.
func (p *Policy) After(context.Context, *policy.Call, *policy.Answer) error { return nil }

// Vet judges all that is offered, and approves what an upstream offers that was never
// seen, if that is configured.
func (p *Policy) Vet(all []*policy.Definition) []policy.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.reread(); err != nil {
		p.complain("the lock file is not read: what was read before counts", err)
	}
	offered := make([]*policy.Definition, 0, len(all))
	for _, d := range all {
		if slices.Contains(p.c.Kinds, d.Kind) {
			offered = append(offered, d)
		}
	}
	p.offered = offered
	p.firstUse(offered)
	b := p.book.Load()
	next := make(map[*policy.Definition]said)
	var out []policy.Verdict
	for _, d := range offered {
		state, e := b.judge(d)
		if state == Approved {
			continue
		}
		v, ok := p.said[d]
		if known := b.known[d.Upstream]; !ok || v.state != state || v.entry != e || v.known != known {
			v = said{p.verdict(d, state, e, known), state, e, known}
		}
		next[d] = v
		out = append(out, v.Verdict)
	}
	p.said = next
	return out
}

// verdict says what becomes of d.
func (p *Policy) verdict(d *policy.Definition, state State, e *entry, known bool) policy.Verdict {
	v := policy.Verdict{Definition: d, Effect: policy.Hide}
	if _, err := indented(d.Raw); err != nil {
		v.Reason = "it has no canonical form and cannot be pinned: " + fault(err)
		return v
	}
	action := p.c.Added
	if state == New {
		if v.Reason = "it is new, and was not approved"; !known {
			v.Reason, action = "its server was never seen before, and nothing of it was approved", Hide
		}
	} else {
		action = p.c.Changed
		v.Reason = "it is not what was approved on " + e.at.Format(time.DateOnly) + ": " + Difference([]byte(e.text), d.Raw)
	}
	switch {
	case action == Serve:
		v.Effect = policy.Report
	case action == Block && state == Changed && d.Kind != policy.Template:
		// What a template stands for is known by addresses alone, so it is hidden.
		v.Effect, v.Raw = policy.Change, e.asApproved()
	}
	return v
}

// firstUse approves what upstreams offer that were never seen. The caller holds mu.
func (p *Policy) firstUse(offered []*policy.Definition) {
	if p.c.First != Trust {
		return
	}
	b := p.book.Load()
	more := make(map[key]*entry)
	count := make(map[string]int)
	now := time.Now()
	for _, d := range offered {
		if b.known[d.Upstream] {
			continue
		}
		text, err := indented(d.Raw)
		if err != nil {
			continue
		}
		more[keyOf(d)] = newEntry(d, text, now, firstUse)
		count[d.Upstream]++
	}
	if len(more) == 0 {
		return
	}
	for name, n := range count {
		p.log.Info("what an upstream offers at its first use is approved", "upstream", name, "definitions", n, "file", p.file)
	}
	p.book.Store(b.with(more))
	maps.Copy(p.unsaved, more)
	p.saveBehind()
}

// Close waits until what was approved is written.
func (p *Policy) Close() error {
	p.writing.Wait()
	return nil
}
