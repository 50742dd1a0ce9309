package gateway

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// sessionOf finds the session of a request, or answers why it cannot and
// returns nil. m may be nil.
func (g *Gateway) sessionOf(w http.ResponseWriter, from visitor, view string, m *jsonrpc.Message) *session {
	r := from.request
	var id []byte
	if m != nil {
		id = m.ID.Of(m.Raw)
	}
	if v := r.Header.Get(headerVersion); v != "" && !legacy(v) {
		g.turnedDown(from, view, nil, m, refusedAs(codeUnsupportedVersion))
		rpcError(w, http.StatusBadRequest, id, codeUnsupportedVersion, "unsupported protocol version "+clipName(v), unsupported(v))
		return nil
	}
	sealed := r.Header.Get(headerSession)
	if sealed == "" {
		if m != nil && m.Kind == jsonrpc.Notification && m.MethodName() == "notifications/initialized" {
			// mcp-remote sends this one without its session id.
			w.WriteHeader(http.StatusAccepted)
			return nil
		}
		g.turnedDown(from, view, nil, m, refusedAs(jsonrpc.CodeInvalidRequest))
		g.withoutSession(w, id)
		return nil
	}
	s, err := g.findSession(sealed, view, from.principal)
	switch {
	case errors.Is(err, errFull):
		g.turnedDown(from, view, nil, m, refusedAs(codeUnavailable))
		full(w, id)
		return nil
	case err != nil:
		g.turnedDown(from, view, nil, m, refusedAs(jsonrpc.CodeInvalidRequest))
		noSession(w, id)
		return nil
	}
	if m == nil || m.Kind != jsonrpc.Request { // which says itself when it began
		s.touch()
	}
	return s
}

// noSession answers a request whose session there is not. One body for every
// reason: it tells nothing about other sessions.
func noSession(w http.ResponseWriter, id []byte) {
	rpcError(w, http.StatusNotFound, id, jsonrpc.CodeInvalidRequest, "session not found: send initialize again", nil)
}

func full(w http.ResponseWriter, id []byte) {
	w.Header().Set("Retry-After", "5")
	rpcError(w, http.StatusServiceUnavailable, id, codeUnavailable, "too many sessions are open: server.max_sessions limits them", nil)
}

// withoutSession answers a request that has no session and is no initialize.
func (g *Gateway) withoutSession(w http.ResponseWriter, id []byte) {
	rpcError(w, http.StatusBadRequest, id, jsonrpc.CodeInvalidRequest, "invalid request: no Mcp-Session-Id header: send initialize first", nil)
}

// unsupported is the data of an UnsupportedProtocolVersionError.
func unsupported(asked string) []byte {
	b := append(append([]byte(nil), `{"supported":`...), supportedJSON...)
	if asked != "" {
		b = jsonrpc.AppendString(append(b, `,"requested":`...), clipURI(asked))
	}
	return append(b, '}')
}

// findSession returns the principal's live session with the id, reviving one that
// the gateway does not hold (any more). The error is errTicket, also for another
// principal's, or errFull when there is no room for a revived one.
func (g *Gateway) findSession(sealed, view string, p *policy.Principal) (*session, error) {
	s := g.sessions.find(sealed)
	if s == nil {
		t, err := g.seal.open(sealed)
		if err != nil {
			return nil, errTicket
		}
		fresh := newSession(t, sealed).useStreams()
		if fresh.view != view || !fresh.of(p) {
			return nil, errTicket
		}
		fresh.belongsTo(p) // which says more than the seal
		// What it knew of the lists may be old: have it look again. And it may
		// still answer questions from before.
		fresh.stale = listTools | listPrompts | listResources
		fresh.asked = rand.Uint64N(1 << 40)
		if s, err = g.admit(fresh); err != nil {
			return nil, err
		}
	}
	if s.view != view || !s.of(p) {
		return nil, errTicket
	}
	return s, nil
}

// admit puts s in the table, where another session may have to make room: that
// one's id brings it back, and its links to upstreams are made anew then.
func (g *Gateway) admit(s *session) (*session, error) {
	in, out, err := g.sessions.add(s, g.cfg.Load().Server.MaxSessions)
	if out != nil {
		g.release(out)
	}
	return in, err
}

// serveInitialize begins a session and gives the client its id (MCP 2025-11-25
// basic/lifecycle, basic/transports "Session Management").
func (g *Gateway) serveInitialize(w http.ResponseWriter, from visitor, view string, m jsonrpc.Message) {
	id := m.ID.Of(m.Raw)
	if g.draining.Load() {
		g.turnedDown(from, view, nil, &m, tooLate)
		g.unavailable(w, id)
		return
	}
	v := g.view.Load()
	c, ok := v.catalogFor(view, from.principal)
	if !ok { // removed at this moment
		c = emptyCatalog
	}
	span := g.startInitialize(from.request.Context(), v, &m, from)
	version, caps, result, bad := g.initialize(m, v, c)
	if bad != "" {
		span.End(outcome{Code: jsonrpc.CodeInvalidParams})
		writeJSON(w, http.StatusOK, invalidParams(id, bad))
		return
	}
	t := ticket{Nonce: randomHex(16), Principal: from.principal.Key(), Version: version, View: view, Capabilities: caps.raw}
	sealed, err := g.seal.seal(t)
	if err != nil {
		span.End(outcome{Code: jsonrpc.CodeInvalidParams})
		writeJSON(w, http.StatusOK, invalidParams(id, err.Error()))
		return
	}
	s := newSession(t, sealed).useStreams().belongsTo(from.principal)
	s.opened = span.Ref()
	if _, err := g.admit(s); err != nil {
		span.End(outcome{Code: codeUnavailable})
		full(w, id)
		return
	}
	span.initialized(s, version)
	w.Header().Set(headerSession, sealed)
	writeJSON(w, http.StatusOK, resultOf(id, result))
}

// initialize answers the handshake (MCP 2025-11-25 basic/lifecycle) of a client
// that sees c and returns what the session must remember. bad says what is wrong with the request.
func (g *Gateway) initialize(m jsonrpc.Message, v *view, c *router.Catalog) (version string, caps clientCapabilities, result []byte, bad string) {
	if !m.Params.Ok() {
		return "", caps, nil, "params is required"
	}
	at, _ := jsonrpc.Lookup(m.Raw, m.Params, "protocolVersion")
	if !at.Ok() || m.Raw[at.Start] != '"' {
		return "", caps, nil, "params.protocolVersion must be a string"
	}
	version = negotiate(m.Text(at))
	if at, ok := jsonrpc.Lookup(m.Raw, m.Params, "capabilities"); ok {
		if m.Raw[at.Start] != '{' {
			return "", caps, nil, "params.capabilities must be an object"
		}
		caps = parseCapabilities(m.Raw, at)
	} else {
		caps = parseCapabilities(nil, jsonrpc.Span{})
	}
	b := append([]byte(nil), `{"protocolVersion":`...)
	b = jsonrpc.AppendString(b, version)
	// All of them, always: upstreams come and go while the session lasts.
	b = append(b, `,"capabilities":{"completions":{},"logging":{},"prompts":{"listChanged":true},`+
		`"resources":{"listChanged":true,"subscribe":true},"tools":{"listChanged":true}},"serverInfo":`...)
	b = append(b, v.serverInfo...)
	if text := c.Instructions(); text != "" {
		b = append(b, `,"instructions":`...)
		b = jsonrpc.AppendString(b, text)
	}
	return version, caps, append(b, '}'), ""
}

// legacyVersions are the revisions that the face speaks, newest first.
var legacyVersions = []string{"2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"}

// negotiate returns the revision to use with a client that asked for one: the
// same if we speak it, else our newest (basic/lifecycle, "Version Negotiation").
func negotiate(asked string) string {
	if legacy(asked) {
		return asked
	}
	return legacyVersions[0]
}

func legacy(version string) bool {
	return slices.Contains(legacyVersions, version)
}
