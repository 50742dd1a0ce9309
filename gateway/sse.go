package gateway

import (
	"context"
	"net/http"
	"net/url"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// ssePost is where clients of the older transport send their messages.
const ssePost = "/messages"

// serveSSE opens a session of the HTTP+SSE transport (MCP 2024-11-05
// basic/transports): all answers travel on this stream, and the session ends
// with it.
func (g *Gateway) serveSSE(w http.ResponseWriter, r *http.Request) {
	from, ok := g.admitted(w, r)
	if !ok {
		return
	}
	if r.Method != http.MethodGet {
		// A streamable HTTP client tries POST first and falls back to GET.
		w.Header().Set("Allow", "GET, OPTIONS")
		plainText(w, http.StatusMethodNotAllowed, "this is the older HTTP+SSE transport: use GET here, or POST to "+g.cfg.Load().Server.Path)
		return
	}
	if g.draining.Load() {
		w.Header().Set("Retry-After", "5")
		plainText(w, http.StatusServiceUnavailable, "the gateway is shutting down")
		return
	}
	key := randomHex(16)
	s := newSession(ticket{Nonce: key}, "").belongsTo(from.principal)
	out := newStream("e"+s.boot, "", false)
	out.forgets = true
	at := g.guard.Load().beside(r, g.cfg.Load().Server.Path, ssePost)
	out.preamble = jsonrpc.AppendEvent(nil, "", "endpoint", []byte(at+"?session="+url.QueryEscape(key)))
	s.home = out
	if _, err := g.admit(s); err != nil {
		w.Header().Set("Retry-After", "5")
		plainText(w, http.StatusServiceUnavailable, "too many sessions are open")
		return
	}
	defer func() { g.endSession(s, g.closedBy(nil)) }()
	ctx, stop := context.WithCancel(r.Context())
	defer stop()
	defer context.AfterFunc(g.closing, stop)()
	defer g.stay(from, stop)()
	last := g.streamOpened(telemetry.StreamSSE, s, from, telemetry.Ref{})
	err := out.carry(ctx, w, 0, false)
	g.streamEnded(last, g.endingBy(s, err), out.carried())
}

// serveSSEPost takes one message for a session of the HTTP+SSE transport. Its
// answer travels on the session's stream.
func (g *Gateway) serveSSEPost(w http.ResponseWriter, r *http.Request) {
	from, ok := g.admitted(w, r)
	if !ok {
		return
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", "POST, OPTIONS")
		plainText(w, http.StatusMethodNotAllowed, "use POST")
		return
	}
	s := g.sessions.named(r.URL.Query().Get("session"))
	if s == nil || s.id != "" || s.standing != nil || !s.of(from.principal) {
		plainText(w, http.StatusNotFound, "session not found: open "+"/sse again")
		return
	}
	body := g.readBody(w, r)
	if body == nil {
		g.tel.CallRejected(malformedBody)
		return
	}
	s.touch()
	// The answer has a connection of its own; this one is done.
	ctx := context.WithoutCancel(r.Context())
	m, err := jsonrpc.Parse(body)
	bad := asRPC(err)
	if bad == nil {
		if g.anyOverstepped(w, from, s, [][]byte{body}) {
			return
		}
		w.WriteHeader(http.StatusAccepted)
		g.converse(ctx, s, m, from)
		return
	}
	if parts, ok, batchErr := jsonrpc.Batch(body); ok && s.negotiated() == "2025-03-26" {
		if bad = asRPC(batchErr); bad == nil {
			if g.anyOverstepped(w, from, s, parts) {
				return
			}
			w.WriteHeader(http.StatusAccepted)
			g.converseBatch(ctx, s, parts, from)
			return
		}
	}
	g.unread(from, "", s, m, bad)
	rpcError(w, http.StatusBadRequest, bad.ID, bad.Code, bad.Message, nil)
}
