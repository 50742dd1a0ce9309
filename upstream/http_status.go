package upstream

import (
	"bytes"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// maxRetryAfter caps what a server may ask for.
const maxRetryAfter = 60 * time.Second

// retryAfter reads a Retry-After header (RFC 9110 section 10.2.3). said is
// whether there was one. What is said is at least a millisecond, so that 0 can
// stand for nothing said, and at most 60 s; what cannot be read is a second.
func retryAfter(h http.Header, now time.Time) (wait time.Duration, said bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	wait = time.Second
	if n, err := strconv.ParseFloat(v, 64); !math.IsNaN(n) && (err == nil || math.IsInf(n, 1)) {
		wait = time.Duration(min(max(n, 0), maxRetryAfter.Seconds()) * float64(time.Second))
	} else if at, err := http.ParseTime(v); err == nil {
		// The server's own clock, where it is told, is the one it counted from.
		if date, err := http.ParseTime(h.Get("Date")); err == nil {
			now = date
		}
		wait = at.Sub(now)
	}
	return min(max(wait, time.Millisecond), maxRetryAfter), true
}

// httpFailure classifies a response that is no success. body is the beginning
// of its body; id is the id of the request, nil if it was a notification, and
// session whether a session id was sent with it. ok is false if the response is
// an answer after all: a JSON-RPC error under an error status.
func httpFailure(resp *response, body, id []byte, session bool) (e *TransportError, ok bool) {
	e = &TransportError{
		Executed: ExecutedUnknown, Reason: "http_status", Status: resp.status,
		Err: fmt.Errorf("HTTP status %d %s", resp.status, http.StatusText(resp.status)),
	}
	wait, said := retryAfter(resp.header, time.Now())
	switch code := resp.status; {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		e.Executed, e.Reason = ExecutedNo, "unauthorized"
		return e, true
	case said && (code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable):
		e.Executed, e.Reason, e.RetryAfter = ExecutedNo, "rate_limited", wait
		return e, true
	case session && sessionGone(code, body, id):
		e.Executed, e.Reason = ExecutedNo, "session"
		return e, true
	}
	if id != nil && isError(body) {
		return nil, false
	}
	switch resp.status {
	case http.StatusTooManyRequests:
		e.Executed, e.Reason = ExecutedNo, "rate_limited"
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotAcceptable,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType:
		// Said by a server or a proxy that did not look into the body.
		e.Executed = ExecutedNo
	}
	return e, true
}

// sessionGone reports whether a response says that the session is unknown: 404
// (basic/transports, Session Management), or 400 with words to that effect,
// which is what servers made after the SDK's example say. An error that answers
// the request itself, such as an unknown method, is no such thing.
func sessionGone(code int, body, id []byte) bool {
	switch code {
	case http.StatusNotFound:
		m, err := jsonrpc.ParseServer(body)
		return err != nil || m.Kind != jsonrpc.Failure || !bytes.Equal(m.ID.Of(body), id) || newServerError(m).Code != jsonrpc.CodeMethodNotFound
	case http.StatusBadRequest:
		m, err := jsonrpc.ParseServer(body)
		if err == nil && m.ID.Ok() && bytes.Equal(m.ID.Of(body), id) {
			return false
		}
		return bytes.Contains(bytes.ToLower(body), []byte("session"))
	}
	return false
}

func isError(body []byte) bool {
	m, err := jsonrpc.ParseServer(body)
	return err == nil && m.Kind == jsonrpc.Failure
}
