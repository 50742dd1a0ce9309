package gateway

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

// Listener returns l for Server, with connections that cost less. net/http sets
// a deadline half a dozen times for each request, of which nearly none ever
// passes, and reads on while a request is served, only to break that read off
// when the answer is there. On these connections a deadline is one timer's for
// all until it has passed, and the read begins when the answer takes long.
func (g *Gateway) Listener(l net.Listener) net.Listener { return faceListener{l, &g.clocks} }

type faceListener struct {
	net.Listener
	clocks *connClocks
}

func (l faceListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, clocks: l.clocks, begin: make(chan struct{}, 1)}, nil
}

// connClocks are the deadlines of connections, each kind by itself since those
// of a kind are given about the same time.
type connClocks struct {
	resting, reading, idle, writing upstream.Overdue[*conn]
}

func (c *connClocks) init() {
	c.resting.Late = (*conn).goOn
	c.reading.Late, c.idle.Late = (*conn).cutRead, (*conn).cutRead
	c.writing.Late = (*conn).cutWrite
}

// longRead tells the wait for a client's next request from that for the rest of
// one.
const longRead = time.Minute

// conn is a client's connection. Reads and writes are as of net.Conn; there is
// one of each at a time.
type conn struct {
	net.Conn
	clocks *connClocks
	begin  chan struct{} // capacity 1: ends the rest of a read

	read, wrote upstream.Stay[*conn]

	mu            sync.Mutex // guards the rest
	readBy        time.Time  // the deadlines asked for, zero for none
	writeBy       time.Time
	state         readState
	writing       bool
	cutIn, cutOut bool // the connection below has a deadline that has passed
}

type readState uint8

const (
	notReading readState = iota
	resting              // put off
	reading
)

// Read implements net.Conn. A read of one byte is net/http's watch for the loss
// of the connection: it begins when the request has been served for a while.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if len(p) == 1 && c.readBy.IsZero() {
		c.rest()
	}
	by := c.readBy
	c.state = reading
	c.mu.Unlock()
	n, err := c.readUntil(p, by)
	c.mu.Lock()
	c.state = notReading
	if c.cutIn {
		c.cutIn = false
		_ = c.Conn.SetReadDeadline(time.Time{})
	}
	c.mu.Unlock()
	return n, err
}

func (c *conn) readUntil(p []byte, by time.Time) (int, error) {
	if by.IsZero() {
		return c.Conn.Read(p)
	}
	now := time.Now()
	d := by.Sub(now)
	if d <= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	clock := &c.clocks.reading
	if d > longRead {
		clock = &c.clocks.idle
	}
	clock.Enter(&c.read, c, now, d)
	defer clock.Leave(&c.read)
	return c.Conn.Read(p)
}

// rest waits until the read is to begin, or has a deadline. c.mu is held, but
// not while it waits.
func (c *conn) rest() {
	c.state = resting
	c.mu.Unlock()
	c.clocks.resting.Enter(&c.read, c, time.Now(), unwatched)
	<-c.begin
	c.clocks.resting.Leave(&c.read)
	c.mu.Lock()
	c.state = notReading
	select { // both ends of the rest at the same moment
	case <-c.begin:
	default:
	}
}

func (c *conn) goOn() time.Duration {
	c.poke()
	return 0
}

func (c *conn) poke() {
	select {
	case c.begin <- struct{}{}:
	default:
	}
}

func (c *conn) cutRead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if left := time.Until(c.readBy); c.readBy.IsZero() || left > 0 { // it was given more meanwhile
		return max(left, 0)
	}
	c.cutIn = true
	_ = c.Conn.SetReadDeadline(time.Unix(1, 0))
	return 0
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = t
	switch c.state {
	case resting:
		if !t.IsZero() {
			c.poke()
		}
	case reading:
		c.cutIn = true
		return c.Conn.SetReadDeadline(t)
	}
	return nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	by := c.writeBy
	c.writing = true
	c.mu.Unlock()
	n, err := c.writeUntil(p, by)
	c.mu.Lock()
	c.writing = false
	if c.cutOut {
		c.cutOut = false
		_ = c.Conn.SetWriteDeadline(time.Time{})
	}
	c.mu.Unlock()
	return n, err
}

func (c *conn) writeUntil(p []byte, by time.Time) (int, error) {
	if by.IsZero() {
		return c.Conn.Write(p)
	}
	now := time.Now()
	d := by.Sub(now)
	if d <= 0 {
		return 0, os.ErrDeadlineExceeded
	}
	c.clocks.writing.Enter(&c.wrote, c, now, d)
	defer c.clocks.writing.Leave(&c.wrote)
	return c.Conn.Write(p)
}

func (c *conn) cutWrite() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if left := time.Until(c.writeBy); c.writeBy.IsZero() || left > 0 {
		return max(left, 0)
	}
	c.cutOut = true
	_ = c.Conn.SetWriteDeadline(time.Unix(1, 0))
	return 0
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	if c.writing {
		c.cutOut = true
		return c.Conn.SetWriteDeadline(t)
	}
	return nil
}

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	_ = c.SetWriteDeadline(t)
	return c.SetReadDeadline(t)
}

// Close implements net.Conn.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.poke()
	return err
}
