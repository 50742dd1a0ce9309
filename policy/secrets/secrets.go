package secrets

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Policy looks for credentials.
type Policy struct {
	scope              narrow.Scope
	arguments, results string
	detector           *detector
	log                *slog.Logger
}

// New makes the policy, of a configuration that is valid. It takes some
// milliseconds.
func (c *Config) New(env policy.Env) (policy.Policy, error) {
	p := &Policy{scope: narrow.New(c.Config), arguments: c.Arguments, results: c.Results, detector: newDetector(c), log: env.Log}
	if p.arguments == "" {
		p.arguments = block
	}
	if p.results == "" {
		p.results = redact
	}
	return p, nil
}

// Before looks at what goes to the upstream. Only the arguments of tools and prompts
// can be changed; in anything else that goes up, redact means block.
func (p *Policy) Before(_ context.Context, c *policy.Call) error {
	if p.arguments == off || !p.scope.Call(c) {
		return nil
	}
	m := c.Message
	if c.Method != "tools/call" && c.Method != "prompts/get" {
		return p.unchanged(c, "the request", m.Params.Of(m.Raw))
	}
	if err := p.unchanged(c, "the answers to the server's questions", m.InputResponses.Of(m.Raw)); err != nil {
		return err
	}
	if m.Params.Len() > m.Name.Len()+m.Arguments.Len()+len(`{"name":,"arguments":}`) {
		if err := p.besides(c); err != nil {
			return err
		}
	}
	raw := c.Arguments()
	if raw == nil {
		return nil
	}
	places, clean, err := p.look(p.arguments, raw, "", nothing)
	if err != nil || len(places) == 0 {
		return err
	}
	if p.arguments == block {
		return &policy.Denial{Reason: said("the arguments", places)}
	}
	c.Annotate("credentials", said("the arguments", places))
	if p.arguments == redact {
		c.SetArguments(clean)
	}
	return nil
}

// besides looks at the params of a call that are neither arguments nor the protocol's.
func (p *Policy) besides(c *policy.Call) error {
	m := c.Message
	for key, at := range jsonrpc.Members(m.Raw, m.Params) {
		switch key {
		case "name", "arguments", "inputResponses", "requestState", "_meta":
			continue
		}
		if err := p.unchanged(c, "the request", at.Of(m.Raw)); err != nil {
			return err
		}
	}
	return nil
}

// unchanged looks at what cannot be changed.
func (p *Policy) unchanged(c *policy.Call, what string, raw []byte) error {
	if raw == nil {
		return nil
	}
	places, _, err := p.look(report, raw, "", clients)
	switch {
	case err != nil || len(places) == 0:
		return err
	case p.arguments == report:
		c.Annotate("credentials", said(what, places))
		return nil
	}
	return &policy.Denial{Reason: said(what, places)}
}

// After looks at what came back, be it a result or an error.
func (p *Policy) After(_ context.Context, c *policy.Call, a *policy.Answer) error {
	if p.results == off || !p.scope.Call(c) {
		return nil
	}
	raw, what := a.Result(), "the result"
	if raw == nil {
		raw, what = a.Failure(), "the error"
	}
	if raw == nil {
		return nil
	}
	uri := ""
	if c.Method == "resources/read" {
		uri = c.Target
	}
	places, clean, err := p.look(p.results, raw, uri, servers)
	if err != nil || len(places) == 0 {
		return err
	}
	if p.results == block {
		return &policy.Denial{Reason: said(what, places)}
	}
	c.Annotate("credentials", said(what, places))
	if p.results == redact {
		return a.Replace(clean)
	}
	return nil
}

// Received looks at what a server sends of itself.
func (p *Policy) Received(ctx context.Context, m *policy.ServerMessage) error {
	raw := m.Params()
	if p.results == off || raw == nil || !p.scope.Message(m) {
		return nil
	}
	places, clean, err := p.look(p.results, raw, "", servers)
	if err != nil || len(places) == 0 {
		return err
	}
	what := "the server's " + m.Message.MethodName()
	switch p.results {
	case block:
		return &policy.Denial{Reason: said(what, places)}
	case redact:
		return m.Replace(clean)
	}
	p.log.InfoContext(ctx, "a credential is in what a server sent", "upstream", m.Upstream, "found", said(what, places))
	return nil
}

// look returns the secrets in raw, and raw without them if that is what is to be
// done.
func (p *Policy) look(mode string, raw []byte, uri string, kept func([]byte, []step) bool) ([]place, []byte, error) {
	if mode == redact {
		return p.detector.examine(raw, uri, kept)
	}
	places, _, err := p.detector.once(raw, uri, 0, kept)
	return places, raw, err
}

// nothing is the protocol's among arguments.
func nothing([]byte, []step) bool { return false }

// clients reports whether a value of a request is the protocol's: what a client says
// of itself, and tokens that mean something to one side alone.
func clients(raw []byte, path []step) bool {
	for _, name := range []string{"_meta", "requestState", "cursor", "taskId", "progressToken"} {
		if len(path) > 0 && path[0].named(raw, name) {
			return true
		}
	}
	return false
}

// servers does the same for what servers send. All of these are tokens: without
// them the next request fails.
func servers(raw []byte, path []step) bool {
	for _, name := range []string{"nextCursor", "requestState", "taskId", "progressToken", "elicitationId", "requestId"} {
		if len(path) == 1 && path[0].named(raw, name) {
			return true
		}
	}
	return len(path) == 2 && (path[0].named(raw, "task") && path[1].named(raw, "taskId") ||
		path[0].named(raw, "_meta") && path[1].named(raw, "progressToken"))
}

// maxTold is how many secrets a sentence names.
const maxTold = 3

// said says what was found and where.
func said(what string, places []place) string {
	all := make([]string, 0, maxTold)
	for _, p := range places[:min(maxTold, len(places))] {
		at := p.path
		if at == "" {
			at = "its root"
		}
		all = append(all, fmt.Sprintf("%s at %s", p.rule, at))
	}
	found := "a credential is in "
	if len(places) > 1 {
		found = "credentials are in "
	}
	more := ""
	if n := len(places) - maxTold; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return found + what + " (" + strings.Join(all, ", ") + more + ")"
}
