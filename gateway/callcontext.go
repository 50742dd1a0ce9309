package gateway

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
)

// callContext is the context of one request: it ends with a cause, has no
// deadline and no value but its span, and costs nothing where nobody asks for its channel.
// It is an upstream.Hooked. The zero value is ready to use and must not be
// copied.
type callContext struct {
	mu    sync.Mutex // guards the rest
	cause error      // nil until it ends
	done  chan struct{}
	hook  func()
	after map[*func()]struct{}

	span *telemetry.Span // of the request; set before others see the context
}

// callEnd is the error of a callContext: context.Canceled, and the cause. It is
// what context.Cause returns, which cannot look into a context of ours.
type callEnd struct{ cause error }

func (e callEnd) Error() string        { return e.cause.Error() }
func (e callEnd) Unwrap() error        { return e.cause }
func (e callEnd) Is(target error) bool { return target == context.Canceled }

// cancel ends the context. Only the first cause counts; nil is context.Canceled.
func (c *callContext) cancel(cause error) {
	if cause == nil {
		cause = context.Canceled
	}
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return
	}
	c.cause = cause
	if c.done != nil {
		close(c.done)
	}
	hook, after := c.hook, c.after
	c.hook, c.after = nil, nil
	c.mu.Unlock()
	if hook != nil {
		hook()
	}
	for f := range after {
		go (*f)()
	}
}

// Hook implements upstream.Hooked.
func (c *callContext) Hook(f func()) bool {
	c.mu.Lock()
	ended := c.cause != nil
	if c.hook != nil {
		c.mu.Unlock()
		return false
	}
	if !ended {
		c.hook = f
	}
	c.mu.Unlock()
	if ended {
		f()
	}
	return true
}

// Unhook implements upstream.Hooked.
func (c *callContext) Unhook() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := c.hook != nil
	c.hook = nil
	return had
}

// AfterFunc is what the context package looks for in a context that is not its
// own.
func (c *callContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		go f()
		return func() bool { return false }
	}
	if c.after == nil {
		c.after = make(map[*func()]struct{})
	}
	c.after[&f] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, waits := c.after[&f]
		delete(c.after, &f)
		return waits
	}
}

// Deadline implements context.Context.
func (c *callContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (c *callContext) Value(key any) any {
	if _, ok := key.(telemetry.SpanKey); ok && c.span != nil {
		return c.span
	}
	return nil
}

// Done implements context.Context.
func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.cause != nil {
			close(c.done)
		}
	}
	return c.done
}

// Err implements context.Context.
func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause == nil:
		return nil
	case errors.Is(c.cause, context.Canceled):
		return context.Canceled
	}
	return callEnd{c.cause}
}
