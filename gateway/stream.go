package gateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

const (
	keepAlive    = 15 * time.Second // between comments on a silent stream
	writeTimeout = 30 * time.Second // for one piece of what is written to a client
	resumeWindow = 30 * time.Second // in which a lost stream may be resumed

	maxUnsent   = 512 << 10 // bytes waiting for a slow client before optional events are dropped
	maxWaiting  = 4096      // events waiting, of any kind but answers
	maxReplay   = 256 << 10 // bytes of sent events kept for a resume
	replayCount = 256       // events kept for a resume
	maxBatch    = 64 << 10  // bytes of events gathered for one write, more only if one event is
	maxPiece    = 64 << 10  // bytes that a client must read within writeTimeout
)

var (
	errReplaced = errors.New("stream taken over by a newer connection")
	errEnded    = errors.New("session ended")
)

// stream is one resumable sequence of events to a client (MCP 2025-11-25
// basic/transports, "Resumability and Redelivery"): the answer to a POST, or
// the session's standing GET stream. It outlives the connection that carries it.
type stream struct {
	id     string // unique in its session
	suffix string // of event ids: names the request that the stream answers
	prime  bool   // begin with an event that has only an id

	preamble []byte // written first on each connection; nil for none
	// opened is called when a connection begins to carry the stream: what it sends goes
	// out there. Nil for nobody to tell.
	opened func()
	// abandoned is called when nobody can come back for an unfinished stream any
	// more: it stayed without a connection for the whole resumeWindow, or the
	// connection went before it had carried an event id. Nil for nobody to tell.
	abandoned func()
	bare      bool          // events have no ids
	made      telemetry.Ref // the span of the request that it answers, zero for none
	forgets   bool          // keeps nothing for a resume: there is none on HTTP+SSE

	mu       sync.Mutex // guards all below
	events   []event    // kept ones, oldest first, sent or not
	first    uint64     // number of events[0]; numbers begin with 1
	sent     uint64     // number of the last event written to a connection
	size     int        // bytes in events
	unsent   int        // bytes in events that were never written
	closed   bool       // nothing more will come
	turn     uint64     // of the connection that carries the stream now
	attached bool
	told     bool          // an event id was sent, maybe not in vain: the client can resume
	poke     chan struct{} // capacity 1: something changed for the attached connection
	left     time.Time     // when the last connection went
	window   *time.Timer   // runs abandoned; nil while it cannot be due
	flow     *outflow      // to the attached connection, nil for none
	flowTurn uint64        // of flow
	backlog  *backlog      // that large counts in
	large    *unread       // nil for a stream that holds no large answer
}

type event struct {
	data   []byte
	answer bool
}

func newStream(id, suffix string, prime bool) *stream {
	return &stream{id: id, suffix: suffix, prime: prime, first: 1, left: time.Now()}
}

// send implements outlet.
func (s *stream) send(raw []byte, w weight) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := s.last() - s.sent
	switch {
	case s.closed,
		w == optional && (s.unsent >= maxUnsent || s.deserted(time.Now())),
		w != answering && waiting >= maxWaiting:
		return false
	}
	e := event{data: jsonrpc.OneLine(raw), answer: w == answering}
	s.events = append(s.events, e)
	s.size += len(e.data)
	s.unsent += len(e.data)
	s.wake()
	return true
}

// finish queues the answer, if there is one, and closes the stream.
func (s *stream) finish(raw []byte) {
	if raw != nil {
		s.send(raw, answering)
	}
	s.mu.Lock()
	s.closed = true
	s.stopWindow()
	s.wake()
	s.mu.Unlock()
}

// hold counts an answer of size bytes, which is about to be sent, in b for as
// long as the stream keeps it.
func (s *stream) hold(b *backlog, size int) {
	u := b.enter(size, s.discard)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backlog, s.large = b, u
}

// discard lets go of all that the stream keeps, and of the connection that reads
// it too slowly.
func (s *stream) discard() {
	s.end()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.first += uint64(len(s.events))
	s.events, s.size, s.unsent = nil, 0, 0
	if s.flow != nil {
		s.flow.cutOff()
	}
}

// forgotten is called when the session no longer knows the stream.
func (s *stream) forgotten() {
	s.mu.Lock()
	b, u := s.backlog, s.large
	s.mu.Unlock()
	if b != nil {
		b.leave(u)
	}
}

// last is the number of the newest event. The caller holds mu.
func (s *stream) last() uint64 { return s.first + uint64(len(s.events)) - 1 }

// deserted reports whether nobody may come back for the stream. The caller
// holds mu.
func (s *stream) deserted(now time.Time) bool {
	return !s.attached && now.Sub(s.left) > resumeWindow
}

// stopWindow stops waiting for a resume. The caller holds mu.
func (s *stream) stopWindow() {
	if s.window != nil {
		s.window.Stop()
		s.window = nil
	}
}

// wake tells the attached connection. The caller holds mu.
func (s *stream) wake() {
	if s.poke != nil {
		select {
		case s.poke <- struct{}{}:
		default:
		}
	}
}

// live reports whether a connection carries the stream now.
func (s *stream) live() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attached
}

// away returns since when no connection carries the stream; gone is false while one does.
func (s *stream) away() (since time.Time, gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.left, !s.attached
}

// over reports whether nothing more will come, and nobody may come back for what
// did.
func (s *stream) over(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed && s.deserted(now)
}

// carried returns how many events were written to a connection.
func (s *stream) carried() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int64(s.sent) //nolint:gosec // a stream has fewer
}

// kept returns how many bytes the stream holds.
func (s *stream) kept() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.size
}

// carry writes the stream to w until it is closed and written out (nil), ctx is
// done, a newer connection takes over (errReplaced) or a write fails. Events
// after number from are replayed; those that were dropped since are missing.
// resumed says that the client asked for them.
func (s *stream) carry(ctx context.Context, w http.ResponseWriter, from uint64, resumed bool) error {
	out := http.NewResponseController(w)
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)

	s.mu.Lock()
	s.turn++
	turn := s.turn
	s.wake() // whoever carried it before must let go
	poke := make(chan struct{}, 1)
	s.poke, s.attached = poke, true
	flow := &outflow{w: w}
	s.flow, s.flowTurn = flow, turn
	s.stopWindow()
	if !resumed {
		from = s.sent
	}
	from = min(from, s.last()) // a client may have made the number up
	s.told = s.told || s.prime
	s.mu.Unlock()
	defer s.detach(turn)
	if s.opened != nil {
		s.opened()
	}

	buf := bytes.Clone(s.preamble)
	if s.prime && !resumed {
		buf = append(append(append(buf, "id: "...), s.eventID(from)...), "\ndata: \n\n"...)
	} else if len(buf) == 0 {
		buf = append(buf, ":\n\n"...)
	}
	quiet := time.NewTimer(keepAlive)
	defer quiet.Stop()
	for {
		got, err := s.collect(buf, turn, from)
		if err != nil {
			return err
		}
		buf, from = got.events, got.next
		if len(buf) > 0 {
			if err := flow.events(got); err != nil {
				return err
			}
			if err := out.Flush(); err != nil {
				return err
			}
			s.wrote(from)
			if buf = buf[:0]; cap(buf) > 2*maxBatch {
				buf = nil
			}
			quiet.Reset(keepAlive)
			continue
		}
		if got.done {
			return nil
		}
		select {
		case <-poke:
		case <-ctx.Done():
			return ctx.Err()
		case <-quiet.C:
			buf = append(buf, ": keep-alive\n\n"...)
			quiet.Reset(keepAlive)
		}
	}
}

// eventBatch is what is written to a connection at once.
type eventBatch struct {
	events []byte // whole events, and of a large one the head
	large  []byte // its data, nil for none
	next   uint64 // the number of the last event
	done   bool   // nothing comes after it
}

// collect appends events after number from to buf, up to about maxBatch. A large
// one is the last, and its data is not copied.
func (s *stream) collect(buf []byte, turn, from uint64) (eventBatch, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.turn != turn {
		return eventBatch{}, errReplaced
	}
	if from+1 < s.first {
		from = s.first - 1
	}
	last := s.last()
	b := eventBatch{events: buf}
	for from < last && len(b.events) < maxBatch && b.large == nil {
		s.told = true
		from++
		e := s.events[from-s.first]
		if len(e.data) < maxBatch {
			b.events = jsonrpc.AppendEvent(b.events, s.eventID(from), "message", e.data)
			continue
		}
		b.events = jsonrpc.AppendEventHead(b.events, s.eventID(from), "message")
		b.large = e.data
	}
	b.next, b.done = from, s.closed && from >= last
	return b, nil
}

// wrote notes that all events up to number n reached a connection and lets go
// of the oldest that need not be kept for a resume.
func (s *stream) wrote(n uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := s.sent + 1; i <= n; i++ {
		if i >= s.first {
			s.unsent -= len(s.events[i-s.first].data)
		}
	}
	s.sent = max(s.sent, n)
	drop := 0
	for drop < len(s.events) && s.first+uint64(drop) <= s.sent &&
		(s.forgets || !s.events[drop].answer && (s.size > maxReplay || len(s.events)-drop > replayCount)) {
		s.size -= len(s.events[drop].data)
		s.events[drop] = event{}
		drop++
	}
	if drop > 0 {
		s.events = append(s.events[:0:0], s.events[drop:]...)
		s.first += uint64(drop)
	}
}

// detach notes that the connection with the turn is gone.
func (s *stream) detach(turn uint64) {
	s.mu.Lock()
	var nobody func()
	if s.flowTurn == turn {
		s.flow = nil // the connection may carry something else soon
	}
	if s.turn == turn {
		s.attached, s.poke, s.left = false, nil, time.Now()
		switch {
		case s.abandoned == nil || s.closed:
		case s.told:
			s.window = time.AfterFunc(resumeWindow, s.abandoned)
		default:
			nobody = s.abandoned
		}
	}
	s.mu.Unlock()
	if nobody != nil {
		nobody()
	}
}

// end closes the stream at once: what was not written is lost.
func (s *stream) end() {
	s.mu.Lock()
	s.closed = true
	s.stopWindow()
	s.attached = false
	s.turn++
	s.wake()
	s.mu.Unlock()
}
