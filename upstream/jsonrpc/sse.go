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
	// Data are the joined data lines, in memory of its own; nil if it had none.
	Data []byte
	// Retry is the reconnection time the event asked for, 0 for none.
	Retry time.Duration
}

// EventReader reads server-sent events. Besides what it returns it holds 8 KiB,
// and the data of the event being read, up to the cap. It is for one goroutine.
type EventReader struct {
	r     *bufio.Reader
	from  Foreseen // what r reads, nil if that cannot tell
	rest  []byte   // what was read and comes before r
	data  bounded
	long  []byte // the data, in place of data, if it is one long line
	field []byte // the line being read; of a data line only its beginning
	lines int    // data lines of the event being read
	cr    bool   // the last line ended in \r, so a \n now belongs to its end
	bom   bool   // a byte order mark may come
	id    string
}

// maxField is the cap of a line that is not data. Longer ones are ignored.
const maxField = 4 << 10

// NewEventReader reads events from r whose data is at most max bytes.
func NewEventReader(r io.Reader, max int) *EventReader {
	return &EventReader{r: bufio.NewReaderSize(r, 4<<10), data: bounded{max: max}, bom: true}
}

// Reset begins anew with another source, or none, and keeps the buffers.
func (r *EventReader) Reset(from io.Reader, max int) {
	r.data.drop()
	r.r.Reset(from)
	*r = EventReader{r: r.r, data: r.data, field: r.field[:0], bom: true}
	r.data.max = max
}

// Foreseen is a source that knows how much is certain to come.
type Foreseen interface {
	// Ahead returns how many bytes follow, at least, unless the source breaks.
	Ahead() int
}

// From says what the reader that was given reads in its turn, so that long data
// is read to where it stays.
func (r *EventReader) From(f Foreseen) { r.from = f }

// Next blocks for the next event that has data, an id or a retry time. Data
// over the cap gives a *TooLongError, after which Next may be called again. At
// the end of the stream it is io.EOF, or io.ErrUnexpectedEOF inside an event,
// which is dropped.
func (r *EventReader) Next() (Event, error) {
	var ev Event
	for {
		blank, err := r.line(&ev)
		if err != nil {
			return Event{}, r.ended(&ev, err)
		}
		if !blank {
			continue
		}
		if r.lines > 0 {
			r.lines = 0
			if ev.Data, r.long = r.long, nil; ev.Data == nil {
				if ev.Data, err = r.data.take(); err != nil {
					return Event{}, err
				}
			}
		} else if !ev.HasID && ev.Retry == 0 {
			ev = Event{}
			continue
		}
		ev.ID = r.id
		return ev, nil
	}
}

// ended drops the event that the stream's end cut off.
func (r *EventReader) ended(ev *Event, err error) error {
	begun := r.lines > 0 || len(r.field) > 0 && r.field[0] != ':' || ev.HasID || ev.Type != "" || ev.Retry != 0
	r.data.drop()
	r.lines, r.field, r.long = 0, r.field[:0], nil
	if begun && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// line reads one line into ev, and reports whether it was blank. A data line may
// be long and goes to data as it comes.
func (r *EventReader) line(ev *Event) (blank bool, err error) {
	data := false
	for r.field = r.field[:0]; ; {
		part, end, err := r.part()
		if err != nil {
			return false, err
		}
		if data {
			r.data.add(part)
		} else {
			n := min(len(part), maxField-len(r.field))
			r.field = append(r.field, part[:n]...)
			if data = r.begin(end); data {
				if !end && r.lines == 1 {
					if err := r.foresee(part[n:]); err != nil {
						return false, err
					}
					continue
				}
				r.data.add(part[n:])
			}
		}
		if end {
			if !data {
				r.set(ev)
			}
			return len(r.field) == 0, nil
		}
	}
}

// begin reports whether field, which is the whole line or as much of it as came,
// is a data line, and puts into data what there is of its value.
func (r *EventReader) begin(whole bool) bool {
	if r.bom && (whole || len(r.field) >= 3) {
		r.bom = false
		r.field = append(r.field[:0], bytes.TrimPrefix(r.field, []byte("\xef\xbb\xbf"))...)
	}
	if !whole && len(r.field) < len("data: ") {
		return false
	}
	name, value, _ := bytes.Cut(r.field, []byte(":"))
	if string(name) != "data" {
		return false
	}
	if r.lines++; r.lines > 1 {
		if r.long != nil {
			r.data.add(r.long)
			r.long = nil
		}
		r.data.add([]byte{'\n'})
	}
	r.data.add(bytes.TrimPrefix(value, []byte(" ")))
	return true
}

// How much data is worth a buffer of its own before it has come, and how much is
// given one on a promise.
const (
	foreseeFrom = 16 << 10
	foreseeTo   = 2 << 20
)

// foresee reads on in the first data line of an event, of which data and part
// are the beginning, to where it stays, if much of it is certain to come and not
// too much.
func (r *EventReader) foresee(part []byte) error {
	r.data.add(part)
	if r.from == nil || len(r.rest) > 0 {
		return nil
	}
	begun := int(r.data.size)
	n := r.r.Buffered() + r.from.Ahead()
	if n < foreseeFrom || begun+n > min(foreseeTo, r.data.max) {
		return nil
	}
	begin, err := r.data.take()
	if err != nil {
		return err
	}
	buf := make([]byte, begun+n)
	copy(buf, begin)
	for filled := begun; filled < len(buf); {
		n, err := r.r.Read(buf[filled:])
		if i := lineEnd(buf[filled : filled+n]); i >= 0 {
			i += filled
			r.long, r.rest = buf[:i:i], buf[i:filled+n]
			return nil
		}
		filled += n
		if err != nil {
			return err
		}
	}
	r.data.add(buf)
	return nil
}

// lineEnd returns where the first line in b ends, -1 if it does not.
func lineEnd(b []byte) int {
	n := bytes.IndexByte(b, '\n')
	line := b
	if n >= 0 {
		line = b[:n]
	}
	if cr := bytes.IndexByte(line, '\r'); cr >= 0 {
		return cr
	}
	return n
}

// set records a line that is not data. One that may have been longer than
// maxField is ignored.
func (r *EventReader) set(ev *Event) {
	if len(r.field) == maxField {
		return
	}
	name, value, _ := bytes.Cut(r.field, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		if ev.Type = "message"; string(value) != ev.Type { // the usual one costs no allocation
			ev.Type = string(value)
		}
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			r.id, ev.HasID = string(value), true
		}
	case "retry":
		if n, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			ev.Retry = time.Duration(n) * time.Millisecond
		}
	}
}

// part returns what has come of the current line, valid until the next call, and
// whether the line ends there. It blocks only if nothing has come: a \r ends a
// line at once, and a \n after it is skipped when it comes.
func (r *EventReader) part() (part []byte, end bool, err error) {
	for {
		buf := r.rest
		if len(buf) == 0 {
			if _, err := r.r.Peek(1); err != nil {
				return nil, false, err
			}
			buf, _ = r.r.Peek(r.r.Buffered())
		}
		if r.cr && buf[0] == '\n' {
			r.cr = false
			r.discard(1)
			continue
		}
		line := buf
		n := lineEnd(buf)
		if n >= 0 {
			line = buf[:n]
		}
		r.cr = n >= 0 && buf[n] == '\r'
		r.discard(len(line) + min(n+1, 1))
		return line, n >= 0, nil
	}
}

func (r *EventReader) discard(n int) {
	if len(r.rest) > 0 {
		r.rest = r.rest[n:]
	} else {
		_, _ = r.r.Discard(n)
	}
}
