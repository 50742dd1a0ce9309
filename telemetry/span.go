package telemetry

import (
	"bytes"
	"context"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"
)

type (
	traceID [16]byte
	spanID  [8]byte
)

// Bounds of what one span holds: what comes then is counted as dropped.
const (
	maxEvents = 32
	maxLinks  = 16
)

// Kind is what a span stands for.
type Kind byte

// The kinds, with the numbers of trace.proto.
const (
	KindInternal Kind = 1
	KindServer   Kind = 2
	KindClient   Kind = 3
)

// Ref identifies a span, for links. The zero Ref is that of none.
type Ref struct {
	trace traceID
	span  spanID
	flags byte
}

// IsZero reports whether it is the Ref of no span.
func (r Ref) IsZero() bool { return r.span == spanID{} }

// Link is a Ref and why it is linked to.
type Link struct {
	To    Ref
	Attrs []Attr
}

// Span is an operation under way. A nil Span is one that nobody watches; all
// methods do nothing on it. It is safe for concurrent use. It must be ended, or
// it is lost.
type Span struct {
	t   *Telemetry
	rec *recording
	// tracestate and baggage go on as they came.
	tracestate, baggage string
	header              string // the traceparent, of one that only carries its context on
	began               time.Time
	ref                 Ref
	kept                bool // goes into the ring
}

// recording is a span's message as far as it is written. It is nil for a span
// that only carries its context on.
type recording struct {
	mu     sync.Mutex // guards the rest
	sheet  *sheet     // nil once the span is over
	parent spanID
	root   bool
	server bool
	// events and links are how many came.
	events, links int32
}

// carrier is a span that only carries its context on with the bytes of its traceparent,
// in one allocation: most calls have such a one where few are sampled.
type carrier struct {
	Span
	text [parentLen]byte
}

// recorded is a span with its recording, in one allocation.
type recorded struct {
	Span
	recording
}

// sheet is where a span is written. A span is copied off it at its end, so that
// what a call leaves for the collector of garbage is small.
type sheet struct{ b []byte }

// maxSheet is how large a sheet may have grown that is used again, in bytes.
const maxSheet = 16 << 10

// blank returns a sheet with nothing on it.
func (t *Telemetry) blank() *sheet {
	if p, ok := t.sheets.Get().(*sheet); ok {
		p.b = p.b[:0]
		return p
	}
	return &sheet{make([]byte, 0, 1<<10)}
}

// done takes a sheet back.
func (t *Telemetry) done(p *sheet) {
	if cap(p.b) <= maxSheet {
		t.sheets.Put(p)
	}
}

// SpanStart says how a span of the gateway's own begins.
type SpanStart struct {
	Name   string
	Parent *Span     // nil begins a trace, which is always sampled, but for
	As     Ref       // the Ref of a span: then the trace is sampled if that one was
	Kind   Kind      // internal, if it is zero
	Began  time.Time // now, if it is zero
	Attrs  []Attr
	Links  []Link // those to no span are left out
}

// Internal begins a span for work of the gateway's own, such as "upstream
// start". It is nil if nobody would see it.
func (t *Telemetry) Internal(s SpanStart) *Span {
	if !t.Tracing() {
		return nil
	}
	if s.Began.IsZero() {
		s.Began = time.Now()
	}
	if s.Kind == 0 {
		s.Kind = KindInternal
	}
	var span *Span
	switch {
	case s.Parent == nil && s.As.IsZero():
		span = t.span(Ref{trace: newTraceID(), flags: t.exported()}, s.Began, true, true)
	case s.Parent == nil:
		span = t.span(Ref{trace: newTraceID(), flags: s.As.flags & t.exported()}, s.Began, true, t.Keeps(s.Began))
		if span.rec == nil {
			return nil
		}
	default:
		if s.Parent.rec == nil {
			return nil
		}
		span = s.Parent.child(s.Began)
	}
	r := span.rec
	r.begin(s.Name, "", s.Kind, span)
	for _, a := range s.Attrs {
		r.sheet.b = appendAttr(r.sheet.b, spanAttributes, a)
	}
	for _, l := range s.Links {
		span.Link(l.To, l.Attrs...)
	}
	return span
}

// exported is the W3C flags of a span that is exported if any is.
func (t *Telemetry) exported() byte {
	if t.queue != nil {
		return flagSampled
	}
	return 0
}

// span makes one. ref has the trace and its flags, and the parent's id if there is
// a parent; root says that none of this process is.
func (t *Telemetry) span(ref Ref, began time.Time, root, kept bool) *Span {
	parent := ref.span
	for ref.span = (spanID{}); ref.span == (spanID{}); {
		ref.span = newSpanID()
	}
	kept = kept && t.ring != nil
	if ref.flags&flagSampled == 0 && !kept {
		c := &carrier{Span: Span{t: t, ref: ref, began: began}}
		if t.Exporting() {
			c.header = ref.putParent(&c.text)
		}
		return &c.Span
	}
	r := &recorded{Span: Span{t: t, ref: ref, began: began, kept: kept}}
	r.rec = &r.recording
	r.root, r.parent = root, parent
	r.sheet = t.blank()
	return &r.Span
}

// child makes a span below s.
func (s *Span) child(began time.Time) *Span {
	c := s.t.span(s.ref, began, false, s.kept)
	c.tracestate, c.baggage = s.tracestate, s.baggage
	return c
}

// begin writes what is known at the start. The name is name, and after a space
// target, if there is one.
func (r *recording) begin(name, target string, kind Kind, s *Span) {
	b := appendBytes(r.sheet.b, spanTraceID, s.ref.trace[:])
	b = appendBytes(b, spanSpanID, s.ref.span[:])
	flags := uint32(s.ref.flags) | flagKnowsRemote
	if r.parent != (spanID{}) {
		b = appendBytes(b, spanParentID, r.parent[:])
		if r.root {
			flags |= flagRemote
		}
	}
	if s.tracestate != "" {
		b = appendText(b, spanTraceState, s.tracestate)
	}
	name, target = clean(name), clean(target)
	if target == "" {
		b = appendText(b, spanName, name)
	} else {
		b = appendLen(b, spanName, len(name)+1+len(target))
		b = append(append(append(b, name...), ' '), target...)
	}
	b = appendVarint(appendTag(b, spanKind, varintType), uint64(kind))
	b = appendTime(b, spanStart, s.began)
	b = appendTag(b, spanFlags, fixed32Type)
	r.sheet.b = append(b, byte(flags), byte(flags>>8), 0, 0)
}

// Recording reports whether anybody will see what is told of the span.
func (s *Span) Recording() bool { return s != nil && s.rec != nil }

// Ref identifies the span, also after its end. It is zero for a span that is not
// recorded.
func (s *Span) Ref() Ref {
	if !s.Recording() {
		return Ref{}
	}
	return s.ref
}

// TraceID is that of the trace as 32 hexadecimal digits, "" for no span.
func (s *Span) TraceID() string {
	if s == nil {
		return ""
	}
	return hex.EncodeToString(s.ref.trace[:])
}

// SpanID is that of the span as 16 hexadecimal digits, "" for no span.
func (s *Span) SpanID() string {
	if s == nil {
		return ""
	}
	return hex.EncodeToString(s.ref.span[:])
}

// Event records that something happened within the span now, such as a retry. A
// span holds 32 at most.
func (s *Span) Event(name string, attrs ...Attr) { s.EventAt(time.Now(), name, attrs...) }

// EventAt records that something happened at that time.
func (s *Span) EventAt(at time.Time, name string, attrs ...Attr) {
	if !s.Recording() {
		return
	}
	r := s.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sheet == nil {
		return
	}
	if r.events++; r.events <= maxEvents {
		r.sheet.b = appendEvent(r.sheet.b, at, name, attrs)
	}
}

// Set adds attributes.
func (s *Span) Set(attrs ...Attr) {
	if !s.Recording() {
		return
	}
	r := s.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sheet == nil {
		return
	}
	for _, a := range attrs {
		r.sheet.b = appendAttr(r.sheet.b, spanAttributes, a)
	}
}

// Link ties the span to another, which it suffered from or caused. Attrs are the
// link's. A span holds 16 at most.
func (s *Span) Link(to Ref, attrs ...Attr) {
	if !s.Recording() || to.IsZero() {
		return
	}
	r := s.rec
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sheet == nil {
		return
	}
	if r.links++; r.links <= maxLinks {
		r.sheet.b = appendLink(r.sheet.b, to, attrs)
	}
}

// End ends the span now. Only the first end counts.
func (s *Span) End(o Outcome) {
	if s.Recording() {
		s.end(time.Now(), o)
	}
}

// EndAt ends the span at that time.
func (s *Span) EndAt(at time.Time, o Outcome) {
	if s.Recording() {
		s.end(at, o)
	}
}

func (s *Span) end(at time.Time, o Outcome) {
	r := s.rec
	r.mu.Lock()
	p := r.sheet
	r.sheet = nil
	r.mu.Unlock()
	if p == nil { // it has ended already
		return
	}
	took := max(0, at.Sub(s.began)) // by the monotonic clock
	at = s.began.Add(took)
	failure := o.errorType(r.server)
	p.b = appendTime(p.b, spanEnd, at)
	p.b = r.appendOutcome(p.b, o, failure)
	if s.ref.flags&flagSampled != 0 {
		s.t.queue.add(p.b)
	}
	if s.kept {
		s.t.open.ended(s)
		s.t.ring.add(finished{
			trace: s.ref.trace, span: s.ref.span, parent: r.parent, root: r.root,
			began: s.began, ended: at, failed: failure != "", raw: bytes.Clone(p.b),
		})
	}
	s.t.done(p)
}

// appendOutcome appends how a span ended, and what of it was dropped.
func (r *recording) appendOutcome(b []byte, o Outcome, failure string) []byte {
	if o.RPCCode != 0 {
		b = appendAttr(b, spanAttributes, String(AttrStatusCode, strconv.Itoa(o.RPCCode)))
	}
	if failure != "" {
		b = appendAttr(b, spanAttributes, String(AttrErrorType, failure))
		mark := len(b)
		if o.Message != "" {
			b = appendText(b, statusMessage, clean(o.Message))
		}
		b = appendVarint(appendTag(b, statusCode, varintType), statusError)
		b = enclose(b, mark, spanStatus)
	}
	if n := r.events - maxEvents; n > 0 {
		b = appendVarint(appendTag(b, spanEventsDropped, varintType), uint64(n))
	}
	if n := r.links - maxLinks; n > 0 {
		b = appendVarint(appendTag(b, spanLinksDropped, varintType), uint64(n))
	}
	return b
}

// SpanKey is under what a context carries its span.
type SpanKey struct{}

// NewContext returns a context that carries the span.
func NewContext(ctx context.Context, s *Span) context.Context {
	if s == nil {
		return ctx
	}
	return context.WithValue(ctx, SpanKey{}, s)
}

// FromContext returns the span that the context carries, nil for none.
func FromContext(ctx context.Context) *Span {
	s, _ := ctx.Value(SpanKey{}).(*Span)
	return s
}

func newTraceID() (id traceID) {
	for id == (traceID{}) {
		put(id[:8], rand.Uint64())
		put(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id spanID) {
	put(id[:], rand.Uint64())
	return id
}
