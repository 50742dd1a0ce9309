package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"
)

// target is where a call goes: an endpoint, a session on it if it has sessions,
// and the name of what is called there. Names of tools get prefix in front.
type target struct {
	url, session, prefix string
	era                  string
}

// response is what one exchange brought. The body is only good until the next.
type response struct {
	status  int
	session string
	body    []byte
}

// wire carries messages to targets, one at a time. to is the target's number.
type wire interface {
	exchange(to int, message []byte) (response, error)
	close()
}

// patience is how long one answer may take: whatever hangs ends with an error.
const patience = 40 * time.Second

// httpWire is a keep-alive connection and the least client that can be: it
// writes what was prepared, and reads by the byte.
type httpWire struct {
	conn  net.Conn
	in    *bufio.Reader
	heads [][]byte
	// modern are those targets whose requests say in headers what they are.
	modern []bool
	first  *url.URL // of the first target
	buf    []byte
	body   []byte
	until  time.Time // the deadline that conn has
}

// dial connects to targets that share one address.
func dial(ctx context.Context, targets []target) (*httpWire, error) {
	w := new(httpWire)
	host := ""
	for _, t := range targets {
		at, err := url.Parse(t.url)
		if err != nil {
			return nil, err
		}
		if host = at.Host; w.first == nil {
			w.first = at
		}
		h := head("POST", at, t.session)
		if t.era == modern {
			h = append(h, "Mcp-Protocol-Version: 2026-07-28\r\n"...)
		}
		w.heads, w.modern = append(w.heads, h), append(w.modern, t.era == modern)
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	w.conn, w.in = conn, bufio.NewReaderSize(conn, 4<<10)
	return w, nil
}

func head(method string, at *url.URL, session string) []byte {
	b := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n", method, at.Path, at.Host)
	if session != "" {
		b = fmt.Appendf(b, "Mcp-Protocol-Version: 2025-11-25\r\nMcp-Session-Id: %s\r\n", session)
	}
	return b
}

func (w *httpWire) exchange(to int, message []byte) (response, error) {
	if now := time.Now(); w.until.Sub(now) < patience/2 {
		w.until = now.Add(patience)
		_ = w.conn.SetDeadline(w.until)
	}
	w.buf = append(w.buf[:0], w.heads[to]...)
	if w.modern[to] {
		w.buf = append(append(append(w.buf, "Mcp-Method: "...), bare(value(message, `"method":`))...), "\r\n"...)
		if name := bare(value(message, `"name":`)); tool(message) != "" {
			w.buf = append(append(append(w.buf, "Mcp-Name: "...), name...), "\r\n"...)
		}
	}
	w.buf = append(w.buf, "Content-Length: "...)
	w.buf = append(strconv.AppendInt(w.buf, int64(len(message)), 10), "\r\n\r\n"...)
	w.buf = append(w.buf, message...)
	if _, err := w.conn.Write(w.buf); err != nil {
		return response{}, err
	}
	res, err := readResponse(w.in, w.body[:0])
	w.body = res.body
	return res, err
}

// bare is a string without its quotes.
func bare(s []byte) []byte { return bytes.Trim(s, `"`) }

// enter has all that follows for the first target be of a session.
func (w *httpWire) enter(session string) { w.heads[0] = head("POST", w.first, session) }

func (w *httpWire) close() { w.conn.Close() }

// readResponse reads one HTTP/1.1 response; the body is appended to b.
func readResponse(r *bufio.Reader, b []byte) (response, error) {
	res, length, err := readHead(r)
	res.body = b
	if err != nil || res.status == 204 || res.status == 202 && length < 0 {
		return res, err
	}
	if length >= 0 {
		res.body, err = appendN(r, b, length)
		return res, err
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return res, err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return res, err
		}
		if res.body, err = appendN(r, res.body, int(size)); err != nil {
			return res, err
		}
		if _, err := r.Discard(2); err != nil {
			return res, err
		}
		if size == 0 {
			return res, nil
		}
	}
}

// readHead reads the head of a response. length is -1 when the body is chunked.
func readHead(r *bufio.Reader) (res response, length int, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return res, 0, err
	}
	if len(line) < 12 {
		return res, 0, fmt.Errorf("status line %q", line)
	}
	if res.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return res, 0, fmt.Errorf("status line %q", line)
	}
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return res, 0, err
		}
		key, val, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		if !ok {
			return res, length, nil
		}
		val = bytes.TrimSpace(val)
		switch {
		case bytes.EqualFold(key, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(val)); err != nil {
				return res, 0, err
			}
		case bytes.EqualFold(key, []byte("Transfer-Encoding")):
			length = -1
		case bytes.EqualFold(key, []byte("Mcp-Session-Id")):
			res.session = string(val)
		}
	}
}

func appendN(r io.Reader, b []byte, n int) ([]byte, error) {
	at := len(b)
	if cap(b)-at < n {
		b = append(b, make([]byte, n)...)
	}
	b = b[:at+n]
	_, err := io.ReadFull(r, b[at:])
	return b, err
}

// pipeWire speaks to a stdio server without anything between.
type pipeWire struct {
	p  *party
	in *bufio.Reader
}

func (w *pipeWire) exchange(_ int, message []byte) (response, error) {
	if _, err := w.p.stdin.Write(append(message, '\n')); err != nil {
		return response{}, err
	}
	line, err := w.in.ReadBytes('\n')
	return response{status: 200, body: line}, err
}

// close leaves the process alone: it serves the next load too.
func (w *pipeWire) close() {}
