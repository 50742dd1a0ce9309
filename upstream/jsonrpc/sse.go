package jsonrpc

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// Event is one server-sent event (WHATWG HTML section 9.2).
type Event struct {
	// Type is the event's name, "" standing for "message".
	Type string
	// ID is the last event id as of this event; HasID tells whether this event
	// set it.
	ID    string
	HasID bool
	// Data are the joined data lines, in memory of its own.
	Data []byte
	// Retry is the reconnection time the event asked for, 0 for none.
	Retry time.Duration
}

// EventReader reads server-sent events.
type EventReader struct {
	r     *bufio.Reader
	max   int
	id    string
	first bool
}

// NewEventReader reads events from r whose data is at most max bytes.
func NewEventReader(r io.Reader, max int) *EventReader {
	return &EventReader{r: bufio.NewReaderSize(r, 16<<10), max: max, first: true}
}

// Next returns the next event that has data, an id or a retry time. Data over
// the cap gives a *TooLongError, after which Next may be called again. At the
// end of the stream it is io.EOF, or io.ErrUnexpectedEOF inside an event.
func (r *EventReader) Next() (Event, error) {
	var ev Event
	var long *TooLongError
	var data, seen bool
	for {
		line, err := r.line(&ev, &long)
		if err != nil {
			if errors.Is(err, io.EOF) && (seen || len(line) > 0) {
				return Event{}, io.ErrUnexpectedEOF
			}
			return Event{}, err
		}
		if len(line) == 0 {
			if long != nil {
				return Event{}, long
			}
			if !data && !ev.HasID && ev.Retry == 0 {
				ev = Event{}
				seen = false
				continue
			}
			ev.ID = r.id
			if data {
				ev.Data = ev.Data[:len(ev.Data)-1]
			}
			return ev, nil
		}
		seen = true
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "data":
			if long == nil && len(ev.Data)+len(value) > r.max {
				long = &TooLongError{Size: int64(len(ev.Data) + len(value)), Head: bytes.Clone(append(ev.Data, value...)[:keep])}
			}
			if long != nil {
				ev.Data, data = nil, false
				continue
			}
			ev.Data = append(append(ev.Data, value...), '\n')
			data = true
		case "event":
			ev.Type = string(value)
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				r.id = string(value)
				ev.HasID = true
			}
		case "retry":
			if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 {
				ev.Retry = time.Duration(n) * time.Millisecond
			}
		}
	}
}

// line reads one line that may end in \n, \r\n or \r. The line is valid until
// the next call. A line over the cap is consumed and marks the event too long.
func (r *EventReader) line(ev *Event, long **TooLongError) ([]byte, error) {
	var line []byte
	size := int64(0)
	for {
		part, err := r.r.ReadSlice('\n')
		if r.first {
			part = bytes.TrimPrefix(part, []byte("\xef\xbb\xbf"))
			r.first = false
		}
		size += int64(len(part))
		if len(line)+len(part) <= r.max+16 {
			line = append(line, part...)
		} else if *long == nil {
			line = append(line, part...)
			*long = &TooLongError{Head: bytes.Clone(line[len("data:"):min(len(line), keep)])}
			line = line[:0]
		} else {
			(*long).Tail = append((*long).Tail[:0], part[max0(len(part)-keep):]...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil:
			return line, err
		}
		if *long != nil {
			(*long).Size += size
			(*long).Tail = trim((*long).Tail)
			return []byte(":"), nil
		}
		return trim(line), nil
	}
}

// AppendEvent appends one event with single-line data to dst. id and event may
// be "". data must hold no line break; JSON-RPC messages are compacted of them
// by the caller with OneLine.
func AppendEvent(dst []byte, id, event string, data []byte) []byte {
	if event != "" {
		dst = append(append(append(dst, "event: "...), event...), '\n')
	}
	if id != "" {
		dst = append(append(append(dst, "id: "...), id...), '\n')
	}
	dst = append(dst, "data: "...)
	dst = append(dst, data...)
	return append(dst, '\n', '\n')
}

// OneLine returns raw on one line: line breaks, which in JSON can stand only
// between tokens, become spaces. raw itself is returned if it has none.
func OneLine(raw []byte) []byte {
	if bytes.IndexByte(raw, '\n') < 0 && bytes.IndexByte(raw, '\r') < 0 {
		return raw
	}
	out := bytes.Clone(raw)
	for i, c := range out {
		if c == '\n' || c == '\r' {
			out[i] = ' '
		}
	}
	return out
}
