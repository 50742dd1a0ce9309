package policy

import (
	"fmt"
	"slices"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Call is a request on its way to an upstream. It belongs to the goroutine that
// makes the call; policies are consulted one after the other. What a policy is
// given is not always the same pointer for the same call: it may be a copy, which
// shares what was kept with Keep.
type Call struct {
	Principal *Principal // never nil
	// Session identifies the client's session, "" where there is none.
	Session string
	// Profile is the profile that the client sees, "" for none.
	Profile string
	// Method is the MCP method: tools/call, prompts/get, resources/read, ...
	Method string
	// Upstream is the upstream's name, Tags its tags. Target is its own name of the
	// tool or prompt, or the resource's URI, and Exposed the name the client used.
	Upstream        string
	Tags            []string
	Target, Exposed string
	// Resumed says that this is the retry of a call that is kept open while its client
	// answers what the server asked for: the message brings the answers, and the call
	// itself was decided on and is not made again. It has no After of its own.
	Resumed bool
	// Definition is what the upstream says of the tool or prompt; nil where there
	// is none.
	Definition *Definition
	// Message is the request as the client sent it: strict JSON, without duplicate
	// keys. It is not to be changed: see SetArguments.
	Message *jsonrpc.Message

	arguments []byte // nil while they are those of the message
	changes   int    // how often they were replaced
	notes     []Note
	values    []value
}

// Note is something that a policy found out about a call, for its span and its
// line in the audit. Neither part holds values out of the call.
type Note struct{ Policy, Name, Value string }

// value is what a policy remembers of a call.
type value struct{ key, value any }

// Arguments is the JSON object with the arguments of a tools/call or prompts/get
// as they are now, nil where there are none. It is not to be changed.
func (c *Call) Arguments() []byte {
	if c.arguments != nil {
		return c.arguments
	}
	return c.Message.Arguments.Of(c.Message.Raw)
}

// SetArguments makes raw, a JSON object, the arguments of the call. Only requests
// that have arguments can be changed, which are tools/call and prompts/get.
func (c *Call) SetArguments(raw []byte) {
	c.arguments = jsonrpc.OneLine(raw)
	c.changes++
}

// Changed reports whether a policy replaced the arguments.
func (c *Call) Changed() bool { return c.changes > 0 }

// Annotate adds a note. The chain fills in whose it is.
func (c *Call) Annotate(name, value string) {
	c.notes = append(c.notes, Note{Name: name, Value: value})
}

// Notes returns what was noted, in order.
func (c *Call) Notes() []Note { return c.notes }

// Keep remembers v under the key, a policy's own, for as long as the call lasts.
func (c *Call) Keep(key, v any) {
	for i := range c.values {
		if c.values[i].key == key {
			c.values[i].value = v
			return
		}
	}
	c.values = append(c.values, value{key, v})
}

// Kept returns what was remembered under the key, nil for nothing.
func (c *Call) Kept(key any) any {
	for _, v := range c.values {
		if v.key == key {
			return v.value
		}
	}
	return nil
}

// sketch is a copy that a policy may change without effect.
func (c *Call) sketch() *Call {
	d := *c
	d.notes, d.values = slices.Clone(d.notes), slices.Clone(d.values)
	return &d
}

// Answer is what an upstream answered. What Message says is read as it came from
// the server: it is well-formed JSON, but keys may be there twice.
type Answer struct {
	Message jsonrpc.Message
	changes int
}

// Result is the result object as it is now, nil for a JSON-RPC error.
func (a *Answer) Result() []byte { return a.Message.Result.Of(a.Message.Raw) }

// Failure is the error object of a JSON-RPC error as it is now, nil for a result.
func (a *Answer) Failure() []byte { return a.Message.Error.Of(a.Message.Raw) }

// Replace puts raw, a JSON object, in the place of the result, or of the error
// object if the answer is one. The error says why it cannot stand there.
func (a *Answer) Replace(raw []byte) error {
	at := a.Message.Result
	if a.Message.Kind == jsonrpc.Failure {
		at = a.Message.Error
	}
	m, err := replaced(&a.Message, at, raw)
	if err != nil {
		return err
	}
	a.Message = m
	a.changes++
	return nil
}

// Changed reports whether a policy replaced anything.
func (a *Answer) Changed() bool { return a.changes > 0 }

// ServerMessage is a request or notification that a server sends of itself:
// elicitation, sampling, progress, log lines.
type ServerMessage struct {
	// Principal is whom it is for, nil if it is for nobody in particular, and
	// Session that one's session.
	Principal *Principal
	Session   string
	Upstream  string
	Tags      []string
	// Call is the call that it belongs to, nil for none. It is not to be changed,
	// since its answer may be under way at the same time.
	Call *Call
	// Message is what the server sent.
	Message jsonrpc.Message
	changes int
}

// Params is the params object as it is now, nil for none.
func (m *ServerMessage) Params() []byte { return m.Message.Params.Of(m.Message.Raw) }

// Replace puts raw, a JSON object, in the place of the params.
func (m *ServerMessage) Replace(raw []byte) error {
	next, err := replaced(&m.Message, m.Message.Params, raw)
	if err != nil {
		return err
	}
	m.Message = next
	m.changes++
	return nil
}

// Changed reports whether a policy replaced the params.
func (m *ServerMessage) Changed() bool { return m.changes > 0 }

// replaced returns m with raw at s.
func replaced(m *jsonrpc.Message, s jsonrpc.Span, raw []byte) (jsonrpc.Message, error) {
	if !s.Ok() {
		return *m, fmt.Errorf("there is nothing to replace in a %s", m.Kind)
	}
	var e jsonrpc.Edits
	e.Replace(s, jsonrpc.OneLine(raw))
	return jsonrpc.ParseServer(e.Apply(nil, m.Raw))
}
