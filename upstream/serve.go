package upstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// relistPause is how far apart lists are at least that a server asks for.
const relistPause = time.Second

// serve watches over a running upstream. It blocks until ctx is done, the link
// is lost, the breaker opened or nobody needs it, and says which; all it began has ended then.
func (r *runner) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	r.timeouts.Store(0) // those of an older generation
	r.evidence.Store(0)
	r.slow.take()
	w := &watch{runner: r, link: r.link, probed: make(chan judged, 1), relisted: make(chan *Inventory, 1)}
	defer func() {
		cancel(context.Cause(ctx))
		w.work.Wait()
	}()
	w.base, w.last = r.Config().Interval(), time.Now()
	w.interval = w.base
	w.tick = time.NewTimer(jitter(w.interval))
	defer w.tick.Stop()
	w.lists = time.NewTimer(time.Hour)
	w.lists.Stop() // until a list is wanted
	defer w.lists.Stop()
	w.silence.timer = time.NewTimer(time.Hour)
	defer w.silence.timer.Stop()
	w.listen()
	stable := time.NewTimer(r.Config().Restart.Stable)
	defer stable.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-w.link.Lost():
			return lostError(w.link)
		case <-r.breaker.tripped:
			if w.link.dead() {
				return lostError(w.link)
			}
			return errTripped
		case <-w.tick.C:
			w.ticked(ctx)
		case <-r.timed:
			w.probe(ctx)
		case j := <-w.probed:
			w.judged(j)
			if w.wantsSignIn(ctx, &j.finding) {
				return j.err
			}
		case <-r.signed: // it may list more now
			w.listChanged(ctx)
		case c := <-r.checked:
			if c.link == w.link {
				w.shown(c.finding)
				if w.wantsSignIn(ctx, &c.finding) {
					return c.err
				}
			}
		case <-r.listed:
			w.listChanged(ctx)
		case <-w.lists.C:
			w.relist(ctx)
		case inv := <-w.relisted:
			w.listing = false
			if inv != nil {
				r.learnt(inv)
				r.show(func(p *phase) { p.status.Hello = w.link.Hello() }) // a new session's, perhaps
			}
			if w.again {
				w.again = false
				w.listChanged(ctx)
			}
		case <-stable.C:
			r.recovery.reset(r.Config())
			if s := r.phase.Load().status; s.Attempts > 0 || s.Exhausted {
				r.show(func(p *phase) { p.status.Attempts, p.status.Exhausted = 0, false })
			}
		case <-w.silence.timer.C:
			if w.idle() {
				return errIdle
			}
		case <-r.tuned:
			r.retune(w)
		}
	}
}

var errTripped = errors.New("the circuit breaker opened: too many failures")

// watch is the owner's state while it serves.
type watch struct {
	*runner
	link     *live
	work     sync.WaitGroup
	tick     *time.Timer
	base     time.Duration // as configured
	interval time.Duration // now: a remote's grows while nobody uses it
	calls    int64         // at the last tick
	probing  bool
	probed   chan judged // capacity 1: one probe at a time

	silence silence

	lists    *time.Timer // fires when the next list may begin
	listing  bool
	again    bool            // a change came during a list
	last     time.Time       // begin of the last list
	relisted chan *Inventory // capacity 1: one list at a time
}

// retune takes over a configuration that applies live.
func (r *runner) retune(w *watch) {
	r.breaker.resize()
	if w.idleStop() != w.silence.stop {
		w.listen()
	}
	if base := r.Config().Interval(); base != w.base { // else the turn of the next probe stays
		w.base, w.interval = base, base
		w.tick.Reset(jitter(base))
	}
}

// listChanged makes a list, or plans it if that is too soon after the last.
func (w *watch) listChanged(ctx context.Context) {
	if w.listing {
		w.again = true
		return
	}
	if wait := relistPause - time.Since(w.last); wait > 0 {
		w.lists.Reset(wait)
		return
	}
	w.relist(ctx)
}

func (w *watch) relist(ctx context.Context) {
	if w.listing {
		return
	}
	w.listing, w.last = true, time.Now()
	w.lists.Stop()
	timeout := w.Config().StartTimeout
	w.work.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		ctx, end := w.asking(ctx, "list")
		inv, err := learn(ctx, w.link, 0)
		end(err)
		if err != nil && ctx.Err() == nil {
			w.set.o.Log.WarnContext(ctx, "list failed", "upstream", w.name, "error", err)
		}
		w.relisted <- inv
	})
}

// inbox receives what a server sends outside of calls on one link.
type inbox struct {
	u    *Upstream
	link *live
}

func (i *inbox) Notified(m jsonrpc.Message) {
	switch m.MethodName() {
	case "notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/resources/list_changed":
		// Also from a link that a session owns: it may be the only one that the
		// server tells. The supervised link lists.
		if i.current() {
			poke(i.u.listed)
		}
		return
	}
	if h := i.u.set.o.Handler; h != nil && i.current() {
		h.Notified(i.u.name, i.link.scope, m)
	}
}

func (i *inbox) Asked(q *Question) {
	if h := i.u.set.o.Handler; h != nil && i.current() {
		h.Asked(i.u.name, i.link.scope, q)
		return
	}
	i.decline(q)
}

// decline answers a question that nobody takes.
func (i *inbox) decline(q *Question) {
	i.u.tasks.run(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		raw := q.Message.Raw
		_ = q.Answer(ctx, jsonrpc.AppendError(nil, q.Message.ID.Of(raw), jsonrpc.CodeMethodNotFound, "nobody is here to answer", nil))
	})
}

// current reports whether the link is of the generation that runs: what an older
// one still says is dropped.
func (i *inbox) current() bool {
	return i.link.pooled != nil || i.link.gen == i.u.phase.Load().status.Generation
}
