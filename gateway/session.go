package gateway

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// session is what the gateway remembers of one legacy client between its
// requests. What must survive a restart is in its sealed id; the rest is
// rebuilt as the client goes on.
type session struct {
	id        string            // sealed; "" on stdio
	key       string            // the ticket's nonce; names the session inside the gateway
	principal *policy.Principal // whose it is, never nil
	apart     string            // names the links that its principal alone has, "" for none
	account   string            // the key of its principal's sign-ins, "" for the gateway's
	view      string            // what it asked to see (catalogFor), "" for all
	attached  bool              // carried by a bridge, which goes on with the next gateway
	boot      string            // makes stream ids differ from those before a restart

	used atomic.Int64 // Unix nanoseconds of the last request
	// latest is who sent the last request; nil while nothing depends on it.
	latest atomic.Pointer[policy.Principal]

	mu        sync.Mutex    // guards all below
	version   string        // agreed revision, "" before initialize (HTTP+SSE and stdio)
	began     time.Time     // when it was agreed on
	opened    telemetry.Ref // the span of initialize, zero for none
	client    clientCapabilities
	inFlight  map[string]*exchange // by the client's id as bytes
	questions map[uint64]*question
	asked     uint64          // questions so far; the last one's id
	elicited  []string        // upstream\x00id of URL elicitations, oldest first
	lanes     map[string]lane // by upstream; each has a goroutine that empties it
	level     string          // logging level the client set, "" for none
	subs      map[string]subscription
	streams   map[string]*stream // answers that may still be resumed
	retired   []*stream          // those of them that are complete, oldest first
	streamed  uint64
	standing  *stream       // the GET stream's; made with the session on HTTP
	home      outlet        // where messages go that belong to no request
	stale     listSet       // lists that changed while nobody could be told
	owed      int           // answers that are not on their way home yet (stdio, HTTP+SSE)
	idle      chan struct{} // closed when none is owed; nil for nobody to tell
	ended     bool
}

// clientCapabilities are what the client said it can be asked.
type clientCapabilities struct {
	raw                          json.RawMessage // the capabilities object as it came
	sampling, elicitation, roots bool
	elicitURL                    bool // it can be shown links
}

// parseCapabilities reads the capabilities object at s.
func parseCapabilities(raw []byte, at jsonrpc.Span) clientCapabilities {
	c := clientCapabilities{raw: json.RawMessage("{}")}
	if at.Ok() && raw[at.Start] == '{' {
		c.raw = append(json.RawMessage(nil), at.Of(raw)...)
	}
	for name, at := range jsonrpc.Members(c.raw, jsonrpc.Whole(c.raw)) {
		switch name {
		case "sampling":
			c.sampling = true
		case "elicitation":
			c.elicitation = true
			url, ok := jsonrpc.Lookup(c.raw, at, "url")
			c.elicitURL = ok && c.raw[url.Start] == '{'
		case "roots":
			c.roots = true
		}
	}
	return c
}

// newSession returns a session that is not in the table yet. With resumable
// streams its home is the standing stream.
func newSession(t ticket, id string) *session {
	s := &session{
		id: id, key: t.Nonce, view: t.View, version: t.Version, boot: randomHex(4),
	}
	s.belongsTo(principalOf(t.Principal))
	if t.Capabilities != nil {
		s.client = parseCapabilities(t.Capabilities, jsonrpc.Whole(t.Capabilities))
	}
	s.used.Store(time.Now().UnixNano())
	if s.began = time.Unix(t.Issued, 0); t.Issued == 0 {
		s.began = time.Now()
	}
	return s
}

// useStreams gives an HTTP session its standing stream.
func (s *session) useStreams() *session {
	s.standing = newStream("s"+s.boot, "", primed(s.version))
	s.standing.opened = s.listens
	s.home = s.standing
	return s
}

// listens tells the client, which can be told now, of the lists that changed.
func (s *session) listens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catchUp()
}

// primed reports whether a client of the revision understands an event that has
// only an id (2025-11-25 basic/transports, "Sending Messages to the Server").
func primed(version string) bool { return version >= "2025-11-25" }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func (s *session) touch() { s.used.Store(time.Now().UnixNano()) }

// newStream makes a resumable stream for the answer to the request with the id,
// nil for several. abandoned is called when the client does not come back.
func (s *session) newStream(requestID []byte, abandoned func()) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.streamed++
	st := newStream("r"+s.boot+strconv.FormatUint(s.streamed, 36), suffixFor(requestID), primed(s.version))
	st.abandoned = abandoned
	if s.ended {
		st.closed = true
		return st
	}
	if s.streams == nil {
		s.streams = make(map[string]*stream)
	}
	s.streams[st.id] = st
	return st
}

// stream finds a stream by the id in its events' ids.
func (s *session) stream(id string) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.standing != nil && s.standing.id == id {
		return s.standing
	}
	return s.streams[id]
}

// busy reports whether the session holds anything that a newly revived one
// would lack: calls, subscriptions, an open stream.
func (s *session) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.inFlight) > 0 || len(s.subs) > 0 || len(s.streams) > 0 || len(s.questions) > 0 ||
		s.standing != nil && s.standing.live() || s.id == ""
}

// unused returns since when the session is not in use, the zero time while a request or
// its stream is open.
func (s *session) unused() (since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.inFlight) > 0 {
		return time.Time{}
	}
	if s.standing != nil {
		left, gone := s.standing.away()
		if !gone {
			return time.Time{}
		}
		since = left // also where whoever carried it has not said so yet
	}
	// Only now: what was under way before told its end first.
	if used := time.Unix(0, s.used.Load()); used.After(since) {
		since = used
	}
	return since
}

// maxRetired and maxKept bound how many complete answers, and how many bytes of
// them, are kept for clients that lost the connection at the last moment. The
// newest is always kept.
const (
	maxRetired = 64
	maxKept    = 1 << 20
)

// retire notes that a stream is complete and was written, and forgets the oldest
// of those that are kept only for a resume.
func (s *session) retire(st *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retired = append(s.retired, st)
	size := 0
	for i, st := range slices.Backward(s.retired) {
		size += st.kept()
		if kept := len(s.retired) - i; kept > 1 && (kept > maxRetired || size > maxKept) {
			s.forget(i + 1)
			return
		}
	}
}

// forget drops the n oldest complete streams. The caller holds mu.
func (s *session) forget(n int) {
	for _, st := range s.retired[:n] {
		delete(s.streams, st.id)
		st.forgotten()
	}
	s.retired = append([]*stream(nil), s.retired[n:]...)
}

// sweep forgets streams that nobody can resume any more.
func (s *session) sweep(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.retired) && s.retired[n].over(now) {
		n++
	}
	if n > 0 {
		s.forget(n)
	}
}

// end cancels what is in flight and closes all streams. It reports false if the
// session had ended already.
func (s *session) end() bool {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return false
	}
	s.ended = true
	inFlight, streams, standing := s.inFlight, s.streams, s.standing
	s.inFlight, s.streams, s.retired = nil, nil, nil
	s.mu.Unlock()
	for _, x := range inFlight {
		x.cancel(errEnded)
	}
	for _, st := range streams {
		st.end()
		st.forgotten()
	}
	if standing != nil {
		standing.end()
	}
	return true
}

// tell sends a message that belongs to no request of the client.
func (s *session) tell(raw []byte, w weight) {
	s.mu.Lock()
	home := s.home
	s.mu.Unlock()
	if home != nil {
		home.send(raw, w)
	}
}

// negotiated returns the agreed revision.
func (s *session) negotiated() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// capabilities returns what the client declared.
func (s *session) capabilities() clientCapabilities {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// owe changes how many answers are owed by n.
func (s *session) owe(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed += n
	if s.owed == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}
