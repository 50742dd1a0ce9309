package gateway

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

// Listener returns l for Server, with connections that cost less. net/http sets
// a deadline half a dozen times for each request, of which nearly none ever
// passes, and reads on while a request is served, only to break that read off
// when the answer is there. These connections set a deadline now and then, a
// little later than asked, and such a read begins when the answer takes long.
//
// With server.tls they are those below TLS, which net/http tells by its type.
func (g *Gateway) Listener(l net.Listener) net.Listener {
	at := l.Addr().String()
	g.served.Store(&at)
	l = faceListener{l, &g.watches}
	if g.guard.Load().tls != nil {
		l = tls.NewListener(l, g.tlsConfig())
	}
	return l
}

type faceListener struct {
	net.Listener
	watches *upstream.Overdue[*conn]
}

func (l faceListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, watches: l.watches, begin: make(chan struct{}, 1)}, nil
}

// deadlineSlack is by how much a deadline may pass late. A connection in use is
// told a new one once in that time.
const deadlineSlack = 5 * time.Second

// conn is a client's connection. Reads and writes are as of net.Conn; there is
// one of each at a time.
type conn struct {
	net.Conn
	watches *upstream.Overdue[*conn] // reads that have not begun
	stay    upstream.Stay[*conn]     // in watches
	begin   chan struct{}            // capacity 1: ends the rest of a read

	mu      sync.Mutex // guards the rest
	read    deadline
	write   deadline
	resting bool // a read has not begun
}

// deadline is one of a connection's two.
type deadline struct {
	asked time.Time // zero for none
	set   time.Time // what the connection below has
	busy  bool      // a read, or a write, is under way
}

// begin makes the connection below keep the deadline, through tell, and reports
// false if it has passed. Of one that passed by itself only the connection below
// knows.
func (d *deadline) begin(tell func(time.Time) error) bool {
	switch {
	case d.asked.IsZero():
		if !d.set.IsZero() {
			d.put(time.Time{}, tell)
		}
	case d.asked.Unix() <= 1: // broken off
		return false
	case d.set.Before(d.asked), d.set.Sub(d.asked) > deadlineSlack:
		d.put(d.asked.Add(deadlineSlack), tell)
	}
	d.busy = true
	return true
}

// ask notes a deadline. What is under way heeds it at once.
func (d *deadline) ask(t time.Time, tell func(time.Time) error) {
	d.asked = t
	if d.busy {
		d.put(t, tell)
	}
}

func (d *deadline) put(t time.Time, tell func(time.Time) error) {
	d.set = t
	_ = tell(t) // it fails on a closed connection only, which the read or write says
}

// Read implements net.Conn. A read of one byte is net/http's watch for the loss
// of the connection: it begins when the request has been served for a while.
func (c *conn) Read(p []byte) (int, error) {
	c.mu.Lock()
	if len(p) == 1 && c.read.asked.IsZero() {
		c.rest()
	}
	ok := c.read.begin(c.Conn.SetReadDeadline)
	c.mu.Unlock()
	if !ok {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Read(p)
	c.mu.Lock()
	c.read.busy = false
	c.mu.Unlock()
	return n, err
}

// rest waits until the read is to begin, or has a deadline. c.mu is held, but
// not while it waits.
func (c *conn) rest() {
	c.resting = true
	c.mu.Unlock()
	c.watches.Enter(&c.stay, c, time.Now(), unwatched)
	<-c.begin
	c.watches.Leave(&c.stay)
	c.mu.Lock()
	c.resting = false
	select { // both ends of the rest at the same moment
	case <-c.begin:
	default:
	}
}

// goOn ends the rest because it has lasted long enough.
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

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read.ask(t, c.Conn.SetReadDeadline)
	if c.resting && !t.IsZero() {
		c.poke()
	}
	return nil
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	ok := c.write.begin(c.Conn.SetWriteDeadline)
	c.mu.Unlock()
	if !ok {
		return 0, os.ErrDeadlineExceeded
	}
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	c.write.busy = false
	c.mu.Unlock()
	return n, err
}

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.write.ask(t, c.Conn.SetWriteDeadline)
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
