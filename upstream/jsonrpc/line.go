package jsonrpc

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// LineReader reads messages one to a line, the framing of MCP's stdio transport
// (2025-11-25, basic/transports). Lines end in \n or \r\n. Besides what it
// returns it holds 64 KiB, and while a line is longer than that the line, up to
// the cap. It is for one goroutine.
type LineReader struct {
	r    *bufio.Reader
	line bounded
}

// NewLineReader reads lines of at most max bytes from r.
func NewLineReader(r io.Reader, max int) *LineReader {
	return &LineReader{r: bufio.NewReaderSize(r, 64<<10), line: bounded{max: max}}
}

// Next blocks for the next line and returns it without its end, in memory of
// its own. A line over the cap gives a *TooLongError, after which Next may be
// called again. At the end of the stream it is io.EOF; a last line without an
// end is returned first. An error of the stream drops what came of the line.
func (l *LineReader) Next() ([]byte, error) {
	part, err := l.r.ReadSlice('\n')
	if err == nil && len(part) <= l.line.max { // the line as a whole, as is usual
		return bytes.Clone(trim(part)), nil
	}
	// A \r at the end of a part is held back until it is known whether it is
	// part of the line's end, so that it never counts against the cap.
	cr := false
	for {
		if cr && len(part) > 0 && (err != nil || len(part) > 1) {
			l.line.add([]byte{'\r'})
		}
		switch {
		case err == nil:
			l.line.add(trim(part))
			return l.line.take()
		case errors.Is(err, bufio.ErrBufferFull):
			cr = part[len(part)-1] == '\r'
			l.line.add(bytes.TrimSuffix(part, []byte("\r")))
		case errors.Is(err, io.EOF) && (l.line.size > 0 || len(part) > 0 || cr):
			l.line.add(bytes.TrimSuffix(part, []byte("\r")))
			return l.line.take()
		default:
			l.line.drop()
			return nil, err
		}
		part, err = l.r.ReadSlice('\n')
	}
}

// trim takes the end off a line.
func trim(b []byte) []byte {
	b = bytes.TrimSuffix(b, []byte("\n"))
	return bytes.TrimSuffix(b, []byte("\r"))
}
