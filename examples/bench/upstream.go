package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
)

// The upstream server: as little work as a correct answer needs. It finds what
// it needs by its key and does not parse; what bench sends, and what a gateway
// makes of that, is simple enough.

// answer appends the response to one message, or nothing for a notification.
func answer(b, message []byte) []byte {
	id := value(message, `"id":`)
	if id == nil {
		return b
	}
	b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), id...), `,"result":`...)
	switch string(value(message, `"method":`)) {
	case `"tools/call"`:
		b = append(append(append(b, `{"content":[{"type":"text","text":`...), value(message, `"message":`)...), `}]}`...)
	case `"initialize"`:
		b = append(b, `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}`...)
	case `"tools/list"`:
		b = append(b, `{"tools":[{"name":"echo","inputSchema":{"type":"object","properties":{"message":{"type":"string"}}}}]}`...)
	default: // ping
		b = append(b, `{}`...)
	}
	return append(b, '}')
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

// echoHandler is the upstream over streamable HTTP: no session, no streams.
func echoHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		out := answer(make([]byte, 0, 256), body)
		if len(out) == 0 {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(out)
	})
}

// serveStdio is the upstream over stdio. It writes when it would otherwise wait
// for more to read. It blocks until in ends.
func serveStdio(in io.Reader, out io.Writer) error {
	r, w := bufio.NewReaderSize(in, 1<<20), bufio.NewWriterSize(out, 1<<20)
	var b []byte
	for {
		line, err := r.ReadSlice('\n')
		if err != nil {
			_ = w.Flush()
			if err == io.EOF {
				return nil
			}
			return err
		}
		if b = answer(b[:0], line); len(b) > 0 {
			if _, err := w.Write(append(b, '\n')); err != nil {
				return err
			}
		}
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}
