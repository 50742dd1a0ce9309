package jsonrpc

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

// TooLongError is a line or an SSE event longer than the reader's cap. It was
// skipped to its end, so the stream goes on; Head and Tail are what was kept of
// it, from which the id of the message may be found with ScanID.
type TooLongError struct {
	Size       int64
	Head, Tail []byte
}

func (e *TooLongError) Error() string {
	return "message of " + strconv.FormatInt(e.Size, 10) + " bytes is over the limit"
}

// keep is how much of either end of a message over the cap is kept.
const keep = 4 << 10

// LineReader reads messages one to a line, the framing of MCP's stdio
// transport. Lines end in \n or \r\n. It never holds more than the cap.
type LineReader struct {
	r   *bufio.Reader
	max int
}

// NewLineReader reads lines of at most max bytes from r.
func NewLineReader(r io.Reader, max int) *LineReader {
	return &LineReader{bufio.NewReaderSize(r, 64<<10), max}
}

// Next returns the next line without its end, in memory of its own. A line over
// the cap gives a *TooLongError, after which Next may be called again. At the
// end of the stream it is io.EOF; a last line without an end is returned first.
func (l *LineReader) Next() ([]byte, error) {
	var line []byte
	for {
		part, err := l.r.ReadSlice('\n')
		if err == nil && line == nil {
			return bytes.Clone(trim(part)), over(trim(part), l.max)
		}
		if len(line)+len(part) > l.max+2 {
			return nil, l.skip(line, part, err)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return trim(line), over(trim(line), l.max)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(line) > 0:
			return trim(line), nil
		default:
			return nil, err
		}
	}
}

func over(line []byte, max int) error {
	if len(line) <= max {
		return nil
	}
	return &TooLongError{int64(len(line)), bytes.Clone(line[:min(keep, len(line))]), bytes.Clone(line[max0(len(line)-keep):])}
}

func max0(n int) int { return max(n, 0) }

// skip reads the rest of a line that is over the cap and keeps its ends.
func (l *LineReader) skip(line, part []byte, err error) error {
	line = append(line, part...)
	e := &TooLongError{Size: int64(len(line)), Head: bytes.Clone(line[:min(keep, len(line))])}
	tail := bytes.Clone(line[max0(len(line)-keep):])
	for errors.Is(err, bufio.ErrBufferFull) {
		part, err = l.r.ReadSlice('\n')
		e.Size += int64(len(part))
		tail = append(tail, part...)
		tail = append(tail[:0], tail[max0(len(tail)-keep):]...)
	}
	e.Tail = trim(tail)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return e
}

func trim(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}

// ScanID finds the id of a message of which only the head and the tail are
// known. It looks at the envelope's members before and after the long one, and
// returns nil if the id is in neither.
func ScanID(head, tail []byte) []byte {
	sc := scanner{b: head}
	sc.space()
	var id Span
	if sc.peek() == '{' {
		_ = sc.object(0, func(key Span) error {
			v, err := sc.value(1)
			if err == nil && string(key.Of(head)) == `"id"` {
				id = v
				return errStop
			}
			return err
		})
	}
	if id.Ok() && validID(id.Of(head)) {
		return id.Of(head)
	}
	// From the end: ..., "id": 5 }
	i := bytes.LastIndex(tail, []byte(`"id"`))
	if i < 0 {
		return nil
	}
	sc = scanner{b: tail, i: i + 4}
	sc.space()
	if sc.peek() != ':' {
		return nil
	}
	sc.i++
	sc.space()
	v, err := sc.value(1)
	if err != nil || !validID(v.Of(tail)) {
		return nil
	}
	sc.space()
	// Only a member of the envelope may be followed by the closing brace that
	// ends the line, or by other short members of it.
	if sc.peek() != '}' && sc.peek() != ',' {
		return nil
	}
	return v.Of(tail)
}
