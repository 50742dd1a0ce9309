package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Bounds of the header of a response.
const (
	maxHead   = 256 << 10
	maxFields = 1000
	// maxInterim is how many responses that are none (1xx) may come before one.
	maxInterim = 5
)

// head is the header section of a response, as far as it is read. Its slices
// alias what was parsed.
type head struct {
	status                  int
	old                     bool  // HTTP/1.0
	length                  int64 // Content-Length, -1 for none
	chunked                 bool
	coded                   bool // Transfer-Encoding was there
	close                   bool // Connection: close
	persist                 bool // Connection: keep-alive
	idle                    time.Duration
	kind, encoding, session []byte
	header                  http.Header // all fields, if the status is no success
}

// readHead blocks for the header of the response, puts it into r and prepares for
// the body.
// Interim responses are skipped; one that switches protocols was not asked for.
func (c *conn) readHead(r *response) error {
	for range maxInterim + 1 {
		end, err := c.section()
		if err != nil {
			return err
		}
		h := head{length: -1}
		if err := h.parse(c.buf[c.r:end]); err != nil {
			return fmt.Errorf("malformed response: %w", err)
		}
		c.r = end
		if h.status == http.StatusSwitchingProtocols {
			return errors.New("malformed response: the server switches protocols unasked")
		}
		if h.status >= 200 {
			c.begin(&h, r)
			return nil
		}
	}
	return errors.New("malformed response: interim ones without end")
}

// section reads on until a header section is in the buffer, and returns where
// it ends.
func (c *conn) section() (int, error) {
	seen := 0 // how much of it was looked at
	for {
		b := c.buf[c.r:c.w]
		for {
			i := bytes.IndexByte(b[seen:], '\n')
			if i < 0 {
				seen = len(b)
				break
			}
			rest := b[seen+i+1:]
			switch {
			case len(rest) > 0 && rest[0] == '\n':
				return c.r + seen + i + 2, nil
			case len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n':
				return c.r + seen + i + 3, nil
			case len(rest) == 0, len(rest) == 1 && rest[0] == '\r':
				seen += i
			default:
				seen += i + 1
				continue
			}
			break
		}
		if err := c.fill(maxHead); err != nil {
			switch {
			case !errors.Is(err, io.EOF):
				return 0, err
			case len(b) == 0:
				return 0, errNothing
			}
			return 0, io.ErrUnexpectedEOF
		}
	}
}

// parse reads a header section, which ends in an empty line. It is as strict as
// net/http's, and stricter: no line is a continuation of the last (RFC 9112
// section 5.2), and HTTP is 1.0 or 1.1.
func (h *head) parse(b []byte) error {
	line, b := cutLine(b)
	if err := h.statusLine(line); err != nil {
		return err
	}
	if h.status/100 != 2 {
		h.header = make(http.Header)
	}
	for n := 0; ; n++ {
		if line, b = cutLine(b); len(line) == 0 {
			break
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if value = bytes.Trim(value, " \t"); !ok || !isToken(name) || !isFieldValue(value) {
			return errors.New("a line of its header is no field")
		}
		if n >= maxFields {
			return fmt.Errorf("more than %d fields", maxFields)
		}
		if err := h.field(name, value); err != nil {
			return err
		}
	}
	if h.coded && (!h.chunked || h.old) {
		return errors.New("a transfer encoding that is not chunked")
	}
	return nil
}

func (h *head) statusLine(line []byte) error {
	version, rest, _ := bytes.Cut(line, []byte(" "))
	code, _, _ := bytes.Cut(rest, []byte(" "))
	h.old = string(version) == "HTTP/1.0"
	if !h.old && string(version) != "HTTP/1.1" {
		return errors.New("it is not HTTP/1.1")
	}
	n, err := strconv.ParseUint(string(code), 10, 16)
	if h.status = int(n); err != nil || len(code) != 3 || h.status < 100 {
		return errors.New("its status is no number")
	}
	return nil
}

// field reads one field. Of those that come more than once the first counts, as
// with http.Header.Get, except where they must agree.
func (h *head) field(name, value []byte) error {
	if h.header != nil {
		key := http.CanonicalHeaderKey(string(name))
		h.header[key] = append(h.header[key], string(value))
	}
	switch {
	case named(name, "content-length"):
		n, err := strconv.ParseUint(string(value), 10, 63)
		if err != nil || h.length >= 0 && h.length != int64(n) {
			return errors.New("its length is no number, or two")
		}
		h.length = int64(n)
	case named(name, "transfer-encoding"):
		// A second one, or a list, is a coding that was not asked for.
		h.chunked = !h.coded && named(value, "chunked")
		h.coded = true
	case named(name, "connection"):
		for option := range strings.SplitSeq(string(value), ",") {
			option = strings.Trim(option, " \t")
			h.close = h.close || strings.EqualFold(option, "close")
			h.persist = h.persist || strings.EqualFold(option, "keep-alive")
		}
	case named(name, "keep-alive"):
		h.idle = keepAlive(string(value))
	case named(name, "content-type"):
		first(&h.kind, value)
	case named(name, "content-encoding"):
		first(&h.encoding, value)
	case named(name, "mcp-session-id"):
		first(&h.session, value)
	}
	return nil
}

func first(to *[]byte, value []byte) {
	if *to == nil {
		*to = value
	}
}

// keepAlive reads the timeout of a Keep-Alive field: how long a server keeps an
// idle connection. 0 for nothing said.
func keepAlive(v string) time.Duration {
	for option := range strings.SplitSeq(v, ",") {
		if s, ok := strings.CutPrefix(strings.Trim(option, " \t"), "timeout="); ok {
			if n, err := strconv.ParseUint(s, 10, 16); err == nil && n > 0 {
				return time.Duration(n) * time.Second
			}
		}
	}
	return 0
}

// named reports whether name is the lower-case ASCII word, in any case.
func named(name []byte, word string) bool {
	if len(name) != len(word) {
		return false
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		if c != word[i] {
			return false
		}
	}
	return true
}

// cutLine returns the first line of b without its end, and what follows it.
func cutLine(b []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(b, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

// begin makes of r the response with the header h, whose body comes next (RFC
// 9112 section 6.3).
func (c *conn) begin(h *head, r *response) {
	c.keep = !h.close && (!h.old || h.persist)
	c.idleFor = h.idle
	*r = response{status: h.status, length: h.length, kind: contentType(h.kind), header: h.header, body: c}
	if len(h.encoding) > 0 {
		r.encoding = string(h.encoding)
	}
	if len(h.session) > 0 {
		if string(h.session) != c.session {
			c.session = string(h.session)
		}
		r.session = c.session
	}
	switch {
	case h.status == http.StatusNoContent, h.status == http.StatusNotModified:
		r.length = 0
		c.framing = framing{}
	case h.chunked:
		// A length beside it may be an attempt to smuggle: it does not count, and
		// nothing else comes over this connection.
		c.keep = c.keep && h.length < 0
		r.length = -1
		c.framing = framing{state: chunkSize}
	case h.length >= 0:
		c.framing = framing{state: sized, left: h.length}
		if h.length == 0 {
			c.framing.state = over
		}
	default:
		c.keep = false
		c.framing = framing{state: unsized}
	}
}

// contentType is mediaType, and costs nothing for the usual ones.
func contentType(v []byte) string {
	switch string(v) {
	case "":
		return ""
	case "application/json":
		return "application/json"
	case "text/event-stream":
		return "text/event-stream"
	}
	return mediaType(string(v))
}
