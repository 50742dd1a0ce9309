package upstream

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// The revisions that the link speaks best: latestLegacy is offered in
// initialize, latestModern in each request to a server that is modern.
const (
	latestLegacy = "2025-11-25"
	latestModern = "2026-07-28"
)

// legacyVersions are the revisions that a server may answer initialize with.
var legacyVersions = [...]string{"2024-11-05", "2025-03-26", "2025-06-18", latestLegacy}

// transport is what a handshake needs of a link that is being made. Its methods
// have the contracts of Link's.
type transport interface {
	Do(ctx context.Context, r *Request) (jsonrpc.Message, error)
	Notify(ctx context.Context, raw []byte) error
}

// handshake performs the initialization phase (basic/lifecycle of 2025-11-25)
// over t and blocks until it is done. The error is a *StartError of the stage
// handshake; when ctx ended it wraps context.Cause(ctx).
func handshake(ctx context.Context, t transport, d *Dial) (*Hello, error) {
	answer, err := t.Do(ctx, onBehalf(ctx, newRequest("initialize", initializeParams(d))))
	if err != nil {
		return nil, startError("handshake", fmt.Errorf("initialize: %w", err))
	}
	if answer.Kind == jsonrpc.Failure {
		return nil, startError("handshake", fmt.Errorf("initialize: %w", newServerError(answer)))
	}
	hello, err := readHello(answer)
	if err != nil {
		return nil, startError("handshake", fmt.Errorf("initialize: %w", err))
	}
	if err := t.Notify(ctx, jsonrpc.AppendRequest(nil, nil, "notifications/initialized", nil)); err != nil {
		return nil, startError("handshake", fmt.Errorf("notifications/initialized: %w", err))
	}
	return hello, nil
}

func initializeParams(d *Dial) []byte {
	p := append([]byte(`{"protocolVersion":"`), latestLegacy...)
	p = append(p, `","capabilities":`...)
	p = append(p, orObject(d.Capabilities)...)
	p = append(p, `,"clientInfo":`...)
	p = append(p, clientInfo(d)...)
	return append(p, '}')
}

// readHello reads the result of initialize. What it keeps does not alias the
// message.
func readHello(m jsonrpc.Message) (*Hello, error) {
	version := jsonText(resultMember(m, "protocolVersion"))
	switch {
	case version == "":
		return nil, errors.New("the result has no protocolVersion")
	case !slices.Contains(legacyVersions[:], version):
		return nil, fmt.Errorf("the server answered with protocol revision %.32q, which is not one of %v", version, legacyVersions)
	}
	h := &Hello{Version: version}
	if err := readServer(h, m); err != nil {
		return nil, err
	}
	return h, nil
}

// readServer reads what a server says of itself in the result of either
// handshake.
func readServer(h *Hello, m jsonrpc.Message) error {
	h.Capabilities = orObject(resultMember(m, "capabilities"))
	h.ServerInfo = orObject(resultMember(m, "serverInfo"))
	h.Instructions = jsonText(resultMember(m, "instructions"))
	for name, raw := range map[string]json.RawMessage{"capabilities": h.Capabilities, "serverInfo": h.ServerInfo} {
		if raw[0] != '{' || !jsonrpc.Valid(raw) {
			return fmt.Errorf("%s in the result is not an object", name)
		}
	}
	return nil
}

// resultMember returns a copy of a member of a result, nil for none.
func resultMember(m jsonrpc.Message, key string) json.RawMessage {
	s, _ := jsonrpc.Lookup(m.Raw, m.Result, key)
	return bytes.Clone(s.Of(m.Raw))
}

// newRequest makes a request of the gateway's own. params is a JSON object or
// nil for none. The id stands for the one that the link gives it.
func newRequest(method string, params []byte) *Request {
	m, err := jsonrpc.Parse(jsonrpc.AppendRequest(nil, []byte("0"), method, params))
	if err != nil { // params come from us, or were checked when they came
		panic(err)
	}
	return &Request{Message: m, Client: Client{Capabilities: sharedCapabilities}}
}

// startError wraps err for a stage, with what a remote said about coming back.
func startError(stage string, err error) *StartError {
	e := &StartError{Stage: stage, Err: err}
	if t, ok := errors.AsType[*TransportError](err); ok {
		e.RetryAfter = t.RetryAfter
	}
	return e
}

func orObject(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || string(raw) == "null" {
		return json.RawMessage("{}")
	}
	return raw
}

// jsonText returns the JSON string in raw unquoted, "" for anything else.
func jsonText(raw []byte) string {
	return jsonrpc.Text(raw, jsonrpc.Between(0, len(raw)))
}
