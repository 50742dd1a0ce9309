package telemetry

import (
	"encoding/hex"
	"unsafe"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
)

// The flags of W3C (Trace Context level 2, section 3.2.2.5). The first is ours to set,
// the second goes on as it came.
const (
	flagSampled = 0x01
	flagRandom  = 0x02
)

// Bounds of what is carried on for a client.
const (
	maxTraceState = 4096
	maxBaggage    = 8192 // Baggage, section 3.3.2
)

// remote is the context that a client sent.
type remote struct {
	ref   Ref
	state string
}

// context returns the parent, and the header's context when _meta has another:
// that is to be a link.
func (op *Operation) context() (parent remote, header Ref) {
	parent = parse(op.TraceParent, op.TraceState)
	if op.HeaderTraceParent == "" {
		return parent, Ref{}
	}
	other := parse(op.HeaderTraceParent, op.HeaderTraceState)
	switch {
	case parent.ref.IsZero():
		return other, Ref{}
	case other.ref.trace == parent.ref.trace && other.ref.span == parent.ref.span:
		return parent, Ref{}
	}
	return parent, other.ref
}

// bag is the baggage to carry on. What does not parse is dropped: it would go into
// headers.
func (op *Operation) bag() string {
	bag := op.Baggage
	if bag == "" {
		bag = op.HeaderBaggage
	}
	if bag == "" || len(bag) > maxBaggage {
		return ""
	}
	if _, err := baggage.Parse(bag); err != nil {
		return ""
	}
	return bag
}

// parse reads a W3C traceparent and tracestate. What is malformed gives none, as
// the specification asks; a bad tracestate alone is dropped.
func parse(traceparent, tracestate string) (r remote) {
	ref, ok := parseParent(traceparent)
	if !ok {
		return r
	}
	r.ref = ref
	if tracestate != "" && len(tracestate) <= maxTraceState {
		if _, err := trace.ParseTraceState(tracestate); err == nil {
			r.state = tracestate
		}
	}
	return r
}

// parentLen is the length of a traceparent of version 00.
const parentLen = 55

// parseParent reads a traceparent (Trace Context, section 3.2): a version that is not
// known may have more behind the flags.
func parseParent(s string) (r Ref, ok bool) {
	if len(s) < parentLen || s[2] != '-' || s[35] != '-' || s[52] != '-' {
		return r, false
	}
	var b [1 + 16 + 8 + 1]byte
	for from, to := range [4][2]int{{0, 2}, {3, 35}, {36, 52}, {53, 55}} {
		at := [4]int{0, 1, 17, 25}[from]
		if !unhex(b[at:], s[to[0]:to[1]]) {
			return r, false
		}
	}
	copy(r.trace[:], b[1:17])
	copy(r.span[:], b[17:25])
	r.flags = b[25]
	switch version := b[0]; {
	case version == 0xff, version == 0 && len(s) != parentLen, len(s) > parentLen && s[parentLen] != '-',
		r.trace == traceID{}, r.span == spanID{}:
		return Ref{}, false
	}
	return r, true
}

// unhex reads lower-case digits: others are not allowed.
func unhex(to []byte, s string) bool {
	for i := 0; i < len(s); i += 2 {
		hi, lo := nibble(s[i]), nibble(s[i+1])
		if hi > 15 || lo > 15 {
			return false
		}
		to[i/2] = hi<<4 | lo
	}
	return true
}

func nibble(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// traceParent is the header that names the span as the parent.
func (r Ref) traceParent() string { return r.putParent(new([parentLen]byte)) }

// putParent is traceParent in the bytes at b, which must not be written again.
func (r Ref) putParent(b *[parentLen]byte) string {
	copy(b[:], "00-")
	hex.Encode(b[3:], r.trace[:])
	b[35] = '-'
	hex.Encode(b[36:], r.span[:])
	b[52], b[53], b[54] = '-', '0', '0'+r.flags&(flagSampled|flagRandom)
	return unsafe.String(&b[0], len(b)) //nolint:gosec // they are a string's from now on
}

// Text is the Ref as text, "" for the zero Ref.
func (r Ref) Text() string {
	if r.IsZero() {
		return ""
	}
	b := append(hex.AppendEncode(nil, r.trace[:]), '-')
	b = append(hex.AppendEncode(b, r.span[:]), '-')
	return string(hex.AppendEncode(b, []byte{r.flags}))
}

// RefOf is the inverse of Ref.Text; what is none gives the zero Ref.
func RefOf(text string) Ref {
	r, _ := parseParent("00-" + text)
	return r
}

// Inject returns what to send on: the span as traceparent, and the tracestate and
// the baggage that the client sent. All are "" when no traces are exported, and
// then the client's own context is to pass untouched.
func (s *Span) Inject() (traceparent, tracestate, bag string) {
	if s == nil || !s.t.Exporting() {
		return "", "", ""
	}
	if s.header != "" {
		return s.header, s.tracestate, s.baggage
	}
	return s.ref.traceParent(), s.tracestate, s.baggage
}
