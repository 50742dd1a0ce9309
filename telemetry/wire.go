package telemetry

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"time"
	"unicode/utf8"
)

// Spans are written as they are sent: as messages of
// opentelemetry/proto/trace/v1/trace.proto, field by field in the order in which
// they are known, which protobuf allows. So nothing of a span is kept in another
// form, and what has ended is sent, kept and shown as the same bytes.

// Fields of the message Span.
const (
	spanTraceID       = 1
	spanSpanID        = 2
	spanTraceState    = 3
	spanParentID      = 4
	spanName          = 5
	spanKind          = 6
	spanStart         = 7
	spanEnd           = 8
	spanAttributes    = 9
	spanEvents        = 11
	spanEventsDropped = 12
	spanLinks         = 13
	spanLinksDropped  = 14
	spanStatus        = 15
	spanFlags         = 16
)

// Fields of the messages Span.Event, Span.Link, Status, KeyValue and AnyValue.
const (
	eventTime       = 1
	eventName       = 2
	eventAttributes = 3

	linkTraceID    = 1
	linkSpanID     = 2
	linkAttributes = 4
	linkFlags      = 6

	statusMessage = 2
	statusCode    = 3
	statusError   = 2 // a value of code

	keyValueKey   = 1
	keyValueValue = 2
	anyString     = 1
	anyBool       = 2
	anyInt        = 3
)

// Bits of flags beside those of W3C (trace.proto, SpanFlags).
const (
	flagKnowsRemote = 0x100
	flagRemote      = 0x200
)

// The wire types of protobuf.
const (
	varintType  = 0
	fixed64Type = 1
	bytesType   = 2
	fixed32Type = 5
)

// maxValue is how long a text of an attribute may be, in bytes.
const maxValue = 8 << 10

func appendTag(b []byte, field, wireType int) []byte {
	return appendVarint(b, uint64(field)<<3|uint64(wireType))
}

func appendVarint(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// sizeVarint is how many bytes appendVarint appends.
func sizeVarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func appendLen(b []byte, field, n int) []byte {
	return appendVarint(appendTag(b, field, bytesType), uint64(n))
}

func appendBytes(b []byte, field int, v []byte) []byte {
	return append(appendLen(b, field, len(v)), v...)
}

func appendText(b []byte, field int, v string) []byte {
	return append(appendLen(b, field, len(v)), v...)
}

func appendTime(b []byte, field int, at time.Time) []byte {
	return binary.LittleEndian.AppendUint64(appendTag(b, field, fixed64Type), uint64(at.UnixNano()))
}

func appendFixed32(b []byte, field int, v uint32) []byte {
	return binary.LittleEndian.AppendUint32(appendTag(b, field, fixed32Type), v)
}

// sizeBytes is the size of a field of n bytes whose number is below 16.
func sizeBytes(n int) int { return 1 + sizeVarint(uint64(n)) + n }

// size is that of the AnyValue.
func (a *Attr) size() int {
	switch a.kind {
	case intAttr:
		return 1 + sizeVarint(uint64(a.number))
	case boolAttr:
		return 2
	}
	return sizeBytes(len(a.text))
}

// appendAttr appends a field that holds the KeyValue of a. An empty text is
// left out.
func appendAttr(b []byte, field int, a Attr) []byte {
	if a.kind == textAttr {
		if a.text == "" {
			return b
		}
		a.text = clean(a.text)
	}
	value := a.size()
	b = appendLen(b, field, sizeBytes(len(a.key))+sizeBytes(value))
	b = appendText(b, keyValueKey, a.key)
	b = appendLen(b, keyValueValue, value)
	switch a.kind {
	case intAttr:
		return appendVarint(appendTag(b, anyInt, varintType), uint64(a.number))
	case boolAttr:
		return appendVarint(appendTag(b, anyBool, varintType), uint64(a.number))
	}
	return appendText(b, anyString, a.text)
}

// clean makes of a text one that protobuf takes: collectors refuse a whole batch
// for one byte that is no UTF-8.
func clean(s string) string {
	if len(s) > maxValue+utf8.UTFMax { // a rune that this cuts is cut off below
		s = s[:maxValue+utf8.UTFMax]
	}
	if !utf8.ValidString(s) {
		s = strings.ToValidUTF8(s, "\ufffd") // which may be longer
	}
	if len(s) <= maxValue {
		return s
	}
	end := maxValue
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// appendEvent appends an event to a span.
func appendEvent(b []byte, at time.Time, name string, attrs []Attr) []byte {
	mark := len(b)
	e := appendTime(b, eventTime, at)
	e = appendText(e, eventName, clean(name))
	for _, a := range attrs {
		e = appendAttr(e, eventAttributes, a)
	}
	return enclose(e, mark, spanEvents)
}

// appendLink appends a link to a span.
func appendLink(b []byte, r Ref, attrs []Attr) []byte {
	mark := len(b)
	l := appendBytes(b, linkTraceID, r.trace[:])
	l = appendBytes(l, linkSpanID, r.span[:])
	for _, a := range attrs {
		l = appendAttr(l, linkAttributes, a)
	}
	l = appendFixed32(l, linkFlags, uint32(r.flags)|flagKnowsRemote)
	return enclose(l, mark, spanLinks)
}

// enclose makes of what follows mark the message in a field.
func enclose(b []byte, mark, field int) []byte {
	n := len(b) - mark
	var head [8]byte
	h := appendLen(head[:0], field, n)
	b = append(b, h...)
	copy(b[mark+len(h):], b[mark:mark+n])
	copy(b[mark:], h)
	return b
}
