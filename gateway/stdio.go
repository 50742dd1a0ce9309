package gateway

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// flushTimeout is how long a client on stdio may take to read the last answers.
const flushTimeout = 5 * time.Second

var errStuck = errors.New("the client on stdio does not read its answers")

// ServeStdio serves one client on in and out (MCP 2025-11-25 basic/transports,
// "stdio"). It blocks until in ends, ctx is done or out fails. What was asked
// before in ended is still answered, within drain_timeout; then calls in flight
// are cancelled.
func (g *Gateway) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	return g.ServeStdioIn(ctx, "", in, out)
}

// ServeStdioIn is ServeStdio for a client that sees a profile and no more, ""
// for what it gets without. While there is none of that name it sees nothing.
func (g *Gateway) ServeStdioIn(ctx context.Context, profile string, in io.Reader, out io.Writer) error {
	return g.serveLines(ctx, g.local(profile), newPipe(), in, out)
}

// local returns a session of a client that the operating system lets in: it
// started the gateway, or may use its socket. Where others have to say who they
// are, it is a principal of its own. profile is what it was given to see, "" for
// nothing in particular.
func (g *Gateway) local(profile string) *session {
	t := ticket{Nonce: randomHex(16)}
	if profile != "" {
		t.View = givenProfile + profile
	}
	s := newSession(t, "")
	if g.guard.Load().asks() {
		s.belongsTo(identity.Local())
	}
	return s
}

// serveLines serves the client of s on in and out, the latter by way of p.
func (g *Gateway) serveLines(ctx context.Context, s *session, p *pipe, in io.Reader, out io.Writer) error {
	s.home = p
	if _, err := g.admit(s); err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	wrote := make(chan error, 1)
	go func() {
		err := p.run(out)
		cancel(err)
		wrote <- err
	}()
	read := make(chan error, 1)
	go func() { read <- g.readLines(ctx, s, p, in) }()
	var err error
	select {
	case err = <-read:
		if !s.attached { // one that is, keeps its end open for as long as it wants answers
			g.finishUp(ctx, s)
		}
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	g.endSession(s, g.closedBy(err))
	p.close()
	flush := time.NewTimer(flushTimeout)
	defer flush.Stop()
	select {
	case werr := <-wrote:
		if werr != nil {
			return werr
		}
	case <-flush.C: // a client that does not read must not hold the gateway
		return errStuck
	}
	if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// finishUp waits for the requests of a client that will send no more: one that
// was piped in has asked all it wants, and reads the answers.
func (g *Gateway) finishUp(ctx context.Context, s *session) {
	ctx, cancel := context.WithTimeout(ctx, g.cfg.Load().Server.DrainTimeout)
	defer cancel()
	s.mu.Lock()
	if s.owed == 0 {
		s.mu.Unlock()
		return
	}
	idle := make(chan struct{})
	s.idle = idle
	s.mu.Unlock()
	select {
	case <-idle:
	case <-ctx.Done():
	}
}

// readLines takes the client's messages until in ends. Answers go to p.
func (g *Gateway) readLines(ctx context.Context, s *session, p *pipe, in io.Reader) error {
	lines := jsonrpc.NewLineReader(in, int(g.cfg.Load().Server.MaxBody))
	for ctx.Err() == nil {
		line, err := lines.Next()
		var long *jsonrpc.TooLongError
		switch {
		case errors.As(err, &long):
			g.tel.CallRejected(malformedBody)
			p.send(errorOf(jsonrpc.ScanID(long.Head, long.Tail), jsonrpc.CodeInvalidRequest,
				"invalid request: the message is over server.max_body", nil).bytes(), answering)
			continue
		case err != nil:
			return err
		case !jsonrpc.Whole(line).Ok():
			continue
		}
		g.takeLine(ctx, s, p, line)
	}
	return ctx.Err()
}

func (g *Gateway) takeLine(ctx context.Context, s *session, p *pipe, line []byte) {
	m, err := jsonrpc.Parse(line)
	bad := asRPC(err)
	if bad == nil {
		g.converse(ctx, s, m, visitor{})
		return
	}
	if parts, ok, batchErr := jsonrpc.Batch(line); ok && s.negotiated() == "2025-03-26" {
		if bad = asRPC(batchErr); bad == nil {
			g.converseBatch(ctx, s, parts, visitor{})
			return
		}
	}
	g.unread(visitor{}, "", s, m, bad)
	p.send(errorOf(bad.ID, bad.Code, bad.Message, bad.Data).bytes(), answering)
}

// converseBatch takes the messages of a batch one by one: answers one by one are
// a batch's too.
func (g *Gateway) converseBatch(ctx context.Context, s *session, parts [][]byte, from visitor) {
	for _, part := range parts {
		m, err := jsonrpc.Parse(part)
		if bad := asRPC(err); bad != nil {
			g.unread(from, "", s, m, bad)
			s.home.send(errorOf(bad.ID, bad.Code, bad.Message, bad.Data).bytes(), answering)
			continue
		}
		g.converse(ctx, s, m, from)
	}
}

// converse takes one message of a client whose answers travel on one outlet,
// the session's home. It does not wait for answers.
func (g *Gateway) converse(ctx context.Context, s *session, m jsonrpc.Message, from visitor) {
	if bad := missingID(m); bad != nil {
		g.turnedDown(from, "", s, &m, refusedAs(bad.Code))
		s.home.send(errorOf(nil, bad.Code, bad.Message, nil).bytes(), answering)
		return
	}
	if m.Kind != jsonrpc.Request {
		g.notified(s, m, new(sync.WaitGroup))
		return
	}
	if from.request == nil && modern(&m) {
		g.converseModernHere(ctx, s, &m)
		return
	}
	id := m.ID.Of(m.Raw)
	method := m.MethodName()
	switch {
	case method == "initialize" && s.negotiated() == "":
		s.home.send(g.initializeHere(ctx, s, m, from).bytes(), answering)
		return
	case s.negotiated() == "" && method != "ping":
		a, o := uninitialized(m, id)
		g.turnedDown(from, "", s, &m, o)
		s.home.send(a.bytes(), answering)
		return
	case !g.enter():
		g.tel.CallRejected("shutdown")
		g.turnedDown(from, "", s, &m, tooLate)
		s.refuse(id)
		return
	}
	ctx, x, err := g.enlist(ctx, s, m, s.home, from)
	if err != nil {
		g.leave()
		s.home.send(g.turnedAway(x, err).bytes(), answering)
		return
	}
	s.owe(1)
	go func() {
		defer g.leave()
		defer s.owe(-1)
		defer x.cancel(nil)
		defer context.AfterFunc(g.hard, func() { x.cancel(errDraining) })()
		a := g.serve(ctx, x)
		s.done(x)
		if !a.empty() {
			s.home.send(a.bytes(), answering)
		}
	}()
}

// initializeHere answers the handshake of a session that is not sealed.
func (g *Gateway) initializeHere(ctx context.Context, s *session, m jsonrpc.Message, from visitor) answer {
	id := m.ID.Of(m.Raw)
	v := g.view.Load()
	span := g.startInitialize(ctx, v, &m, from)
	version, caps, result, bad := g.initialize(m, v, v.catalogOf(s))
	if bad != "" {
		span.End(outcome{Code: jsonrpc.CodeInvalidParams})
		return invalidParams(id, bad)
	}
	s.mu.Lock()
	s.version, s.client, s.began = version, caps, time.Now()
	s.opened = span.Ref()
	s.mu.Unlock()
	span.initialized(s, version)
	return resultOf(id, result)
}

// uninitialized answers a request before the handshake. A modern client's probe
// is told at once that there is none here, so that it falls back.
func uninitialized(m jsonrpc.Message, id []byte) (answer, outcome) {
	if m.MethodName() == "server/discover" {
		return refused(errorOf(id, jsonrpc.CodeMethodNotFound, "method not found: send initialize", nil), jsonrpc.CodeMethodNotFound)
	}
	return refused(errorOf(id, jsonrpc.CodeInvalidRequest, "invalid request: send initialize first", nil), jsonrpc.CodeInvalidRequest)
}

// asRPC returns err as a JSON-RPC error, nil if err is nil.
func asRPC(err error) *jsonrpc.Error {
	if err == nil {
		return nil
	}
	if bad, ok := errors.AsType[*jsonrpc.Error](err); ok {
		return bad
	}
	return &jsonrpc.Error{Code: jsonrpc.CodeInternal, Message: "internal error"}
}
