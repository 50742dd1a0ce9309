package plugin

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/interlock-mcp/interlock/policy"
	policyv1 "github.com/interlock-mcp/interlock/policy/plugin/proto/v1"
)

const (
	maxReason = 500 // of a reason, in bytes
	maxNotes  = 32  // of one decision
	maxNote   = 256 // of a note's name and of its value, in bytes
	maxRetry  = 24 * time.Hour
)

// apply does what a plugin decided. An error that is no *policy.Denial says why that
// is no decision.
func apply(d *policyv1.Decision, replace func([]byte) error) error {
	switch d.GetVerdict() {
	case policyv1.Verdict_VERDICT_ALLOW:
	case policyv1.Verdict_VERDICT_DENY:
		reason := strings.TrimRight(clip(d.GetReason(), maxReason), ". ")
		if reason == "" {
			reason = "the policy refused it"
		}
		ms := min(max(d.GetRetryAfterMs(), 0), maxRetry.Milliseconds())
		return &policy.Denial{Reason: reason, RetryAfter: time.Duration(ms) * time.Millisecond}
	default:
		return fmt.Errorf("the plugin answered without a verdict (%d)", d.GetVerdict())
	}
	if d.Replace == nil {
		return nil
	}
	if v := jsontext.Value(d.Replace); v.Kind() != '{' || !v.IsValid() {
		return errors.New("what the plugin wants to put in its place is no JSON object")
	}
	if err := replace(d.Replace); err != nil {
		return fmt.Errorf("what the plugin wants to put in its place: %w", err)
	}
	return nil
}

// notes are those that a plugin made.
func notes(d *policyv1.Decision) []policy.Note {
	all := d.GetNotes()
	if len(all) == 0 {
		return nil
	}
	out := make([]policy.Note, 0, min(len(all), maxNotes))
	for _, n := range all[:min(len(all), maxNotes)] {
		if name := clip(n.GetName(), maxNote); name != "" {
			out = append(out, policy.Note{Name: name, Value: clip(n.GetValue(), maxNote)})
		}
	}
	return out
}

// clip is the beginning of s, printable and in one line.
func clip(s string, n int) string {
	s = printable([]byte(s[:min(len(s), 4*n)]))
	for len(s) > n {
		cut := n
		for cut > 0 && s[cut]&0xc0 == 0x80 { // inside of a character
			cut--
		}
		s = s[:cut]
	}
	return s
}

// callKey is the key under which a call's number is kept.
type callKey struct{ p *Plugin }

// call is what a plugin is told of a call.
func (p *Plugin) call(c *policy.Call) *policyv1.Call {
	out := outline(c)
	out.Id, out.Arguments = p.number(c), c.Arguments()
	if d := c.Definition; p.define && d != nil {
		out.Definition = &policyv1.Definition{Raw: d.Raw, Hash: d.Hash(), Trusted: d.Trusted}
	}
	return out
}

// outline is what never changes of a call.
func outline(c *policy.Call) *policyv1.Call {
	return &policyv1.Call{
		Principal: principal(c.Principal), Session: c.Session, Profile: c.Profile,
		Method: c.Method, Upstream: c.Upstream, Tags: c.Tags, Target: c.Target, Exposed: c.Exposed,
	}
}

// number is the number of a call, by which a plugin that saw it before knows it again.
func (p *Plugin) number(c *policy.Call) uint64 {
	if n, ok := c.Kept(callKey{p}).(uint64); ok {
		return n
	}
	n := p.calls.Add(1)
	if p.before && p.after {
		c.Keep(callKey{p}, n)
	}
	return n
}

// received is what a plugin is told of what a server sent.
func (p *Plugin) received(m *policy.ServerMessage) *policyv1.ReceivedRequest {
	out := &policyv1.ReceivedRequest{
		Session: m.Session, Upstream: m.Upstream, Tags: m.Tags, Method: m.Message.MethodName(), Params: m.Params(),
	}
	if m.Principal != nil {
		out.Principal = principal(m.Principal)
	}
	if m.Call != nil {
		out.Call = outline(m.Call)
	}
	return out
}

func principal(p *policy.Principal) *policyv1.Principal {
	return &policyv1.Principal{
		Issuer: p.Issuer, Subject: p.Subject, Name: p.Name, Scopes: p.Scopes, Groups: p.Groups, Credential: p.Credential,
	}
}
