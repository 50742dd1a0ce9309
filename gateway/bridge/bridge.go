package bridge

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"
)

// Options say what a bridge joins.
type Options struct {
	// In and Out are the client's: messages one to a line.
	In  io.Reader
	Out io.Writer
	// Dial connects to the gateway, which it may have to start. It is called again
	// when the connection is lost, never twice at a time. An error means that
	// requests of the client are answered with it; at the first call it ends the
	// bridge.
	Dial func(ctx context.Context) (io.ReadWriteCloser, error)
	// MaxMessage is the longest line in bytes that the client may send.
	MaxMessage int
	// Patience is how long answers are awaited after In has ended.
	Patience time.Duration
	// Say is told, in a sentence, that a connection is lost or there again.
	Say func(text string)
}

// errDone ends a bridge whose client has all it wants.
var errDone = errors.New("done")

// bridge is the state of one Run. Its goroutines are that which connects and
// reads what the gateway says, one that writes to the gateway, and one that reads
// what the client says.
type bridge struct {
	Options
	prefix string        // of ids of the bridge's own
	poke   chan struct{} // capacity 1: a request waits for a connection
	end    context.CancelCauseFunc
	client output

	mu     sync.Mutex // guards all below
	memory memory
	flight flight
	link   *link // nil while there is none
	broken error // why there will never be one
	over   bool  // In has ended
	owned  int   // ids given
}

// Run carries the client until In ends and what it asked is answered (then it
// returns nil), ctx is done, Out fails or the first Dial does. It blocks. A read
// of In that is under way, and a write to Out that blocks, are left behind.
func Run(ctx context.Context, o Options) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	b := &bridge{Options: o, prefix: newPrefix(), poke: make(chan struct{}, 1), end: end, client: output{w: o.Out}}
	go b.listen(ctx)
	done := make(chan error, 1) // nobody may be there to take it
	go func() { done <- b.connect(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		timer := time.NewTimer(lastWrite)
		defer timer.Stop()
		select {
		case err = <-done:
		case <-timer.C:
		}
	}
	if cause := context.Cause(ctx); err == nil && !errors.Is(cause, errDone) {
		err = cause
	}
	return err
}

// lastWrite is how long a client that does not read may hold the end up.
const lastWrite = time.Second

const (
	firstPause = 100 * time.Millisecond // before the second attempt in a row
	longPause  = 30 * time.Second       // between attempts while the client is silent
	wanted     = time.Second            // between attempts while a request waits
	settled    = 10 * time.Second       // a connection that lasts longer was a good one
)

// connect makes connections and reads them until ctx is done. The error is that
// of the first Dial.
func (b *bridge) connect(ctx context.Context) error {
	var pause time.Duration
	for first := true; ; first = false {
		conn, err := b.Dial(ctx)
		began := time.Now()
		switch {
		case ctx.Err() != nil:
			if conn != nil {
				_ = conn.Close()
			}
			return nil
		case err != nil && first:
			b.giveUp(ctx, err)
			return err
		case err != nil:
			b.Say("no gateway: " + err.Error())
			b.unreachable(err)
		default:
			if !first {
				b.Say("connected to the gateway again")
			}
			b.carry(ctx, conn)
			if ctx.Err() == nil {
				b.Say("the connection to the gateway is lost")
			}
		}
		if err == nil && time.Since(began) > settled {
			pause = 0
		}
		if !b.rest(ctx, pause) {
			return nil
		}
		pause = min(max(2*pause, firstPause), longPause)
	}
}

// rest waits for the pause, which a waiting request shortens. It reports false
// once ctx is done.
func (b *bridge) rest(ctx context.Context, pause time.Duration) bool {
	if pause <= 0 {
		return ctx.Err() == nil
	}
	began := time.Now()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-b.poke:
			if left := min(pause, wanted) - time.Since(began); left > 0 {
				timer.Reset(left)
				continue
			}
			return true
		}
	}
}

// carry runs one connection until it is lost or ctx is done.
func (b *bridge) carry(ctx context.Context, conn io.ReadWriteCloser) {
	l := newLink(conn)
	defer context.AfterFunc(ctx, l.hangUp)()
	var writer sync.WaitGroup
	writer.Go(func() { b.write(l) })
	b.begin(l)
	b.read(l)
	l.hangUp()
	writer.Wait()
	if ctx.Err() == nil {
		b.lost(l)
	}
}

// lastWords is how long a client has to ask, and be told why there is no
// gateway.
const lastWords = 10 * time.Second

// giveUp answers what the client asks with err, until it has heard the answer to
// its handshake, has hung up, or says nothing.
func (b *bridge) giveUp(ctx context.Context, err error) {
	b.mu.Lock()
	b.broken = err
	greeted := slices.ContainsFunc(b.flight, func(r *request) bool { return r.method == "initialize" })
	b.mu.Unlock()
	b.unreachable(err)
	if greeted {
		return
	}
	timer := time.NewTimer(lastWords)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// finish ends the bridge if In has ended and nothing is owed to the client.
func (b *bridge) finish() {
	b.mu.Lock()
	done := b.over && b.flight.owed() == 0
	b.mu.Unlock()
	if done {
		b.end(errDone)
	}
}

// output is where the client reads.
type output struct {
	mu sync.Mutex // guards w: lines stay whole
	w  io.Writer
}

// line writes one message.
func (o *output) line(raw []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, err := o.w.Write(append(slices.Clip(raw), '\n'))
	return err
}

// tell sends messages to the client. One that cannot be told ends the bridge.
func (b *bridge) tell(messages ...[]byte) {
	for _, raw := range messages {
		if err := b.client.line(raw); err != nil {
			b.end(err)
			return
		}
	}
}
