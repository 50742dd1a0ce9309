package gateway

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

const (
	headerSession = "Mcp-Session-Id"
	headerVersion = "Mcp-Protocol-Version"

	metadataPath = "/.well-known/oauth-protected-resource"
)

// pattern is a pattern of http.ServeMux, and what serves it.
type pattern struct {
	string
	serve http.HandlerFunc
}

// patterns is the whole of the endpoint at a path: what is not in it is not there.
func (g *Gateway) patterns(path string) []pattern {
	own, below := path, path
	if path == "/" {
		own, below = "/{$}", ""
	}
	list := []pattern{
		{own, func(w http.ResponseWriter, r *http.Request) { g.endpoint(w, r, "") }},
		{below + "/u/{upstream}", func(w http.ResponseWriter, r *http.Request) { g.endpoint(w, r, upstreamAsked(r.PathValue("upstream"))) }},
		{below + "/p/{profile}", func(w http.ResponseWriter, r *http.Request) { g.endpoint(w, r, askedProfile+r.PathValue("profile")) }},
		{metadataPath, g.serveMetadata},
		{metadataPath + "/{rest...}", g.serveMetadata},
		{"GET /livez", func(w http.ResponseWriter, _ *http.Request) { plainText(w, http.StatusOK, "ok") }},
		{"GET /readyz", g.serveReady},
		{"/livez", g.onlyGet},
		{"/readyz", g.onlyGet},
		{"/", func(w http.ResponseWriter, r *http.Request) {
			if why := g.guard.Load().refuses(r); why != "" {
				plainText(w, http.StatusForbidden, why)
				return
			}
			plainText(w, http.StatusNotFound, "nothing here: the MCP endpoint is "+path)
		}},
	}
	if path != callbackPath && path != documentPath && path != nativePath {
		list = append(list,
			pattern{signInPath + "{ticket}", g.page(g.serveSignIn, g.serveBegin)},
			pattern{callbackPath, g.page(g.serveCallback, nil)},
			pattern{documentPath, g.page(g.serveDocument, nil)},
			pattern{nativePath, g.page(g.serveDocument, nil)})
	}
	if path != "/sse" && path != ssePost {
		list = append(list, pattern{"/sse", g.serveSSE}, pattern{ssePost, g.serveSSEPost})
	}
	return list
}

// Handler returns the MCP endpoint, its views, the older HTTP+SSE transport,
// and /livez and /readyz.
func (g *Gateway) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, p := range g.patterns(g.cfg.Load().Server.Path) {
		mux.HandleFunc(p.string, p.serve)
	}
	return timeBodies(g.behindProxies(mux))
}

// Patterns returns the patterns of http.ServeMux that Handler serves for an endpoint
// at path.
func Patterns(path string) []string {
	var out []string
	for _, p := range new(Gateway).patterns(path) {
		out = append(out, p.string)
	}
	return out
}

func (g *Gateway) serveReady(w http.ResponseWriter, r *http.Request) {
	switch ok, waiting := g.Ready(); {
	case ok:
		plainText(w, http.StatusOK, "ok")
	case g.guard.Load().refuses(r) != "": // the probes of containers send any Host, and need no names
		plainText(w, http.StatusServiceUnavailable, "not ready")
	default:
		plainText(w, http.StatusServiceUnavailable, "not ready: "+strings.Join(waiting, ", "))
	}
}

// onlyGet answers other methods of what can be read.
func (g *Gateway) onlyGet(w http.ResponseWriter, r *http.Request) {
	if why := g.guard.Load().refuses(r); why != "" {
		plainText(w, http.StatusForbidden, why)
		return
	}
	w.Header().Set("Allow", "GET, HEAD")
	plainText(w, http.StatusMethodNotAllowed, "use GET")
}

// Server returns an HTTP server for the endpoint whose limits keep slow clients
// from holding connections. It is best given a Listener of the gateway's.
func (g *Gateway) Server() *http.Server {
	return &http.Server{
		Handler:           g.Handler(),
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		HTTP2:             &http.HTTP2Config{WriteByteTimeout: writeTimeout},
		ErrorLog:          slog.NewLogLogger(newComplaints(g.log), slog.LevelWarn),
	}
}

func plainText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}

// rpcError answers a request that never became one with a JSON-RPC error.
func rpcError(w http.ResponseWriter, status int, id []byte, code int, text string, data []byte) {
	writeJSON(w, status, errorOf(id, code, text, data))
}

var contentJSON = []string{"application/json"} // shared by all answers; never changed

func writeJSON(w http.ResponseWriter, status int, a answer) {
	(&outflow{w: w}).json(status, a)
}

// json writes an answer as the whole response.
func (o *outflow) json(status int, a answer) {
	w := o.w
	extend(w)
	h := w.Header()
	h["Content-Type"] = contentJSON
	if a.size() > 2000 { // net/http counts shorter ones itself
		h.Set("Content-Length", strconv.Itoa(a.size()))
	}
	w.WriteHeader(status)
	// A client that is gone reads nothing: there is nobody to tell.
	for _, b := range [...][]byte{a.head, a.id, a.tail} {
		if len(b) > maxPiece {
			_ = o.write(b)
		} else {
			_, _ = w.Write(b)
		}
	}
}

// endpoint serves streamable HTTP (MCP 2025-11-25 basic/transports).
func (g *Gateway) endpoint(w http.ResponseWriter, r *http.Request, view string) {
	v, ok := g.admitted(w, r)
	if !ok {
		return
	}
	if _, ok := g.view.Load().catalogFor(view, v.principal); !ok {
		what, name := "upstream", r.PathValue("upstream")
		if name == "" {
			what, name = "profile", r.PathValue("profile")
		}
		plainText(w, http.StatusNotFound, "there is no "+what+" "+clipName(name))
		return
	}
	switch {
	case r.Method == http.MethodPost:
		g.servePost(w, v, view)
	case r.Header.Get(headerVersion) == modernVersion && (r.Method == http.MethodGet || r.Method == http.MethodDelete):
		w.Header().Set("Allow", "POST, OPTIONS")
		plainText(w, http.StatusMethodNotAllowed, "2026-07-28 has no "+r.Method+": use POST")
	case r.Method == http.MethodGet:
		g.serveGet(w, v, view)
	case r.Method == http.MethodDelete:
		g.serveDelete(w, v, view)
	default:
		w.Header().Set("Allow", "GET, POST, DELETE, OPTIONS")
		plainText(w, http.StatusMethodNotAllowed, "use POST, GET or DELETE")
	}
}

// admitted checks Host and Origin, answers preflights, and finds out who sent the
// request. It reports whether the request goes on.
func (g *Gateway) admitted(w http.ResponseWriter, r *http.Request) (v visitor, ok bool) {
	by := g.guard.Load()
	if why := by.refuses(r); why != "" {
		plainText(w, http.StatusForbidden, why)
		return visitor{}, false
	}
	cors(w, r)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return visitor{}, false
	}
	return g.authenticated(w, r, by)
}

// servePost takes one message, or in a 2025-03-26 session a batch.
func (g *Gateway) servePost(w http.ResponseWriter, v visitor, view string) {
	r := v.request
	if !accepts(r, "application/json") || !accepts(r, "text/event-stream") {
		g.tel.CallRejected(malformedBody)
		plainText(w, http.StatusNotAcceptable, "Accept must name both application/json and text/event-stream")
		return
	}
	body := g.readBody(w, r)
	if body == nil {
		g.tel.CallRejected(malformedBody)
		return
	}
	m, err := jsonrpc.Parse(body)
	if err != nil {
		g.servePostOdd(w, v, view, m, err)
		return
	}
	if modernOver(r.Header, &m) {
		g.serveModern(w, v, view, &m)
		return
	}
	if m.Kind == jsonrpc.Request && m.MethodName() == "initialize" {
		g.serveInitialize(w, v, view, m)
		return
	}
	if bad := missingID(m); bad != nil {
		g.turnedDown(v, view, nil, &m, refusedAs(bad.Code))
		rpcError(w, http.StatusBadRequest, nil, bad.Code, bad.Message, nil)
		return
	}
	s := g.sessionOf(w, v, view, &m)
	if s == nil {
		return
	}
	if m.Kind != jsonrpc.Request {
		var told sync.WaitGroup
		g.notified(s, m, &told)
		told.Wait()
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if !g.enter() {
		g.turnedDown(v, view, s, &m, tooLate)
		g.unavailable(w, m.ID.Of(m.Raw))
		return
	}
	defer g.leave()
	g.servePostRequest(w, v, s, m)
}

// servePostOdd answers a body that is no single message, m as far as it is one: a batch
// where one is allowed, an error everywhere else.
func (g *Gateway) servePostOdd(w http.ResponseWriter, v visitor, view string, m jsonrpc.Message, err error) {
	r := v.request
	var bad *jsonrpc.Error
	if !errors.As(err, &bad) {
		bad = &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "internal error"}
	}
	modern := r.Header.Get(headerVersion) >= modernVersion
	if parts, ok, batchErr := jsonrpc.Batch(m.Raw); ok && !modern && r.Header.Get(headerSession) != "" {
		s := g.sessionOf(w, v, view, nil)
		if s == nil {
			return
		}
		if s.negotiated() == "2025-03-26" {
			if errors.As(batchErr, &bad) {
				g.tel.CallRejected(malformedBody)
				rpcError(w, http.StatusBadRequest, nil, bad.Code, bad.Message, nil)
				return
			}
			g.serveBatch(w, v, s, parts)
			return
		}
	}
	g.unread(v, view, nil, m, bad)
	status := http.StatusBadRequest
	if bad.Code == jsonrpc.CodeInvalidParams && bad.ID != nil && !modern {
		status = http.StatusOK // a request like any other, wrongly filled in
	}
	rpcError(w, status, bad.ID, bad.Code, bad.Message, bad.Data)
}

func (g *Gateway) unavailable(w http.ResponseWriter, id []byte) {
	g.tel.CallRejected("shutdown")
	w.Header().Set("Retry-After", "5")
	writeJSON(w, http.StatusServiceUnavailable, turnedAway().asError(id))
}

// serveGet opens the standing stream, or resumes the one that Last-Event-ID
// names ("Listening for Messages from the Server").
func (g *Gateway) serveGet(w http.ResponseWriter, v visitor, view string) {
	r := v.request
	if !accepts(r, "text/event-stream") {
		plainText(w, http.StatusNotAcceptable, "Accept must name text/event-stream")
		return
	}
	s := g.sessionOf(w, v, view, nil)
	if s == nil {
		return
	}
	if g.draining.Load() {
		g.unavailable(w, nil)
		return
	}
	st, from, resumed := s.standing, uint64(0), false
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		if id, n, request, ok := parseEventID(last); ok {
			if known := s.stream(id); known != nil {
				st, from, resumed = known, n, true
			} else if request != nil {
				g.lostAnswer(w, request)
				return
			}
		}
	}
	ctx, end := context.WithCancel(r.Context())
	defer end()
	defer g.stay(v, end)()
	last := g.streamOpened(telemetry.StreamGet, s, v, st.made)
	before := st.carried()
	err := st.carry(ctx, w, from, resumed)
	g.streamEnded(last, g.endingBy(s, err), st.carried()-before)
	s.touch()
}

// lostAnswer tells a client that resumes an answer which this gateway does not
// have, since it was restarted, that none will come.
func (g *Gateway) lostAnswer(w http.ResponseWriter, request []byte) {
	if m := append(append([]byte(`{"jsonrpc":"2.0","method":"x","id":`), request...), '}'); !jsonrpc.Valid(m) {
		plainText(w, http.StatusBadRequest, "Last-Event-ID is malformed")
		return
	}
	f := fault{
		Source: "gateway", Reason: "restarted", Executed: "unknown", code: codeUnanswered,
		text: "the gateway was restarted or the answer was not kept. It is UNKNOWN whether the request was executed.",
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache, no-transform")
	_, _ = w.Write(jsonrpc.AppendEvent(nil, "", "message", f.asError(request).bytes()))
}

// serveDelete ends a session ("Session Management").
func (g *Gateway) serveDelete(w http.ResponseWriter, v visitor, view string) {
	s := g.sessionOf(w, v, view, nil)
	if s == nil {
		return
	}
	g.endSession(s, ending{how: telemetry.EndingDeleted})
	w.WriteHeader(http.StatusNoContent)
}
