package plugin

import (
	"context"

	"github.com/interlock-mcp/interlock/policy"
	policyv1 "github.com/interlock-mcp/interlock/policy/plugin/proto/v1"
)

// Spec is what the author of a plugin writes, for Serve.
type Spec struct {
	// Name and Version are for people who read logs.
	Name, Version string
	// Definitions asks for the definition of the tool or prompt with each call.
	Definitions bool
	// New makes the hooks of the plugin's section of the configuration, a JSON object.
	// Its error is what is wrong with that: *policy.FieldErrors, joined, say it of
	// single keys. The gateway then does not use that configuration.
	New func(config []byte) (*Hooks, error)
}

// Hooks are what a plugin decides. One that is nil is never asked, and costs
// nothing. They are called concurrently. Each returns nil to let pass what it was
// asked about, a *policy.Denial to refuse it with a reason that the client's model may
// read, or another error when it could not decide, which is what a panic stands for,
// too. The context ends when the gateway waits no longer.
type Hooks struct {
	// Before is asked about a request that is about to be sent to its server.
	Before func(context.Context, *Call) error
	// After is asked about the answer, before the client gets it.
	After func(context.Context, *Call, *Answer) error
	// Received is asked about what a server sends of itself: elicitation, sampling,
	// progress, log lines.
	Received func(context.Context, *ServerMessage) error
}

// Call is a request on its way to a server.
type Call struct {
	// ID is the same number in Before and After of one call.
	ID uint64
	// Principal is who makes the call, the zero value for the anonymous local user.
	Principal policy.Principal
	// Session is the client's session, Profile the profile it sees, "" for none.
	Session, Profile string
	// Method is the MCP method: tools/call, prompts/get, resources/read, ...
	Method string
	// Upstream is the server's name, Tags its tags. Target is its own name of the tool
	// or prompt, or the resource's URI, and Exposed the name the client used.
	Upstream        string
	Tags            []string
	Target, Exposed string
	// Arguments is the JSON object with the arguments as they are now, nil where there
	// are none.
	Arguments []byte
	// Definition is what the server says of the tool or prompt, if Spec asks for it.
	Definition *Definition

	decision
}

// Definition is what a server says of a tool or prompt.
type Definition struct {
	Raw     []byte // the JSON as it came
	Hash    string // "sha256:" and the SHA-256 of its canonical form (RFC 8785)
	Trusted bool   // its annotations may be believed
}

// SetArguments makes raw, a JSON object, the arguments of a tools/call or
// prompts/get.
func (c *Call) SetArguments(raw []byte) { c.Arguments, c.replace = raw, raw }

// Answer is what a server answered to a call.
type Answer struct {
	// Result is the result object, nil for a JSON-RPC error, whose error object
	// Failure is. Both are byte for byte what the server sent.
	Result, Failure []byte

	replace []byte
}

// Replace puts raw, a JSON object, in the place of the result, or of the error
// object if the answer is one.
func (a *Answer) Replace(raw []byte) { a.replace = raw }

// ServerMessage is a request or notification that a server sends of itself.
type ServerMessage struct {
	// Principal is whom it is for, nil if it is for nobody in particular, and Session
	// that one's session.
	Principal *policy.Principal
	Session   string
	Upstream  string
	Tags      []string
	// Call is the call that it belongs to, without its ID, arguments and definition;
	// nil for none.
	Call *Call
	// Method is the MCP method: notifications/message, elicitation/create, ...
	Method string
	// Params is the params object, nil for none.
	Params []byte

	replace []byte
}

// Replace puts raw, a JSON object, in the place of the params.
func (m *ServerMessage) Replace(raw []byte) { m.replace = raw }

// decision is what a hook adds to its verdict.
type decision struct {
	replace []byte
	notes   []*policyv1.Note
}

// Annotate adds a note for the call's span and its line in the audit. Neither part
// holds values out of the call.
func (d *decision) Annotate(name, value string) {
	d.notes = append(d.notes, &policyv1.Note{Name: name, Value: value})
}

// newCall is a call as the gateway tells it.
func newCall(c *policyv1.Call) *Call {
	out := &Call{
		ID: c.GetId(), Principal: newPrincipal(c.GetPrincipal()), Session: c.GetSession(), Profile: c.GetProfile(),
		Method: c.GetMethod(), Upstream: c.GetUpstream(), Tags: c.GetTags(), Target: c.GetTarget(), Exposed: c.GetExposed(),
		Arguments: some(c.GetArguments()),
	}
	if d := c.GetDefinition(); d != nil {
		out.Definition = &Definition{Raw: d.GetRaw(), Hash: d.GetHash(), Trusted: d.GetTrusted()}
	}
	return out
}

func newPrincipal(p *policyv1.Principal) policy.Principal {
	return policy.Principal{
		Issuer: p.GetIssuer(), Subject: p.GetSubject(), Name: p.GetName(),
		Scopes: p.GetScopes(), Groups: p.GetGroups(), Credential: p.GetCredential(),
	}
}

// some is nil for no bytes at all, which protobuf does not tell from none.
func some(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}
