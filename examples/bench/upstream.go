package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// The upstream server: as little work as a correct answer needs. It finds what
// it needs by its key and does not parse; what bench sends, and what a gateway
// makes of that, is simple enough.

// mib is how long the text of a large result or argument is.
const mib = 1 << 20

// filler is text of a length as it stands in JSON: lines with escaped ends.
func filler(n int) []byte {
	const line = `The quick brown fox jumps over the lazy dog, again and again, as it always did.\n`
	return bytes.Repeat([]byte(line), n/len(line)+1)[:n/2*2]
}

// ownTools are those that do something; a longer list is made up of others.
var ownTools = []string{"echo", "large", "measure", "slow", "pid", "change"}

// server is one upstream.
type server struct {
	modern  bool   // speaks 2026-07-28, and nothing older
	tools   []byte // the elements of the list
	large   []byte
	changes atomic.Int64 // each adds a tool to the list, and the next takes it away
}

// newServer has as many tools as told, and at least its own.
func newServer(tools int, era string) *server {
	s := &server{modern: era == modern, large: filler(mib)}
	for i := range max(tools, len(ownTools)) {
		name := fmt.Sprintf("tool_%05d", i)
		if i < len(ownTools) {
			name = ownTools[i]
		} else if i >= tools {
			break
		}
		if i > 0 {
			s.tools = append(s.tools, ',')
		}
		s.tools = fmt.Appendf(s.tools, `{"name":"%s","description":"Tool number %d of a server that has many of them.",`+
			`"inputSchema":{"type":"object","properties":{"message":{"type":"string"}}}}`, name, i)
	}
	return s
}

// answer appends the response to one message, or nothing for a notification.
func (s *server) answer(b, message []byte) []byte {
	id := value(message, `"id":`)
	if id == nil {
		return b
	}
	b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), id...), `,"`...)
	method := string(value(message, `"method":`))
	if s.unknown(method) {
		return append(b, `error":{"code":-32601,"message":"method not found"}}`...)
	}
	b = append(b, `result":{`...)
	if s.modern {
		b = append(b, `"resultType":"complete",`...)
	}
	switch method {
	case `"tools/call"`:
		b = append(s.text(append(b, `"content":[{"type":"text","text":`...), message), `}]}`...)
	case `"initialize"`:
		b = append(b, `"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"bench","version":"1"}}`...)
	case `"server/discover"`:
		b = append(b, `"supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"ttlMs":3600000,"cacheScope":"public"}`...)
	case `"tools/list"`:
		if s.modern {
			b = append(b, `"ttlMs":3600000,"cacheScope":"public",`...)
		}
		b = append(append(b, `"tools":[`...), s.tools...)
		if s.changes.Load()%2 == 1 {
			b = append(b, `,{"name":"extra","inputSchema":{"type":"object"}}`...)
		}
		b = append(b, `]}`...)
	default: // ping
		b = append(b, '}')
	}
	return append(b, '}')
}

// unknown reports whether a method is none of the server's era.
func (s *server) unknown(method string) bool {
	switch method {
	case `"tools/call"`, `"tools/list"`:
		return false
	case `"server/discover"`:
		return !s.modern
	}
	return s.modern
}

// text appends what a call of a tool says, as JSON.
func (s *server) text(b, message []byte) []byte {
	given := value(message, `"message":`)
	switch tool(message) {
	case `"large"`:
		return append(append(append(b, given[:len(given)-1]...), s.large...), '"')
	case `"measure"`:
		return fmt.Appendf(b, `"%d %d"`, len(given), crc32.ChecksumIEEE(given))
	case `"pid"`:
		return fmt.Appendf(b, `"%d"`, os.Getpid())
	case `"change"`:
		s.changes.Add(1)
	}
	return append(b, given...)
}

// tool is the name of the tool that a message calls, with its quotes, "" for
// another message.
func tool(message []byte) string {
	if string(value(message, `"method":`)) != `"tools/call"` {
		return ""
	}
	return string(value(message, `"name":`))
}

// pause is how long the answer to a message is held back: only a call of slow.
func pause(message []byte) time.Duration {
	if tool(message) != `"slow"` {
		return 0
	}
	ms, _ := strconv.Atoi(string(value(message, `"ms":`)))
	return time.Duration(ms) * time.Millisecond
}

// value returns the bytes of the string or number after a key, nil if there is
// no such key.
func value(message []byte, key string) []byte {
	i := bytes.Index(message, []byte(key))
	if i < 0 {
		return nil
	}
	rest := bytes.TrimLeft(message[i+len(key):], " ")
	if len(rest) > 0 && rest[0] == '"' {
		if end := bytes.IndexByte(rest[1:], '"'); end >= 0 {
			return rest[:end+2]
		}
		return nil
	}
	if end := bytes.IndexAny(rest, ",} \n"); end >= 0 {
		return rest[:end]
	}
	return rest
}

// ServeHTTP is the upstream over streamable HTTP: no session, no streams.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, err := readAll(r)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if d := pause(body); d > 0 {
		wait(r.Context(), d)
	}
	out := s.answer(make([]byte, 0, 256), body)
	if len(out) == 0 {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(out)))
	if s.modern && s.unknown(string(value(body, `"method":`))) {
		w.WriteHeader(http.StatusNotFound)
	}
	_, _ = w.Write(out)
}

// readAll reads a body in one piece when its length is known.
func readAll(r *http.Request) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(r.Body)
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// wait blocks for d, or until ctx is done.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// serveStdio is the upstream over stdio. It writes when it would otherwise wait
// for more to read. It blocks until in ends.
func (s *server) serveStdio(in io.Reader, out io.Writer) error {
	r, w := bufio.NewReaderSize(in, 2*mib), bufio.NewWriterSize(out, 1<<16)
	var mu sync.Mutex // guards w, which late answers use too
	write := func(line []byte, flush bool) error {
		mu.Lock()
		defer mu.Unlock()
		if len(line) > 0 {
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		if flush {
			return w.Flush()
		}
		return nil
	}
	var b []byte
	for {
		line, err := r.ReadSlice('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		b = b[:0]
		if d := pause(line); d > 0 {
			late := s.answer(nil, line)
			time.AfterFunc(d, func() { _ = write(late, true) })
		} else {
			b = s.answer(b, line)
			if tool(line) == `"change"` {
				b = append(b, "\n"+`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`...)
			}
		}
		if err := write(b, r.Buffered() == 0); err != nil {
			return err
		}
	}
}
