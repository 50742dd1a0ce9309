package upstream

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// cannedServer answers every POST with an empty result under its id and costs
// nearly nothing, so that what is measured is the link.
func cannedServer(b *testing.B, stream bool, size int) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	pad := strings.Repeat("x", size)
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go answerCanned(conn, stream, pad)
		}
	}()
	return "http://" + ln.Addr().String() + "/mcp"
}

func answerCanned(conn net.Conn, stream bool, pad string) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	body := make([]byte, 0, 4096)
	out := make([]byte, 0, 4096)
	for {
		length := 0
		get := false
		for first := true; ; first = false {
			line, err := r.ReadSlice('\n')
			if err != nil {
				return
			}
			get = get || first && !bytes.HasPrefix(line, []byte("POST"))
			if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
				length, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
			}
			if len(line) == 2 {
				break
			}
		}
		if get {
			_, _ = io.WriteString(conn, "HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		body = body[:length]
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		_, after, ok := bytes.Cut(body, []byte(`"id":`))
		if !ok {
			_, _ = io.WriteString(conn, "HTTP/1.1 202 OK\r\nContent-Length: 0\r\n\r\n")
			continue
		}
		n := 0
		for after[n] >= '0' && after[n] <= '9' {
			n++
		}
		msg := `{"jsonrpc":"2.0","id":` + string(after[:n]) + `,"result":{"protocolVersion":"2025-11-25","supportedVersions":["2026-07-28"],"capabilities":{},"content":[{"type":"text","text":"` + pad + `"}]}}`
		out = out[:0]
		if stream {
			msg = "data: " + msg + "\n\n"
			out = append(out, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"...)
			out = strconv.AppendInt(out, int64(len(msg)), 16)
			out = append(append(append(out, "\r\n"...), msg...), "\r\n0\r\n\r\n"...)
		} else {
			out = append(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "...)
			out = strconv.AppendInt(out, int64(len(msg)), 10)
			out = append(append(out, "\r\n\r\n"...), msg...)
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

func BenchmarkHTTPCall(b *testing.B) {
	for _, c := range []struct {
		name   string
		stream bool
		size   int
		signed bool
	}{{"json", false, 100, false}, {"sse", true, 100, false}, {"json 100k", false, 100 << 10, false}, {"json signed in", false, 100, true}} {
		b.Run(c.name, func(b *testing.B) {
			var o DialerOptions
			if c.signed { // with a token as long as they get
				token := oauth.Source(steady("Bearer " + strings.Repeat("t", 1500)))
				o.Credentials = func(*Config, string) oauth.Source { return token }
			}
			dialer, _ := NewDialer(o)
			l, err := dialer.Dial(b.Context(), dialFor(cannedServer(b, c.stream, c.size)))
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close(b.Context())
			r := newRequest("tools/call", []byte(`{"name":"x","arguments":{"a":1}}`))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Do(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkModernCall is what a call costs to a modern server: of a legacy client,
// and of one that says all itself.
func BenchmarkModernCall(b *testing.B) {
	for _, modern := range []bool{false, true} {
		name := "for legacy"
		if modern {
			name = "for modern"
		}
		b.Run(name, func(b *testing.B) {
			dialer, _ := NewDialer(DialerOptions{})
			d := dialFor(cannedServer(b, false, 100))
			d.Config.Protocol = ModernProtocol
			l, err := dialer.Dial(b.Context(), d)
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close(b.Context())
			params := `{"name":"x","arguments":{"a":1}}`
			if modern {
				params = `{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"name":"x","arguments":{"a":1}}`
			}
			r := newRequest("tools/call", []byte(params))
			r.Modern = modern
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Do(b.Context(), r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// steady is a source with a valid token.
type steady string

func (s steady) Authorization(context.Context) (string, error)         { return string(s), nil }
func (steady) Refused(context.Context, string, int, http.Header) error { return nil }
func (steady) Accepted(string)                                         {}
