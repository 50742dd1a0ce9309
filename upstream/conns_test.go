package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// rawServer answers requests by hand: each is called with its connection, from
// which the head was read, and its number on that connection, from 1. It ends
// the connection when it returns false.
type rawServer struct {
	each  func(conn net.Conn, r *bufio.Reader, n int) bool
	conns atomic.Int64
	addr  string
}

func serveRaw(t *testing.T, each func(conn net.Conn, r *bufio.Reader, n int) bool) *rawServer {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &rawServer{each: each, addr: ln.Addr().String()}
	var open sync.Map
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			s.conns.Add(1)
			open.Store(conn, nil)
			work.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(func() {
		ln.Close()
		open.Range(func(conn, _ any) bool { conn.(net.Conn).Close(); return true })
		work.Wait()
	})
	return s
}

func (s *rawServer) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for n := 1; ; n++ {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		if req.ContentLength < 1<<20 {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		if !s.each(conn, r, n) {
			return
		}
	}
}

// lean returns conns to s, and the life of what uses them.
func (s *rawServer) lean(t *testing.T) (*conns, *life) {
	t.Helper()
	p := newConns(&url.URL{Host: s.addr}, new(net.Dialer).DialContext, 64)
	p.tailFor = patient
	l := newLife()
	t.Cleanup(func() { l.end(); p.end() })
	return p, l
}

func posting(body string) *outgoing {
	u, _ := url.Parse("http://server.example/mcp")
	return &outgoing{method: http.MethodPost, to: newPlace(u, ""), header: newHeader(nil), raw: []byte(body)}
}

// exchanged sends a request and returns the body of the response.
func exchanged(t *testing.T, p *conns, l *life, q *outgoing) (string, *TransportError) {
	t.Helper()
	resp, err := p.send(t.Context(), l, q)
	if err != nil {
		return "", err
	}
	b, readErr := io.ReadAll(resp.body)
	if readErr != nil {
		t.Errorf("body: %v", readErr)
	}
	resp.leave(true)
	return string(b), nil
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// A connection is used again, but not one that its server ended or said
// something unasked on: the message would be lost, or get another's answer.
func TestKeptConnections(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer string
		end    bool // the server ends the connection after it
		conns  int64
	}{
		{"good", fine, false, 1},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false, 1},
		{"ended by the server", fine, true, 4},
		{"something unasked", fine + "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", false, 4},
		{"close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false, 4},
		{"not for long", "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok", false, 4},
		{"for long enough", "HTTP/1.1 200 OK\r\nKeep-Alive: max=9, timeout=60\r\nContent-Length: 2\r\n\r\nok", false, 1},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false, 4},
		{"a length beside chunks", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			ended := make(chan struct{}, 1)
			s := serveRaw(t, func(conn net.Conn, _ *bufio.Reader, _ int) bool {
				io.WriteString(conn, c.answer)
				if c.end {
					conn.Close()
					ended <- struct{}{}
				}
				return !c.end
			})
			p, l := s.lean(t)
			for range 4 {
				if got, err := exchanged(t, p, l, posting("{}")); got != "ok" || err != nil {
					t.Fatalf("got %q, %v", got, err)
				}
				if c.end {
					<-ended
				}
			}
			if n := s.conns.Load(); n != c.conns {
				t.Errorf("%d connections, want %d", n, c.conns)
			}
		})
	}
}

// The end of a stream most often comes a moment after the answer.
func TestTailOfAStream(t *testing.T) {
	tail, sent := make(chan string), make(chan struct{})
	s := serveRaw(t, func(conn net.Conn, _ *bufio.Reader, _ int) bool {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		end, more := <-tail
		if more {
			io.WriteString(conn, end)
			sent <- struct{}{}
		}
		return more
	})
	defer close(tail)
	p, l := s.lean(t)
	answer := func() {
		resp, err := p.send(t.Context(), l, posting("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.body, make([]byte, 2)); err != nil {
			t.Fatal(err)
		}
		resp.leave(true)
	}
	end := func(with string) { tail <- with; <-sent }
	answer()
	answer() // the first has not ended
	if n := s.conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	end("3\r\nabc\r\n0\r\n\r\n")
	end("0\r\nX: y\r\n\r\n")
	for range 10 {
		answer()
		end("0\r\n\r\n")
	}
	if n := s.conns.Load(); n > 2 {
		t.Errorf("%d connections, want those that came to their end to be used", n)
	}
	answer()
	end("malformed\r\n")
	answer()
	end("0\r\n\r\n")
}

// A server may refuse a large message before it has read it, and read no more.
func TestAnswerBeforeTheWholeRequest(t *testing.T) {
	for _, end := range []bool{false, true} {
		t.Run(fmt.Sprint("connection ended ", end), func(t *testing.T) {
			s := serveRaw(t, func(conn net.Conn, r *bufio.Reader, _ int) bool {
				io.WriteString(conn, "HTTP/1.1 413 No\r\nContent-Length: 4\r\n\r\nlong")
				if !end {
					<-t.Context().Done()
				}
				return false
			})
			p, l := s.lean(t)
			resp, err := p.send(t.Context(), l, posting(strings.Repeat("x", 32<<20)))
			if err != nil {
				t.Fatalf("error %+v", err)
			}
			if got := string(resp.beginning(100)); resp.status != 413 || got != "long" {
				t.Errorf("status %d, %q", resp.status, got)
			}
			resp.leave(true)
			if len(p.idle) > 0 {
				t.Error("a connection is kept that a message is half written to")
			}
		})
	}
}

func TestLargeBodiesAreWritten(t *testing.T) {
	for _, size := range []int{0, 1, smallBody, smallBody + 1, 1 << 20} {
		var got atomic.Pointer[string]
		srv := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			text := fmt.Sprint(string(b), r.ContentLength, r.Host, r.URL)
			got.Store(&text)
		})}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go srv.Serve(ln)
		p := newConns(&url.URL{Host: ln.Addr().String()}, new(net.Dialer).DialContext, 4)
		l := newLife()
		body := strings.Repeat("y", size)
		for range 2 {
			if _, err := exchanged(t, p, l, posting(body)); err != nil {
				t.Fatal(err)
			}
			if want := body + fmt.Sprint(size, "server.example", "/mcp"); *got.Load() != want {
				t.Errorf("%d bytes: got %.100q, want %.100q", size, *got.Load(), want)
			}
		}
		l.end()
		p.end()
		srv.Close()
	}
}

// Whoever gives up, or loses the link, does so at once, and the connection is
// not used again.
func TestGivingUp(t *testing.T) {
	for _, phase := range []string{"before the response", "in its header", "in its body"} {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprint(phase, ", link lost ", lost), func(t *testing.T) {
				arrived := make(chan struct{})
				s := serveRaw(t, func(conn net.Conn, _ *bufio.Reader, _ int) bool {
					switch phase {
					case "in its header":
						io.WriteString(conn, "HTTP/1.1 200 OK\r\nX:")
					case "in its body":
						io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")
					}
					close(arrived)
					<-t.Context().Done()
					return false
				})
				p, l := s.lean(t)
				ctx, cancel := context.WithCancelCause(t.Context())
				why := errors.New("why")
				end := func() {
					<-arrived
					if lost {
						l.end()
					} else {
						cancel(why)
					}
				}
				defer cancel(nil)
				if phase != "in its body" {
					go end()
				}
				resp, err := p.send(ctx, l, posting("{}"))
				if phase == "in its body" {
					if err != nil {
						t.Fatal(err)
					}
					end()
					if _, err := io.ReadAll(resp.body); err == nil {
						t.Error("the body came to an end")
					}
					resp.leave(false)
				} else if err == nil || err.Executed != ExecutedUnknown || !lost && !errors.Is(err, why) {
					t.Errorf("error %+v", err)
				}
				if len(p.idle)+len(p.tails) > 0 || l.held != nil {
					t.Error("the connection is kept")
				}
			})
		}
	}
}

// A request that was given up already is not sent, over a kept connection either.
func TestGivenUpBeforeItIsSent(t *testing.T) {
	var served atomic.Int64
	s := serveRaw(t, func(conn net.Conn, _ *bufio.Reader, _ int) bool {
		served.Add(1)
		io.WriteString(conn, fine)
		return true
	})
	p, l := s.lean(t)
	if _, err := exchanged(t, p, l, posting("{}")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		if _, err := p.send(ctx, l, posting("{}")); err == nil || err.Executed != ExecutedNo {
			t.Fatalf("error %+v", err)
		}
	}
	if _, err := exchanged(t, p, l, posting("{}")); err != nil || served.Load() != 2 || s.conns.Load() != 1 {
		t.Errorf("error %v, %d requests on %d connections, want 2 on 1", err, served.Load(), s.conns.Load())
	}
}

func TestNoConnection(t *testing.T) {
	p := newConns(&url.URL{Host: "127.0.0.1:1"}, func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, 4)
	l := newLife()
	defer l.end()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if _, err := p.send(ctx, l, posting("{}")); err.Executed != ExecutedNo || err.Reason != "dial" || !errors.Is(err, why) {
		t.Errorf("error %+v", err)
	}
}

// What is kept is closed when it was kept for long, without anybody asking.
func TestKeptConnectionsAreClosed(t *testing.T) {
	closed := make(chan struct{}, 2)
	s := serveRaw(t, func(conn net.Conn, r *bufio.Reader, _ int) bool {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n")
		_, _ = r.ReadByte()
		closed <- struct{}{}
		return false
	})
	p, l := s.lean(t)
	resp, err := p.send(t.Context(), l, posting("{}"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadFull(resp.body, make([]byte, 2))
	resp.leave(true)
	p.mu.Lock()
	if len(p.tails) != 1 || p.due.IsZero() {
		t.Errorf("%d tails, to be looked through at %v", len(p.tails), p.due)
	}
	p.tails[0].since = time.Now().Add(-time.Hour)
	p.mu.Unlock()
	p.clean()
	<-closed
}
