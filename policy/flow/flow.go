// Package flow lets nothing leave once private and untrusted content have met: what
// an upstream with the tag private answered, and what one with the tag untrusted
// did, which may hold instructions. From then on requests to upstreams with the tag
// egress are refused, for as long as anything is remembered.
//
// What somebody has received is remembered when it is on its way to them, before
// they have it: answers and errors of calls, and what servers send of themselves.
// A request that went out before that is not called back. Lists do not count.
//
// A Policy starts no goroutine and may be used by many at once. It keeps what it
// knows in memory, for a bounded number of principals.
package flow

import (
	"context"
	"fmt"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/glob"
)

// kinds are the kinds of upstream that the policy knows, as bits.
type kinds uint8

const (
	private kinds = 1 << iota
	untrusted
	egress
)

// kindNames are the kinds by the places of their bits.
var kindNames = [3]string{"private", "untrusted", "egress"}

// Policy remembers what everybody received, and refuses.
type Policy struct {
	names     [3]string // of the tags, by the places of the kinds' bits
	tools     []toolTags
	require   kinds
	bySession bool
	memory    memory
}

type toolTags struct {
	of    glob.List
	kinds kinds
}

// Before refuses what would leave.
func (p *Policy) Before(_ context.Context, c *policy.Call) error {
	if p.kindsOfCall(c)&egress == 0 || quiet(c.Method) {
		return nil
	}
	denial := p.refusal(p.key(c.Principal, c.Session), c.Upstream)
	if denial == nil {
		return nil
	}
	return denial
}

// After remembers where an answer came from, be it a result or an error.
func (p *Policy) After(_ context.Context, c *policy.Call, _ *policy.Answer) error {
	if k := p.kindsOfCall(c) &^ egress; k != 0 && p.remember(p.key(c.Principal, c.Session), c.Upstream, k) {
		c.Annotate("met", "private and untrusted content")
	}
	return nil
}

// Received remembers where a message came from. It refuses a server's request that
// would have something leave with its answer.
func (p *Policy) Received(_ context.Context, m *policy.ServerMessage) error {
	if m.Principal == nil { // it is shown to nobody
		return nil
	}
	k := p.kindsOf(m.Tags)
	if m.Call != nil {
		k |= p.kindsOfCall(m.Call)
	}
	if k == 0 {
		return nil
	}
	key := p.key(m.Principal, m.Session)
	if k&egress != 0 && m.Message.ID.Ok() {
		if denial := p.refusal(key, m.Upstream); denial != nil {
			return denial
		}
	}
	if k &^= egress; k != 0 {
		p.remember(key, m.Upstream, k)
	}
	return nil
}

// quiet are the requests that carry nothing of the client's choice but what the
// gateway or the server chose before: they keep a session or a call going.
func quiet(method string) bool {
	switch method {
	case "tasks/get", "tasks/result", "tasks/list", "tasks/cancel", "logging/setLevel", "resources/unsubscribe", "ping":
		return true
	}
	return false
}

// refusal is the denial of what would leave through an upstream, nil for none.
func (p *Policy) refusal(key, upstream string) *policy.Denial {
	seen := p.memory.of(key, time.Now())
	if seen.kinds&p.require != p.require {
		return nil
	}
	var reason string
	switch p.require {
	case private:
		reason = fmt.Sprintf("private content of %s has been read", seen.private)
	case untrusted:
		reason = fmt.Sprintf("untrusted content of %s has been read", seen.untrusted)
	default:
		reason = fmt.Sprintf("private content of %s and untrusted content of %s have been read", seen.private, seen.untrusted)
	}
	return &policy.Denial{Reason: fmt.Sprintf("%s, so nothing may leave through %q", reason, upstream)}
}

// remember reports whether all kinds that are required have met by this.
func (p *Policy) remember(key, upstream string, k kinds) bool {
	before, after := p.memory.add(key, upstream, k, time.Now())
	return before&p.require != p.require && after&p.require == p.require
}

// key is whose content meets. All who are anonymous are one principal.
func (p *Policy) key(who *policy.Principal, session string) string {
	if !p.bySession || session == "" {
		return who.Key()
	}
	return who.Key() + "\x00\x00" + session
}

// kindsOfCall are those of what a call goes to.
func (p *Policy) kindsOfCall(c *policy.Call) kinds {
	k := p.kindsOf(c.Tags)
	if len(p.tools) > 0 && c.Method == "tools/call" {
		name := c.Upstream + separator + c.Target
		for i := range p.tools {
			if p.tools[i].of.Match(name) {
				k |= p.tools[i].kinds
			}
		}
	}
	return k
}

func (p *Policy) kindsOf(tags []string) kinds {
	var k kinds
	for _, tag := range tags {
		for i, name := range p.names {
			if tag == name {
				k |= 1 << i
			}
		}
	}
	return k
}
