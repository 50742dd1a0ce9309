package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// oneConn is a listener that has one connection to give.
type oneConn struct{ conns chan net.Conn }

func (l oneConn) Accept() (net.Conn, error) {
	c, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (oneConn) Close() error   { return nil }
func (oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// A client that announces a body and does not send it once held its connection
// for ever: net/http waits for the rest of a small body before it answers, and
// the time limit was lifted by then.
func TestBodyThatNeverComes(t *testing.T) {
	for _, tc := range []struct {
		name, head, want string
	}{
		{"a body that is wanted", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n", "400 "},
		{"a type that is refused", "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n", "415 "},
		{"a Host that is refused", "POST /mcp HTTP/1.1\r\nHost: evil.example\r\n", "403 "},
		{"a path that is wrong", "POST /nowhere HTTP/1.1\r\nHost: localhost\r\n", "404 "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg := settings(t, "a")
			synctest.Test(t, func(t *testing.T) {
				g, err := New(cfg, Options{Dialer: new(linktest.Dialer)})
				if err != nil {
					t.Fatal(err)
				}
				near, far := net.Pipe()
				l := oneConn{make(chan net.Conn, 1)}
				l.conns <- far
				srv := g.Server()
				served := make(chan error, 1)
				go func() { served <- srv.Serve(g.Listener(l)) }()
				defer func() {
					close(l.conns)
					_ = near.Close()
					<-served
					_ = srv.Close()
				}()
				if _, err := fmt.Fprint(near, tc.head, "Content-Length: 100\r\n\r\n{"); err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				_ = near.SetReadDeadline(began.Add(time.Hour))
				in := bufio.NewReader(near)
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("after %v: %v", time.Since(began), err)
				}
				if !strings.HasPrefix(resp.Status, tc.want) {
					t.Errorf("status %s, want %s", resp.Status, tc.want)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if _, err := in.ReadByte(); err != io.EOF {
					t.Errorf("the connection is still open: %v", err)
				}
				if d := time.Since(began); d > bodyTimeout+deadlineSlack {
					t.Errorf("closed after %v", d)
				}
			})
		})
	}
}
