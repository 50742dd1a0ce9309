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
	"sync"
	"time"
)

// load is what the clients of one slice saw.
type load struct {
	calls     int
	took      time.Duration
	latencies []time.Duration
}

// pour makes calls of tool on a path for d with n in flight, each on its own
// connection. Any answer that is not the right one ends it with an error.
func pour(ctx context.Context, p *path, n int, d time.Duration) (load, error) {
	at, err := url.Parse(p.url)
	if err != nil {
		return load{}, err
	}
	clients := make([]*caller, n)
	for i := range clients {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", at.Host)
		if err != nil {
			return load{}, err
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(d + 10*time.Second))
		clients[i] = &caller{conn: conn, in: bufio.NewReaderSize(conn, 8<<10), first: i*100_000_000 + p.used}
		clients[i].prepare(p, at.Host, at.Path)
	}
	var wg sync.WaitGroup
	errs := make([]error, n)
	begin := time.Now()
	for i, c := range clients {
		wg.Go(func() { errs[i] = c.run(begin.Add(d)) })
	}
	wg.Wait()
	out := load{took: time.Since(begin)}
	most := 0
	for i, c := range clients {
		if errs[i] != nil {
			return load{}, fmt.Errorf("%s, %d in flight: %w", p.name, n, errs[i])
		}
		out.calls += len(c.latencies)
		most = max(most, len(c.latencies))
		out.latencies = append(out.latencies, c.latencies...)
	}
	p.used += most + 1
	return out, nil
}

// caller is one connection with one call in flight.
type caller struct {
	conn      net.Conn
	in        *bufio.Reader
	first     int // its first id; ids of one session are never used twice
	head      []byte
	tool      string
	latencies []time.Duration
	body, buf []byte
}

func (c *caller) prepare(p *path, host, target string) {
	c.tool = p.tool
	c.head = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nMcp-Protocol-Version: 2025-11-25\r\n", target, host)
	if p.session != "" {
		c.head = fmt.Appendf(c.head, "Mcp-Session-Id: %s\r\n", p.session)
	}
	c.head = append(c.head, "Content-Length: "...)
}

func (c *caller) run(end time.Time) error {
	for id := c.first; ; id++ {
		began := time.Now()
		if began.After(end) {
			return nil
		}
		if err := c.call(id); err != nil {
			return err
		}
		c.latencies = append(c.latencies, time.Since(began))
	}
}

func (c *caller) call(id int) error {
	c.body = append(c.body[:0], `{"jsonrpc":"2.0","id":`...)
	c.body = strconv.AppendInt(c.body, int64(id), 10)
	c.body = append(append(append(c.body, `,"method":"tools/call","params":{"name":"`...), c.tool...), `","arguments":{"message":"nonce `...)
	c.body = strconv.AppendInt(c.body, int64(id), 10)
	c.body = append(c.body, `"}}}`...)

	c.buf = strconv.AppendInt(append(c.buf[:0], c.head...), int64(len(c.body)), 10)
	c.buf = append(append(c.buf, "\r\n\r\n"...), c.body...)
	if _, err := c.conn.Write(c.buf); err != nil {
		return err
	}
	status, body, err := readResponse(c.in, c.buf[:0])
	c.buf = body[:0]
	if err != nil {
		return err
	}
	// The answer must be whole, to this call, and what the upstream echoed.
	if status != 200 || !bytes.Equal(value(body, `"id":`), strconv.AppendInt(nil, int64(id), 10)) ||
		!bytes.Equal(value(body, `"text":`), fmt.Appendf(nil, `"nonce %d"`, id)) {
		return fmt.Errorf("call %d was answered with status %d: %.300s", id, status, body)
	}
	return nil
}

// readResponse reads one HTTP/1.1 response and appends its body to b.
func readResponse(r *bufio.Reader, b []byte) (status int, body []byte, err error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, b, err
	}
	if len(line) < 12 {
		return 0, b, fmt.Errorf("status line %q", line)
	}
	status, err = strconv.Atoi(string(line[9:12]))
	if err != nil {
		return 0, b, fmt.Errorf("status line %q", line)
	}
	length := 0
	chunked := false
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, b, err
		}
		key, val, ok := bytes.Cut(bytes.TrimSpace(line), []byte(":"))
		if !ok {
			break
		}
		val = bytes.TrimSpace(val)
		switch {
		case bytes.EqualFold(key, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(val)); err != nil {
				return 0, b, err
			}
		case bytes.EqualFold(key, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(val, []byte("chunked"))
		}
	}
	if !chunked {
		body, err = appendN(r, b, length)
		return status, body, err
	}
	for body = b; ; {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return 0, body, err
		}
		size, err := strconv.ParseInt(string(bytes.TrimSpace(line)), 16, 32)
		if err != nil {
			return 0, body, err
		}
		if body, err = appendN(r, body, int(size)); err != nil {
			return 0, body, err
		}
		if _, err := r.Discard(2); err != nil {
			return 0, body, err
		}
		if size == 0 {
			return status, body, nil
		}
	}
}

func appendN(r io.Reader, b []byte, n int) ([]byte, error) {
	at := len(b)
	b = append(b, make([]byte, n)...)
	_, err := io.ReadFull(r, b[at:])
	return b, err
}
