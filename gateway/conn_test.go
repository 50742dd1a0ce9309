package gateway

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

// pair returns a connection of the gateway's and its client's end.
func pair(t *testing.T) (c *conn, client net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	watches := &upstream.Overdue[*conn]{Late: (*conn).goOn}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return &conn{Conn: far, watches: watches, begin: make(chan struct{}, 1)}, near
}

// readResult is what a read brought, and when it returned.
type readResult struct {
	n    int
	err  error
	took time.Duration
}

func readIn(c net.Conn, n int) <-chan readResult {
	out := make(chan readResult, 1)
	begun := time.Now()
	go func() {
		n, err := c.Read(make([]byte, n))
		out <- readResult{n, err, time.Since(begun)}
	}()
	synctest.Wait()
	return out
}

func TestConnDeadlines(t *testing.T) {
	for _, limit := range []time.Duration{time.Second, 2 * time.Minute} { // a request's rest, and the next request
		synctest.Test(t, func(t *testing.T) {
			c, client := pair(t)
			_ = c.SetDeadline(time.Now().Add(limit))
			if r := <-readIn(c, 8); !errors.Is(r.err, os.ErrDeadlineExceeded) || r.took < limit || r.took > limit+deadlineSlack {
				t.Errorf("a read ended with %v after %v, want a timeout after %v", r.err, r.took, limit)
			}
			if _, err := c.Read(make([]byte, 8)); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a read after the deadline: %v", err)
			}
			if _, err := c.Write([]byte("late")); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a write after the deadline: %v", err)
			}
			// One that is moved on and on is kept all the same.
			for range 100 {
				_ = c.SetReadDeadline(time.Now().Add(limit))
				go func() { _, _ = client.Write([]byte("x")) }()
				if n, err := c.Read(make([]byte, 8)); n != 1 {
					t.Fatalf("a read before its deadline: %v", err)
				}
				time.Sleep(limit / 10)
			}
			_ = c.SetReadDeadline(time.Now().Add(limit))
			if r := <-readIn(c, 8); !errors.Is(r.err, os.ErrDeadlineExceeded) || r.took < limit || r.took > limit+deadlineSlack {
				t.Errorf("the last read ended with %v after %v, want a timeout after %v", r.err, r.took, limit)
			}
			// A nearer one holds, too.
			_ = c.SetReadDeadline(time.Now().Add(time.Hour))
			go func() { _, _ = client.Write([]byte("x")) }()
			if n, err := c.Read(make([]byte, 8)); n != 1 {
				t.Fatalf("a read before its deadline: %v", err)
			}
			_ = c.SetReadDeadline(time.Now().Add(limit))
			if r := <-readIn(c, 8); !errors.Is(r.err, os.ErrDeadlineExceeded) || r.took > limit+deadlineSlack {
				t.Errorf("with a nearer deadline it ended with %v after %v", r.err, r.took)
			}
			// It holds for what comes later, and not for longer.
			_ = c.SetWriteDeadline(time.Now().Add(limit))
			begun := time.Now()
			if _, err := c.Write([]byte("nobody reads")); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begun) < limit || time.Since(begun) > limit+deadlineSlack {
				t.Errorf("a write ended with %v after %v, want a timeout after %v", err, time.Since(begun), limit)
			}
			_ = c.SetDeadline(time.Time{})
			in := readIn(c, 8)
			time.Sleep(time.Hour)
			_, _ = client.Write([]byte("hello"))
			if r := <-in; r.n != 5 || r.err != nil {
				t.Errorf("a read with no deadline: %d, %v", r.n, r.err)
			}
			go func() { _, _ = c.Write([]byte("hello")) }()
			if n, err := client.Read(make([]byte, 8)); n != 5 || err != nil {
				t.Errorf("a write with no deadline: %d, %v", n, err)
			}
		})
	}
}

// A deadline that is moved while a read or a write waits holds for it.
func TestConnDeadlineIsMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := pair(t)
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		in := readIn(c, 8)
		_ = c.SetReadDeadline(time.Now().Add(time.Minute))
		if r := <-in; !errors.Is(r.err, os.ErrDeadlineExceeded) || r.took != time.Minute {
			t.Errorf("put off: %v after %v", r.err, r.took)
		}
		_ = c.SetReadDeadline(time.Now().Add(time.Second))
		in = readIn(c, 8)
		_ = c.SetReadDeadline(time.Time{})
		time.Sleep(time.Hour)
		_, _ = client.Write([]byte("x"))
		if r := <-in; r.n != 1 {
			t.Errorf("lifted: %v after %v", r.err, r.took)
		}
		in = readIn(c, 8)
		_ = c.SetReadDeadline(time.Unix(1, 0))
		if r := <-in; !errors.Is(r.err, os.ErrDeadlineExceeded) || r.took != 0 {
			t.Errorf("broken off: %v after %v", r.err, r.took)
		}
		wrote := make(chan error, 1)
		go func() { _, err := c.Write([]byte("nobody reads")); wrote <- err }()
		synctest.Wait()
		_ = c.SetWriteDeadline(time.Now())
		if err := <-wrote; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a write that was broken off: %v", err)
		}
	})
}

// net/http's watch for the loss of the connection, a read of one byte, begins
// after a while, loses nothing, and is broken off at once.
func TestConnWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, client := pair(t)
		go func() { _, _ = client.Write([]byte("next")) }()
		if r := <-readIn(c, 1); r.n != 1 || r.took != unwatched {
			t.Errorf("a byte that is there: %d, %v after %v, want it after %v", r.n, r.err, r.took, unwatched)
		}
		if r := <-readIn(c, 8); r.n != 3 || r.took != 0 {
			t.Errorf("the rest: %d, %v after %v", r.n, r.err, r.took)
		}
		for _, after := range []time.Duration{0, unwatched / 2, 2 * unwatched} {
			in := readIn(c, 1)
			time.Sleep(after)
			_ = c.SetReadDeadline(time.Unix(1, 0))
			if r := <-in; !errors.Is(r.err, os.ErrDeadlineExceeded) || r.took != after {
				t.Errorf("broken off after %v: %v after %v", after, r.err, r.took)
			}
			_ = c.SetReadDeadline(time.Time{})
		}
		in := readIn(c, 1)
		_ = client.Close()
		if r := <-in; r.err != io.EOF || r.took != unwatched {
			t.Errorf("the client's end: %v after %v", r.err, r.took)
		}
		in = readIn(c, 1)
		_ = c.Close()
		if r := <-in; r.err == nil || r.took != 0 {
			t.Errorf("closed: %v after %v", r.err, r.took)
		}
	})
}
