package gateway

import (
	"context"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/gateway/bridge"
)

// Attach serves one client on a connection of its own, as ServeStdio does but
// for its ends: the end of in is the client's, so that its calls are cancelled
// at once; and in a drain it gets the answers of its calls in flight, is told of
// other requests that they are the next gateway's (bridge.Refused), and its
// subscriptions stay open for that one too. It blocks until in ends, ctx is done
// or the drain is over, or the client does not read its answers: what waits for
// all clients is bounded. Where out has write deadlines, as a net.Conn does, it
// may take no longer for a piece than an HTTP client may.
func (g *Gateway) Attach(ctx context.Context, in io.Reader, out io.Writer) error {
	return g.AttachIn(ctx, "", in, out)
}

// AttachIn is Attach for a client that sees a profile and no more, "" for what it
// gets without. While there is none of that name it sees nothing.
func (g *Gateway) AttachIn(ctx context.Context, profile string, in io.Reader, out io.Writer) error {
	s := g.local(profile)
	s.attached = true
	// It may still answer questions of a gateway before this one.
	s.asked = rand.Uint64N(1 << 40)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(g.closing, func() { cancel(nil) })()
	w := &paced{w: out}
	p := newPipe()
	p.backlog, p.cut = &g.backlog, func() { w.cutOff(); cancel(errStuck) }
	return g.serveLines(ctx, s, p, in, w)
}

// paced writes to a client that has writeTimeout for each piece.
type paced struct {
	w   io.Writer
	cut atomic.Bool
}

func (p *paced) Write(b []byte) (n int, err error) {
	limited, _ := p.w.(interface{ SetWriteDeadline(time.Time) error })
	for n < len(b) && err == nil {
		if limited != nil {
			_ = limited.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		if p.cut.Load() { // after the deadline was set: it may have undone that of cutOff
			return n, errStuck
		}
		var wrote int
		wrote, err = p.w.Write(b[n:min(n+maxPiece, len(b))])
		n += wrote
	}
	if err != nil && p.cut.Load() {
		err = errStuck
	}
	return n, err
}

// cutOff ends the writing. It does not block.
func (p *paced) cutOff() {
	p.cut.Store(true)
	if limited, ok := p.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = limited.SetWriteDeadline(time.Unix(1, 0))
	}
}

// refuse turns the request with the id away because the gateway drains.
func (s *session) refuse(id []byte) {
	if s.attached {
		s.home.send(bridge.Refused(id), answering)
		return
	}
	s.home.send(turnedAway().asError(id).bytes(), answering)
}

// Unused returns for how long no client has used the gateway: none is attached
// or on stdio, every session has ended or expired, and none of 2026-07-28 has
// asked anything. It is 0 while one does.
func (g *Gateway) Unused() time.Duration {
	since, used := g.sessions.unusedSince()
	if used {
		return 0
	}
	last, used := g.moderns.lastUsed()
	if used {
		return 0
	}
	if last.After(since) {
		since = last
	}
	return time.Since(since)
}
