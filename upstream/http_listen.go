package upstream

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// listenGrace is how long the first call on a link of a client's own waits for
// the GET stream. Servers send the head of the response at once, but some not
// before their first event.
const listenGrace = 500 * time.Millisecond

// listened blocks until the server has said whether it has a GET stream, or for
// listenGrace. A server asks its questions there if it knows no better, and what
// it asks while nobody listens is lost, and its call with it.
func (s *httpSession) listened(ctx context.Context) {
	patience := time.NewTimer(listenGrace)
	defer patience.Stop()
	select {
	case <-s.heeds:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// listen keeps the GET stream of a session open (basic/transports, Listening for
// Messages from the Server) until the session ends or the server turns out to
// offer none. Losing it harms no call: it is opened again, after what was
// received last.
func (s *httpSession) listen() {
	var last string
	var pause time.Duration
	opened := false
	said := sync.OnceFunc(func() { close(s.heeds) })
	for failures := 1; ; failures++ {
		resp, err := s.get(s.ctx, last)
		said()
		wait := reconnectPause(failures, time.Second, time.Minute)
		if err == nil {
			switch {
			case resp.stream():
				opened = true
				if s.hear(resp, &last, &pause) {
					failures = 0
					wait = reconnectPause(1, time.Second, time.Minute)
				}
			case resp.status == http.StatusNotFound && opened && s.id != "":
				resp.drain()
				s.link.life.spawn(func() { _ = s.link.renew(s.link.life.ctx, s) })
				return
			case passing(resp.status):
				if after, ok := retryAfter(resp.header, time.Now()); ok {
					wait = max(wait, after)
				}
			default: // 405 is the word for it, others are met as well
				resp.drain()
				s.link.log.Debug("no stream from the server", "status", resp.status)
				return
			}
			resp.drain()
		} else if needsAuth(err) != nil {
			wait = signInPause(failures)
		}
		if !rest(s.ctx, max(wait, pause)) {
			return
		}
	}
}

// hear takes the events of one GET stream to its end, and reports whether there
// were any.
func (s *httpSession) hear(resp *response, last *string, pause *time.Duration) (any bool) {
	var qs openQuestions
	defer qs.close()
	// A stream that says nothing for long is no reason to give it up.
	r := jsonrpc.NewEventReader(resp.body, s.link.max)
	for {
		ev, err := r.Next()
		var long *jsonrpc.TooLongError
		switch {
		case errors.As(err, &long):
			s.link.log.Warn("message over max_message skipped", "size", long.Size)
			continue
		case err != nil:
			return any
		}
		any = true
		if ev.HasID {
			*last = ev.ID
		}
		if ev.Retry > 0 {
			*pause = min(ev.Retry, time.Minute)
		}
		if len(ev.Data) == 0 || ev.Type != "" && ev.Type != "message" {
			continue
		}
		parts, batch, err := jsonrpc.Batch(ev.Data)
		if !batch {
			parts = [][]byte{ev.Data}
		} else if err != nil {
			continue
		}
		for _, part := range parts {
			if m, err := jsonrpc.ParseServer(part); err == nil {
				s.heard(m, &qs)
			} else {
				s.link.log.Debug("malformed message on the stream", "error", err)
			}
		}
	}
}

// heard takes one message that belongs to no call. Answers do not come this way.
func (s *httpSession) heard(m jsonrpc.Message, qs *openQuestions) {
	d := s.link.dial
	switch {
	case m.Kind == jsonrpc.Notification && m.MethodName() == "notifications/cancelled":
		qs.withdraw(string(m.RequestID.Of(m.Raw)))
	case m.Kind == jsonrpc.Notification && m.MethodName() == "notifications/progress":
		s.link.reporting.progress(m)
	case m.Kind == jsonrpc.Notification && d.Inbox != nil:
		d.Inbox.Notified(m)
	case m.Kind == jsonrpc.Request:
		if d.Exclusive && d.Inbox != nil && m.MethodName() != "ping" {
			if q := qs.open(m, s.Notify); q != nil {
				if !s.alone.asked(q) {
					d.Inbox.Asked(q)
				}
				return
			}
		}
		s.answerItself(m)
	}
}
