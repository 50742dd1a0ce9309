package upstream

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// ErrClosed is a link's reason after Close.
var ErrClosed = errors.New("link closed")

// Executed says whether a server may have run a request that failed.
type Executed string

// No means that the server did not run it; Unknown that it may have.
const (
	ExecutedNo      Executed = "no"
	ExecutedUnknown Executed = "unknown"
)

// TransportError is a request that got no answer because of the way to the
// server, not because of the server's word.
type TransportError struct {
	// Executed is No if no byte of the request was written, or the server said
	// that it did not run it.
	Executed Executed
	// Reason is a stable word: dial, write, reset, exit, timeout, too_large,
	// malformed, http_status, unauthorized, needs_auth (somebody has to sign in: Err
	// wraps an *oauth.NeedsAuth), token (there is none for now), rate_limited, session,
	// closed, input (a server required what its client did not give), era (it speaks
	// another revision than it did).
	Reason string
	// Status is the HTTP status that said so, 0 for none.
	Status int
	// RetryAfter is how long the server asked to wait, 0 for nothing said.
	RetryAfter time.Duration
	// Lost says that the link died of it.
	Lost bool
	Err  error
}

func (e *TransportError) Error() string {
	switch {
	case e.Err == nil:
		return e.Reason
	case e.Reason == "needs_auth": // which it begins with
		if needs := needsAuth(e.Err); needs != nil {
			return needs.Error()
		}
	}
	return fmt.Sprintf("%s: %v", e.Reason, e.Err)
}

func (e *TransportError) Unwrap() error { return e.Err }

// StartError is a start that failed.
type StartError struct {
	// Stage is spawn, handshake, list or dependency.
	Stage string
	// Exit describes the child's end ("exit status 3", "signal: killed"), ""
	// for none.
	Exit string
	// Stderr holds the last lines (at most 20) of the child's stderr.
	Stderr []string
	// RetryAfter is how long a remote asked to wait, 0 for nothing said.
	RetryAfter time.Duration
	Err        error
}

func (e *StartError) Error() string {
	s := e.Stage + ": " + e.Err.Error()
	if e.Exit != "" && !strings.HasSuffix(s, e.Exit) {
		s += " (" + e.Exit + ")"
	}
	return s
}

func (e *StartError) Unwrap() error { return e.Err }

// CallError is a call that the upstream did not answer, and what the caller may
// say about it.
type CallError struct {
	Upstream string
	// Reason is a stable word: those of TransportError, and stopped, starting,
	// error, breaker_open, exhausted, queue_full, queue_timeout, rate_limited,
	// dependency, unsupported, removed. Err of needs_auth wraps an *oauth.NeedsAuth,
	// also where the call was not sent.
	Reason string
	// Text says what happened in a sentence that follows the upstream's name. That
	// the call was, or may have been, executed is Executed's to say.
	Text       string
	Executed   Executed
	RetryAfter time.Duration
	Err        error

	by Tie // to what it was refused for, or suffered from; the zero Tie for nothing
}

func (e *CallError) Error() string {
	if e.Executed == ExecutedNo {
		return "upstream " + e.Upstream + ": " + e.Text + " (not executed)"
	}
	return "upstream " + e.Upstream + ": " + e.Text + " (maybe executed)"
}

func (e *CallError) Unwrap() error { return e.Err }
