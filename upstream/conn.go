package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"
)

// conn is one connection to a server that speaks HTTP/1.1 (RFC 9112). It is used
// by one request at a time, whose goroutine writes and reads: nothing is handed
// over to another. What is in it belongs to whoever got it from its conns.
type conn struct {
	home       *conns
	net        net.Conn
	raw        syscall.RawConn // to look at it without waiting, nil where that cannot be
	life       *life           // of the request that holds it
	abort      func()          // makes all reads and writes fail; for anybody while a request holds it
	stop       func() bool     // of the request's context.AfterFunc, nil for none
	hooked     Hooked          // the request's context in place of that, nil for none
	prev, next *conn           // in life's list; guarded by life.mu

	buf   []byte // what was read and not yet taken is buf[r:w]; nil while it is idle
	r, w  int
	peek  func(fd uintptr) bool // reads into spot; made once
	spot  []byte
	seen  int
	gone  error
	hasty bool // reads do not wait: errNotYet

	writing chan struct{} // closed when a body that is written beside is; nil for none
	wrote   int           // bytes of the request that were written
	broke   error         // why writing ended, after writing

	framing framing
	keep    bool          // it may be used for another request
	session string        // the last Mcp-Session-Id, most often the next one too
	idleFor time.Duration // how long the server keeps it, 0 if it did not say
	since   time.Time     // when it became idle
}

var (
	errNotYet   = errors.New("nothing has come yet")
	errNothing  = errors.New("the connection ended before the response")
	longAgo     = time.Unix(1, 0)
	readBuffers = sync.Pool{New: func() any { return new([connBuffer]byte) }}
	heads       = sync.Pool{New: func() any { return new([]byte) }}
)

const (
	connBuffer = 4 << 10
	// smallBody is the size up to which a body is written in one piece with the
	// head, and fits what a kernel takes at once.
	smallBody = 16 << 10
)

func newConn(home *conns, n net.Conn) *conn {
	c := &conn{home: home, net: n, abort: func() { _ = n.SetDeadline(longAgo) }}
	c.raw = rawConn(n)
	if c.raw != nil {
		c.peek = func(fd uintptr) bool {
			c.seen, c.gone = readNow(fd, c.spot)
			return true
		}
	}
	return c
}

// roundTrip sends q and blocks until the header of its response. The error is a
// *TransportError; c is closed then.
func (c *conn) roundTrip(ctx context.Context, q *outgoing) (*response, *TransportError) {
	if h, ok := ctx.(Hooked); ok && h.Hook(c.abort) {
		c.hooked = h
	} else if ctx.Done() != nil {
		c.stop = context.AfterFunc(ctx, c.abort)
	}
	c.wrote, c.broke = 0, nil
	err := c.write(q)
	if err == nil || c.wrote > 0 {
		// Also where writing failed: a server may answer before it has all, and close.
		unread := c.readHead(&q.resp)
		switch {
		case unread == nil:
			return &q.resp, nil
		case err == nil:
			err = unread
		}
	}
	c.release()
	c.close()
	e := &TransportError{Executed: ExecutedUnknown, Reason: "reset", Err: err}
	if c.wrote == 0 {
		e.Executed, e.Reason = ExecutedNo, "write"
	}
	if ctx.Err() != nil {
		e.Err = context.Cause(ctx)
	}
	return nil, e
}

// write sends a request. A large body is written beside, so that an answer that
// comes before its end is seen: a server that wants no more of it says so, and
// reads no more.
func (c *conn) write(q *outgoing) (err error) {
	scratch := heads.Get().(*[]byte)
	n := q.size()
	b := q.appendHead((*scratch)[:0], n)
	if n <= smallBody {
		b = q.edits.Apply(b, q.raw)
		c.wrote, err = c.net.Write(b)
		*scratch = b
		heads.Put(scratch)
		return err
	}
	pieces := net.Buffers(q.edits.Pieces([][]byte{b}, q.raw))
	c.writing = make(chan struct{})
	go func() {
		defer close(c.writing)
		var n int64
		n, c.broke = pieces.WriteTo(c.net)
		c.wrote = int(n)
	}()
	return nil
}

// release ends what the request that held c had begun. It reports whether c is
// still good: the request was neither given up nor cut short.
func (c *conn) release() bool {
	good := true
	if c.writing != nil {
		select {
		case <-c.writing:
		default:
			good = false
			c.abort()
			<-c.writing
		}
		good = good && c.broke == nil
		c.writing = nil
	}
	if c.stop != nil && !c.stop() || c.hooked != nil && !c.hooked.Unhook() {
		good = false
	}
	c.life.drop(c)
	c.stop, c.hooked, c.life = nil, nil, nil
	return good
}

// leave implements body.
func (c *conn) leave(answered bool) {
	good := c.release() && c.keep && c.raw != nil
	done := c.framing.over()
	if good && !done && answered {
		c.since = time.Now()
		done, good = c.settle(false)
	}
	switch {
	case !good, !done && !answered:
		c.close()
	case done:
		c.home.put(c)
	default:
		c.home.putTail(c)
	}
}

func (c *conn) close() {
	c.net.Close()
	c.free()
}

// free gives the buffer back.
func (c *conn) free() {
	if len(c.buf) == connBuffer {
		readBuffers.Put((*[connBuffer]byte)(c.buf))
	}
	c.buf, c.r, c.w = nil, 0, 0
}

// settle reads what has come of the rest of a body, from the network too if
// look. done means that it came to its end, and good that it still may.
func (c *conn) settle(look bool) (done, good bool) {
	c.hasty = true
	defer func() { c.hasty = false }()
	var waste [512]byte
	for c.framing.tail < maxTail && (look || c.r < c.w) {
		n, err := c.Read(waste[:])
		c.framing.tail += n
		switch {
		case c.framing.over():
			return true, true
		case errors.Is(err, errNotYet):
			return false, true
		case err != nil:
			return false, false
		}
	}
	return false, c.framing.tail < maxTail
}

// alive reports whether an idle c can be used: nothing came, not even its end.
func (c *conn) alive() bool {
	var one [1]byte
	n, err := c.look(one[:])
	return n == 0 && err == nil
}

// look reads what has come, without waiting; 0 and nil for nothing.
func (c *conn) look(p []byte) (int, error) {
	c.spot = p
	err := c.raw.Read(c.peek)
	c.spot = nil
	if err != nil {
		return 0, err
	}
	return c.seen, c.gone
}

// fill reads more into the buffer, which is made larger if it is full, up to
// max.
func (c *conn) fill(max int) error {
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
	switch {
	case c.buf == nil:
		c.buf = readBuffers.Get().(*[connBuffer]byte)[:]
	case c.w < len(c.buf):
	case c.r > 0:
		c.w = copy(c.buf, c.buf[c.r:c.w])
		c.r = 0
	case len(c.buf) >= max:
		return fmt.Errorf("more than %d bytes of it", max)
	default:
		b := make([]byte, min(2*len(c.buf), max))
		w := copy(b, c.buf)
		c.free()
		c.buf, c.w = b, w
	}
	n, err := c.get(c.buf[c.w:])
	c.w += n
	return err
}

// get reads from the network. At least one byte is read unless there is an
// error.
func (c *conn) get(p []byte) (int, error) {
	if !c.hasty {
		n, err := c.net.Read(p)
		if n > 0 {
			err = nil
		}
		return n, err
	}
	n, err := c.look(p)
	if n == 0 && err == nil {
		err = errNotYet
	}
	return n, err
}

// take reads from the buffer, or into p itself when the buffer is empty and p
// is not small.
func (c *conn) take(p []byte) (int, error) {
	if c.r == c.w {
		if len(p) >= connBuffer {
			return c.get(p)
		}
		if err := c.fill(connBuffer); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf[c.r:c.w])
	c.r += n
	return n, nil
}

var _ io.Reader = (*conn)(nil)
