package upstream

import (
	"context"
	"errors"
	"os"
)

// Close implements Link. The child has the configured stop_timeout after its
// stdin is closed, and again after TERM.
func (l *stdioLink) Close(ctx context.Context) StopKind {
	stop := context.AfterFunc(ctx, func() { l.forced.Do(func() { close(l.force) }) })
	defer stop()
	if ctx.Err() != nil {
		l.forced.Do(func() { close(l.force) })
	}
	l.end(ErrClosed, l.patience)
	<-l.gone
	return l.kind
}

// writeFailed is the end of a link whose child takes no more.
func (l *stdioLink) writeFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("the process stopped reading its stdin")
		l.fail(&TransportError{Executed: ExecutedUnknown, Reason: "write", Lost: true, Err: err})
		return
	}
	l.brokenPipe("write", err)
}

// brokenPipe is the end of a link because of a pipe that the child closed, most
// likely by ending.
func (l *stdioLink) brokenPipe(reason string, err error) {
	if until(l.proc.exited, lastWords, l.lost) {
		reason, err = "exit", exitError(l.proc.exit)
	}
	l.fail(&TransportError{Executed: ExecutedUnknown, Reason: reason, Lost: true, Err: err})
}

// exitError is a process that ended by itself: "exit status 3".
type exitError string

func (e exitError) Error() string { return "the process ended: " + string(e) }

// fail ends the link because of err. What is left of the process does not have
// long: there is nobody it could still serve.
func (l *stdioLink) fail(err error) {
	l.end(err, patience{term: min(leftovers, l.patience.term)})
}

// giveUp implements way.
func (l *stdioLink) giveUp(err error) { l.fail(err) }

// end makes the link lost, unless it is, answers all who wait, and has the
// process stopped.
func (l *stdioLink) end(err error, p patience) {
	l.mu.Lock()
	if l.err != nil {
		l.mu.Unlock()
		return
	}
	l.err = err
	l.out.close(err)
	for id, c := range l.pending {
		e := unsent(err)
		if l.out.revoke(&c.frame) != frameDropped {
			e.Executed = ExecutedUnknown
		}
		c.answer <- outcome{err: e}
		delete(l.pending, id)
	}
	l.questions.close()
	close(l.lost)
	l.mu.Unlock()
	l.ended(err)
	go l.stop(p)
}

// stop ends the process and then the goroutines on its pipes.
func (l *stdioLink) stop(p patience) {
	l.kind = l.proc.stop(p, l.force)
	drained := make(chan struct{})
	go func() { l.tasks.Wait(); close(drained) }()
	until(drained, lastWords/2, l.force) // what it said last
	l.proc.close()
	<-drained
	if l.kind != Survived {
		l.released()
	}
	close(l.gone)
}

// drain keeps the child's stderr empty.
func (l *stdioLink) drain() {
	buf := make([]byte, 16<<10)
	for {
		n, err := l.proc.stderr.Read(buf)
		if early := l.early.Load(); early != nil {
			_, _ = early.Write(buf[:n])
		}
		if l.stderr != nil {
			_, _ = l.stderr.Write(buf[:n])
		}
		if err != nil {
			return
		}
	}
}
