package upstream

import (
	"bytes"
	"errors"
	"io"
)

// framing says how the body of a response goes on (RFC 9112 sections 6 and 7).
// The zero value is a body that is over.
type framing struct {
	state framingState
	left  int64 // bytes of a sized body, or of the chunk
	lines int   // trailers that were read
	tail  int   // what was read after the answer
}

type framingState uint8

const (
	over      framingState = iota
	sized                  // by Content-Length
	unsized                // to the end of the connection
	chunkSize              // before the line that begins a chunk
	chunkData              // in a chunk
	chunkEnd               // before the end of the line that a chunk ends with
	trailers               // after the last chunk
)

func (f *framing) over() bool { return f.state == over }

var errFraming = errors.New("malformed response: its chunks are not well-formed")

// Read reads the body. A body that the connection's end cuts off ends in
// io.ErrUnexpectedEOF.
func (c *conn) Read(p []byte) (int, error) {
	for f := &c.framing; f.state != over; {
		switch f.state {
		case unsized:
			n, err := c.take(p)
			if errors.Is(err, io.EOF) {
				f.state = over
			}
			return n, err
		case sized, chunkData:
			n, err := c.take(p[:min(int64(len(p)), f.left)])
			if f.left -= int64(n); f.left == 0 && f.state == sized {
				f.state = over
			} else if f.left == 0 {
				f.state = chunkEnd
			}
			return n, cut(err)
		default:
			if err := c.chunk(f); err != nil {
				return 0, err
			}
		}
	}
	return 0, io.EOF
}

// Ahead implements jsonrpc.Foreseen.
func (c *conn) Ahead() int {
	if s := c.framing.state; s == sized || s == chunkData {
		return int(min(c.framing.left, 1<<30))
	}
	return 0
}

// chunk reads one line of the framing of chunks.
func (c *conn) chunk(f *framing) error {
	line, err := c.line()
	if err != nil {
		return cut(err)
	}
	switch f.state {
	case chunkSize:
		if f.left, err = parseChunk(line); err != nil {
			return err
		}
		f.state = chunkData
		if f.left == 0 {
			f.state = trailers
		}
	case chunkEnd:
		if len(line) > 0 {
			return errFraming
		}
		f.state = chunkSize
	case trailers:
		name, value, ok := bytes.Cut(line, []byte(":"))
		f.lines++
		switch {
		case len(line) == 0:
			f.state = over
		case !ok || !isToken(name) || !isFieldValue(value) || f.lines > maxFields:
			return errFraming
		}
	}
	return nil
}

// parseChunk reads the size of a chunk; extensions are ignored.
func parseChunk(line []byte) (int64, error) {
	size, _, _ := bytes.Cut(line, []byte(";"))
	size = bytes.TrimRight(size, " \t")
	if len(size) == 0 || len(size) > 15 {
		return 0, errFraming
	}
	var n int64
	for _, c := range size {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, errFraming
		}
		n = n<<4 | int64(c)
	}
	return n, nil
}

// line reads a line of the framing, without its end, which is no bare LF here:
// readers that differ on it can be made to differ on the body. It is valid until
// the next read.
func (c *conn) line() ([]byte, error) {
	for {
		b := c.buf[c.r:c.w]
		if i := bytes.IndexByte(b, '\n'); i >= 0 {
			c.r += i + 1
			line, whole := bytes.CutSuffix(b[:i], []byte("\r"))
			if !whole {
				return nil, errFraming
			}
			return line, nil
		}
		if len(b) >= connBuffer {
			return nil, errFraming
		}
		if err := c.fill(connBuffer); err != nil {
			return nil, err
		}
	}
}

// cut makes the end of the connection inside a body an error of its own.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
