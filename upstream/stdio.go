package upstream

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// stdioLink is a link to a child process (basic/transports of 2025-11-25,
// "stdio"). One goroutine reads its stdout and hands each answer to the caller
// that waits for it; writing is the outbox's.
type stdioLink struct {
	proc      *process
	out       *outbox
	inbox     Inbox
	exclusive bool
	stderr    *Tail
	early     atomic.Pointer[Tail] // this child's stderr alone, until the handshake is done
	log       *slog.Logger
	patience  patience
	ended     func(error) // told of the loss
	released  func()      // told once nothing is left
	hello     *Hello
	modern    atomic.Bool // the server does not ask, and says by itself that it stops to listen
	skipped   atomic.Uint64

	lost  chan struct{} // closed when the link is dead; err is set before
	force chan struct{} // closed by a Close whose ctx is done
	gone  chan struct{} // closed when nothing is left; kind is set before
	kind  StopKind

	forced sync.Once
	tasks  sync.WaitGroup // the goroutines that read and write the pipes

	mu        sync.Mutex // guards all below
	err       error
	last      uint64 // the newest request's id
	pending   map[uint64]*stdioCall
	calls     attribution
	questions openQuestions
}

// stdioCall is a request whose answer has not come.
type stdioCall struct {
	frame  frame
	owner  string
	peer   Peer
	token  []byte   // the client's progress token, nil for none
	digits [20]byte // of the id
	edits  jsonrpc.Edits
	// answer has room for all that is ever sent: whoever takes the call out of
	// pending sends once, and so does giveUp.
	answer chan outcome
	giveUp func() // tells the caller that its context has ended
}

// outcome is how a call ended.
type outcome struct {
	message jsonrpc.Message
	err     error
	gaveUp  bool // it did not: the caller's context has ended
}

// dialStdio starts the configured command and shakes hands with it. It blocks
// until that is done, failed, or ctx is done; unless it returns a link nothing
// of the process is left. The error is a *StartError. A server that ends on the
// question of what it is, as a few do, is taken for a legacy one and started
// again, and so is one that was taken for a legacy one because it began slowly.
func dialStdio(ctx context.Context, d *Dial, r *reaper) (Link, error) {
	if d.Era == nil {
		own := *d
		own.Era = new(Era)
		d = &own
	}
	known := d.era()
	l, err := spawnStdio(ctx, d, r)
	switch {
	case err == nil:
		return l, nil
	case known == unknownEra && errors.Is(err, errLateModern):
		return spawnStdio(ctx, d, r)
	case !endedAsked(err):
		return l, err
	case known != unknownEra:
		d.Era.forget() // it may be another now
		return l, err
	}
	d.Era.set(latestLegacy)
	if d.Era.ended.Swap(true) {
		return l, err // that is for the next attempt: each makes one process
	}
	if l, err = spawnStdio(ctx, d, r); endedAsked(err) {
		d.Era.forget() // it ends, whatever it is asked
	}
	return l, err
}

// spawnStdio is one attempt of dialStdio.
func spawnStdio(ctx context.Context, d *Dial, r *reaper) (Link, error) {
	d, in := eraDial(d)
	marker := r.mark()
	env := childEnv(os.Environ(), d.Config.PassEnv, d.Config.Env, marker)
	config, box := r.containers.contain(d.Config, env, marker)
	p, err := startProcess(config, env, marker)
	if err != nil {
		box.forget()
		return nil, &StartError{Stage: "spawn", Err: err}
	}
	p.container = box
	r.watcher.add(marker, p.pid)
	l, err := newStdioLink(p, d, r)
	if err != nil {
		p.stop(patience{}, nil)
		p.close()
		r.watcher.remove(marker)
		return nil, &StartError{Stage: "spawn", Err: err}
	}
	l.released = func() { r.watcher.remove(marker) }
	if d.Spawned != nil {
		d.Spawned(p.pid)
	}
	early := new(Tail)
	l.early.Store(early)
	l.start(int(d.Config.MaxMessage))
	hello, err := greet(ctx, d, stdioProbeLimit, l, l)
	if err != nil {
		return nil, l.startFailed(err, early)
	}
	l.early.Store(nil)
	hello.PID = p.pid
	l.hello = hello
	if hello.Modern() {
		l.modern.Store(true)
		return newModernLink(l, d, in, hello, r.log), nil
	}
	return l, nil
}

// startFailed ends the child of a failed handshake and tells what there is to
// tell of it.
func (l *stdioLink) startFailed(err error, early *Tail) error {
	exit := ""
	select {
	case <-l.proc.exited: // by itself: it was not told to yet
		exit = l.proc.exit
	default:
	}
	l.end(ErrClosed, patience{term: min(l.patience.term, leftovers)})
	<-l.gone
	e := &StartError{Stage: "handshake", Err: err}
	if told, ok := errors.AsType[*StartError](err); ok {
		e.Stage, e.RetryAfter, e.Err = told.Stage, told.RetryAfter, told.Err
	}
	e.Exit = exit
	e.Stderr = early.Lines(20)
	return e
}

func newStdioLink(p *process, d *Dial, r *reaper) (*stdioLink, error) {
	l := &stdioLink{
		proc: p, inbox: d.Inbox, exclusive: d.Exclusive, stderr: d.Stderr, log: r.log,
		patience: patience{d.Config.StopTimeout, d.Config.StopTimeout}, ended: d.ended,
		lost: make(chan struct{}), force: make(chan struct{}), gone: make(chan struct{}),
		pending: make(map[uint64]*stdioCall),
	}
	var err error
	l.out, err = newOutbox(p.stdin, r.writeTimeout, l.writeFailed)
	return l, err
}

// start begins to read and write. maxMessage bytes are the cap of one line.
func (l *stdioLink) start(maxMessage int) {
	l.tasks.Go(l.out.run)
	l.tasks.Go(l.drain)
	l.tasks.Go(func() { l.read(jsonrpc.NewLineReader(l.proc.stdout, maxMessage)) })
}

// Do implements Link.
func (l *stdioLink) Do(ctx context.Context, r *Request) (jsonrpc.Message, error) {
	if ctx.Err() != nil {
		return jsonrpc.Message{}, context.Cause(ctx)
	}
	c := newStdioCall(r)
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return jsonrpc.Message{}, unsent(l.err)
	}
	l.last++
	id := l.last
	l.mu.Unlock()
	r.sending(id)

	// The frame is made before others can see the call: a link that is lost takes
	// back the frames of all that are pending.
	c.encode(r, id)
	l.mu.Lock()
	if l.err != nil {
		defer l.mu.Unlock()
		return jsonrpc.Message{}, unsent(l.err)
	}
	l.pending[id] = c
	others := len(l.pending) > 1
	l.calls.begin(c.owner)
	l.mu.Unlock()
	// If it fails, the link is being lost and says so to c.
	if others {
		_ = l.out.sendWithOthers(&c.frame)
	} else {
		_ = l.out.send(&c.frame)
	}
	if o, clean := c.wait(ctx); !o.gaveUp {
		if o.err == nil && l.out.revoke(&c.frame) == frameWritten && clean {
			c.free()
		}
		return o.message, o.err
	}
	if !l.abandon(id, c, cancellable(r.Message.MethodName())) {
		o := <-c.answer // it came at the same moment
		return o.message, o.err
	}
	return jsonrpc.Message{}, context.Cause(ctx)
}

// stdioCalls keeps calls that are over, with their channels and buffers. A call
// goes back when it was both written and answered: nothing knows it any more. On
// a link that is being lost the reader may.
var stdioCalls = sync.Pool{New: func() any {
	c := &stdioCall{answer: make(chan outcome, 2)}
	c.giveUp = func() { c.answer <- outcome{gaveUp: true} }
	return c
}}

// wait blocks until the call has ended or ctx has. It reports whether nothing
// more can be sent on c.answer.
func (c *stdioCall) wait(ctx context.Context) (o outcome, clean bool) {
	if h, ok := ctx.(Hooked); ok && h.Hook(c.giveUp) {
		o = <-c.answer
		return o, h.Unhook()
	}
	select {
	case o = <-c.answer:
		return o, true
	case <-ctx.Done():
		return outcome{gaveUp: true}, false
	}
}

func newStdioCall(r *Request) *stdioCall {
	c := stdioCalls.Get().(*stdioCall)
	c.owner, c.peer, c.token = r.Owner, r.Peer, r.Message.MetaProgressToken.Of(r.Message.Raw)
	return c
}

func (c *stdioCall) free() {
	c.peer, c.token, c.edits = nil, nil, jsonrpc.Edits{}
	c.frame = frame{b: c.frame.b}
	stdioCalls.Put(c)
}

// encode makes the frame to send for r: its edits made, under the link's id,
// which is its progress token too.
func (c *stdioCall) encode(r *Request, id uint64) {
	own := strconv.AppendUint(c.digits[:0], id, 10)
	c.edits.Copy(r.Edits)
	c.edits.Replace(r.Message.ID, own)
	c.edits.Replace(r.Message.MetaProgressToken, own)
	raw := r.Message.Raw
	c.frame.b = oneLine(c.edits.Apply(slices.Grow(c.frame.b[:0], len(raw)+64), raw))
}

// oneLine ends b, which it may change, with its only line break. Inside JSON one
// can stand only between tokens.
func oneLine(b []byte) []byte {
	if bytes.IndexByte(b, '\n') >= 0 || bytes.IndexByte(b, '\r') >= 0 {
		for i, c := range b {
			if c == '\n' || c == '\r' {
				b[i] = ' '
			}
		}
	}
	return append(b, '\n')
}

// abandon gives up waiting for a call and tells the server, if it has the call
// and tell is set. It reports false if the call was answered already.
func (l *stdioLink) abandon(id uint64, c *stdioCall, tell bool) bool {
	l.mu.Lock()
	if l.pending[id] != c {
		l.mu.Unlock()
		return false
	}
	delete(l.pending, id)
	if l.out.revoke(&c.frame) == frameDropped {
		l.calls.end(c.owner)
		tell = false
	} else if l.modern.Load() { // nothing more comes for it
		l.calls.end(c.owner)
	} else {
		l.calls.abandon(id, c.owner)
	}
	l.mu.Unlock()
	if tell {
		b := []byte(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":`)
		b = strconv.AppendUint(b, id, 10)
		b = append(b, `,"reason":"the caller no longer waits"}}`+"\n"...)
		_ = l.out.sendFirst(&frame{b: b}) // a lost link needs no telling
	}
	return true
}

// Notify implements Link.
func (l *stdioLink) Notify(ctx context.Context, raw []byte) error {
	done := make(chan struct{})
	x := &frame{b: oneLine(bytes.Clone(raw)), done: done}
	if l.out.send(x) != nil {
		<-l.lost
		return unsent(l.Err())
	}
	var err error
	select {
	case <-done:
		err = errors.New("link lost")
	case <-l.lost:
		err = l.Err()
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	switch l.out.revoke(x) {
	case frameWritten:
		return nil
	case frameDropped:
		return &TransportError{Executed: ExecutedNo, Reason: "write", Err: err}
	}
	return &TransportError{Executed: ExecutedUnknown, Reason: "write", Err: err}
}

// unsent is the error of a request to a link that was lost for err.
func unsent(err error) *TransportError {
	if t, ok := errors.AsType[*TransportError](err); ok {
		return &TransportError{Executed: ExecutedNo, Reason: t.Reason, Lost: true, Err: t.Err}
	}
	return &TransportError{Executed: ExecutedNo, Reason: "closed", Lost: true, Err: err}
}

// Hello implements Link.
func (l *stdioLink) Hello() *Hello { return l.hello }

// Skipped returns how many lines on the child's stdout were no messages.
func (l *stdioLink) Skipped() uint64 { return l.skipped.Load() }

// Lost implements Link.
func (l *stdioLink) Lost() <-chan struct{} { return l.lost }

// Err implements Link.
func (l *stdioLink) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}
