package rehearse

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Upstream is what the configuration says of an upstream.
type Upstream struct {
	Tags    []string
	Trusted bool
}

// call returns the call as policies see it; of a server's message the call that it
// belongs to.
func (c *Call) call(known map[string]Upstream) (*policy.Call, error) {
	up, there := known[c.Upstream]
	if len(known) > 0 && !there {
		return nil, fmt.Errorf("there is no upstream %q in the configuration", c.Upstream)
	}
	tags, trusted := c.Tags, !there || up.Trusted
	if tags == nil {
		tags = up.Tags
	}
	if c.Trusted != nil {
		trusted = *c.Trusted
	}
	method, name, exposed := c.method(), c.Tool+c.Prompt, c.Exposed
	if c.ofServer() {
		method = "tools/call"
	}
	if exposed == "" && name != "" {
		exposed = c.Upstream + "__" + name
	}
	def, err := c.definition(name, exposed, tags, trusted)
	if err != nil {
		return nil, err
	}
	raw, err := request(method, c.params(method, exposed))
	if err != nil {
		return nil, err
	}
	m, err := jsonrpc.Parse(raw)
	if err != nil {
		return nil, err
	}
	return &policy.Call{
		Principal: c.principal(), Session: c.Session, Profile: c.Profile, Method: method,
		Upstream: c.Upstream, Tags: tags, Target: name + c.URI, Exposed: exposed, Definition: def, Message: &m,
	}, nil
}

func (c *Call) principal() *policy.Principal {
	p := c.Principal
	return &policy.Principal{
		Issuer: p.Issuer, Subject: p.Subject, Name: p.Name,
		Groups: slices.Concat(p.Groups, c.Groups), Scopes: slices.Concat(p.Scopes, c.Scopes),
	}
}

// params are those of the request. A server's message belongs to a call without
// arguments.
func (c *Call) params(method, exposed string) map[string]any {
	params := map[string]any{}
	switch {
	case c.ofServer():
		params["name"] = exposed
	case method == "tools/call" || method == "prompts/get":
		params["name"] = exposed
		if c.Args != nil {
			params["arguments"] = c.Args
		}
	default:
		maps.Copy(params, c.Args)
		if c.URI != "" {
			params["uri"] = c.URI
		}
	}
	return params
}

func request(method string, params map[string]any) ([]byte, error) {
	return json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

// definition is that of a tool or prompt, nil for neither.
func (c *Call) definition(name, exposed string, tags []string, trusted bool) (*policy.Definition, error) {
	if name == "" {
		return nil, nil
	}
	all := map[string]any{}
	maps.Copy(all, c.Definition)
	all["name"] = name
	kind := policy.Prompt
	if c.Tool != "" {
		kind = policy.Tool
		if all["inputSchema"] == nil {
			all["inputSchema"] = map[string]any{"type": "object"}
		}
	}
	if c.Annotations != nil {
		all["annotations"] = c.Annotations
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	return &policy.Definition{Upstream: c.Upstream, Tags: tags, Trusted: trusted, Kind: kind, Name: name, Exposed: exposed, Raw: raw}, nil
}

// message returns the message of a server, which belongs to the call.
func (c *Call) message(of *policy.Call) (*policy.ServerMessage, error) {
	params := c.Args
	if params == nil {
		params = map[string]any{}
	}
	all := map[string]any{"jsonrpc": "2.0", "method": c.method(), "params": params}
	switch c.method() {
	case "elicitation/create", "sampling/createMessage", "roots/list":
		all["id"] = 1
	}
	raw, err := json.Marshal(all)
	if err != nil {
		return nil, err
	}
	m, err := jsonrpc.ParseServer(raw)
	if err != nil {
		return nil, err
	}
	msg := &policy.ServerMessage{Principal: of.Principal, Session: of.Session, Upstream: of.Upstream, Tags: of.Tags, Message: m}
	if c.Tool != "" {
		msg.Call = of
	}
	return msg, nil
}

// answer is what the upstream answered.
func (c *Call) answer() (*policy.Answer, error) {
	result := c.Answer
	if result == nil {
		result = map[string]any{}
		if c.method() == "tools/call" {
			result["content"] = []any{}
		}
	}
	raw, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "result": result})
	if err != nil {
		return nil, err
	}
	m, err := jsonrpc.ParseServer(raw)
	if err != nil {
		return nil, err
	}
	return &policy.Answer{Message: m}, nil
}
