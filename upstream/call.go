package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Scope says which link of an upstream is meant. The zero Scope is the
// supervised link, which all share.
type Scope struct {
	// Key tells links apart: a client session, a principal.
	Key string
	// Capabilities are the client capabilities that the link declares.
	Capabilities json.RawMessage
	// Exclusive says that one client session owns the link, so that Capabilities
	// are declared as they are. They are not used otherwise.
	Exclusive bool
	// Principal is whose credentials the link uses (Config.Auth.Per), "" for the
	// gateway's own.
	Principal string
}

// link names the scope's link among those of an upstream, "" for the supervised.
func (s *Scope) link() string {
	if s.Key == "" {
		return s.Principal
	}
	return s.Key
}

// Call is a request for an upstream, and how it may be treated.
type Call struct {
	Scope   Scope
	Request Request
	// Method is the request's MCP method.
	Method string
	// Idempotent says that the request may be sent once more when it is unknown
	// whether it ran.
	Idempotent bool
	// Witness is told of what befalls the call. It may be nil.
	Witness Witness
	// Cancel, if not nil, ends the context that the call is made with, and is
	// called when the call's time is up. Without it each attempt needs a context
	// of its own.
	Cancel context.CancelCauseFunc
	// Begun is when the call began; now, if it is zero. Call sets Ended when
	// there is an answer.
	Begun, Ended time.Time

	flight flight
}

// of names what is called, to tell whether several tools fail.
func (c *Call) of() string {
	if name := c.Request.Message.Name.Of(c.Request.Message.Raw); name != nil {
		return string(name)
	}
	return c.Method
}

// Call sends a request and blocks until its answer, which is a Result or a
// Failure under an id of the link's. It waits for a start that is under way and
// for a slot, up to limits.queue_timeout, and sends again what certainly did not
// run. The error is a *CallError, or context.Cause(ctx) when ctx ended first. A
// Call is made once and belongs to Call from then on.
func (u *Upstream) Call(ctx context.Context, c *Call) (jsonrpc.Message, error) {
	m, err := u.call(ctx, c)
	if err != nil {
		kind := cancelled
		if e, ok := errors.AsType[*CallError](err); ok {
			kind = e.Reason
		}
		u.figures.erred(time.Now(), kind)
	}
	return m, err
}

func (u *Upstream) call(ctx context.Context, c *Call) (jsonrpc.Message, error) {
	f := c.fly(u)
	executed := ExecutedNo
	for tries := 0; ; tries++ {
		m, e := u.try(ctx, f)
		if e == nil {
			return m, nil
		}
		if givenUp(ctx) {
			return jsonrpc.Message{}, context.Cause(ctx)
		}
		if e.Executed == ExecutedUnknown {
			executed = ExecutedUnknown
		}
		e.Executed = executed
		pause, again := f.again(e, tries)
		if !again || sleep(ctx, pause) != nil {
			if givenUp(ctx) {
				return jsonrpc.Message{}, context.Cause(ctx)
			}
			return jsonrpc.Message{}, e
		}
		if c.Witness != nil {
			c.Witness.Event("retry")
		}
	}
}

// givenUp reports whether the caller ended ctx, rather than a clock of ours.
func givenUp(ctx context.Context) bool { return ctx.Err() != nil && !expired(context.Cause(ctx)) }

// try lets a call in and sends it. The error is worth nothing where ctx ended:
// then it is not counted either, whatever the link says of it.
func (u *Upstream) try(ctx context.Context, f *flight) (jsonrpc.Message, *CallError) {
	s, err := u.admit(ctx, f.call)
	if err != nil {
		var e *CallError
		if !errors.As(err, &e) {
			e = u.refuse("canceled", err.Error(), 0)
		}
		f.call.tied(e.by)
		return jsonrpc.Message{}, e
	}
	now := f.begun
	if s.waited || f.sent {
		now = time.Now()
	}
	f.sent = true
	m, err := f.send(ctx, s, now)
	switch {
	case err == nil:
		f.call.Ended = time.Now()
		u.succeeded(s, f.call.Ended)
		u.figures.answered(f.call.Ended, f.call.Ended.Sub(f.begun), f.call.Method, &m)
		return m, nil
	case givenUp(ctx):
		return m, u.refuse("canceled", err.Error(), 0)
	}
	e := u.broken(s, f.call, err)
	f.call.tied(e.by)
	return m, e
}

// succeeded counts an answer.
func (u *Upstream) succeeded(s seat, now time.Time) {
	u.breaker.reportAt(now, s.epoch, success, "")
	if s.link.pooled == nil {
		u.evidence.Store(now.UnixNano())
	}
}

// broken counts a call without an answer, and says what its caller may know.
func (u *Upstream) broken(s seat, c *Call, err error) *CallError {
	e := &CallError{Upstream: u.name, Executed: ExecutedUnknown, Err: err}
	var way *TransportError
	switch {
	case expired(err) && !noToken(err):
		e.Reason, e.Text = "timeout", err.Error()+"; it was cancelled"
		u.timedOut(s, c)
		return e
	case errors.As(err, &way):
		e.Executed, e.Reason, e.RetryAfter = way.Executed, way.Reason, min(way.RetryAfter, maxGate)
	default:
		e.Reason = "dial" // a Dialer's own error
		e.Executed = ExecutedNo
	}
	u.heed(way)
	u.cutOff(err)
	v := failure
	if way != nil {
		v = judge(way)
	}
	if v == slow {
		u.timedOut(s, c)
	}
	u.refusedOwn(s.link, err)
	if s.link.pooled != nil || !s.link.dead() { // else the owner counts its loss, once
		u.breaker.report(s.epoch, v, c.of(), c.mark())
	} else if way != nil && (way.Lost || way.Reason == "closed") {
		e.by = Tie{HurtBy, u.hurt(s, c, v)}
	}
	e.Text = err.Error()
	if way != nil {
		e.Text += u.hint(way)
	}
	return e
}

// timedOut leaves it to a probe to say whose fault a timeout is. A link of the
// pool is not probed: its server may be another process, but the supervised one
// speaks for the upstream.
func (u *Upstream) timedOut(s seat, c *Call) {
	if u.breaker.gate.Load() == s.epoch {
		u.slow.add(c)
		u.timeouts.Add(1)
		poke(u.timed)
	}
}

// again decides whether a call is sent once more, and after which pause.
func (f *flight) again(e *CallError, tries int) (pause time.Duration, again bool) {
	left := f.left(time.Now())
	switch {
	case e.Err == nil: // we refused it
		return 0, false
	case e.Reason == "timeout", e.Reason == "too_large", e.Reason == "malformed", e.Reason == "input",
		e.Reason == "unauthorized", e.Reason == "needs_auth", e.Reason == "token":
		return 0, false
	case e.Reason == "rate_limited":
		pause = e.RetryAfter + rand.N(50*time.Millisecond)
		return pause, tries == 0 && e.RetryAfter > 0 && pause < left
	case e.Executed == ExecutedUnknown:
		again = f.call.Idempotent && tries == 0
	case e.Reason == "session":
		again = tries == 0
	default:
		again = tries < 2
	}
	pause = 10*time.Millisecond<<(2*tries) + rand.N(20*time.Millisecond)
	return pause, again && pause < left
}

// sleep blocks for d and reports why it ended before.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (u *Upstream) refuse(reason, text string, after time.Duration) *CallError {
	return &CallError{
		Upstream: u.name, Reason: reason, Text: text, Executed: ExecutedNo,
		RetryAfter: max(after, 0),
	}
}

func in(d time.Duration) string {
	if d < time.Second {
		return "at once"
	}
	return fmt.Sprintf("in %v", d.Round(time.Second))
}
