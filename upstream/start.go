package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"
)

// sharedCapabilities is what a link declares that several clients share: no
// roots, since a server that gets them from one client changes what all may
// touch.
var sharedCapabilities = json.RawMessage(`{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}}}`)

// start makes an attempt to get to running. After a failure it is the breaker's
// half-open step. The error is a *StartError or context.Cause(ctx).
func (r *runner) start(ctx context.Context) error {
	recovering := r.breaker.gate.Load() == 0
	ctx, cancel := context.WithTimeoutCause(ctx, r.Config().StartTimeout, errStartTimeout)
	defer cancel()
	err := r.breaker.attempt(func() error {
		if r.link != nil && !r.link.dead() {
			r.stage("probe")
			if r.probed(ctx, r.link) == nil {
				return nil
			}
		}
		r.discard()
		return r.dial(ctx, recovering)
	}, r.story.start)
	if err != nil {
		return err
	}
	l := r.link
	r.pool.opened()
	if r.signedIn {
		r.signedIn = false
		r.pool.renew("")
	}
	r.show(func(p *phase) {
		p.status.State, p.status.WaitingFor, p.status.Started = Running, "", time.Now()
		p.status.Hello, p.status.PID = l.Hello(), l.Hello().PID
		p.ran = true
		p.link, p.finding = l, finding{at: time.Now(), next: r.Config().Interval()}
	})
	r.startEnded(Ending{At: r.phase.Load().status.Since, PID: l.Hello().PID})
	return nil
}

var errStartTimeout = errors.New("start_timeout was over")

// dial makes a new supervised link and learns what the server offers.
func (r *runner) dial(ctx context.Context, recovering bool) error {
	c := r.Config()
	r.stage("spawn")
	// What it writes belongs to this generation; the lines of the last are told
	// in its failure.
	l := &live{gen: r.phase.Load().status.Generation}
	r.wrote = r.stderr.written()
	type child struct {
		pid       int
		at        time.Time
		handshake Mark
	}
	var shaking sync.Once
	spawned := make(chan child, 1)
	type result struct {
		link Link
		err  error
	}
	dialled := make(chan result, 1)
	go func() {
		link, err := r.set.o.Dialer.Dial(ctx, &Dial{
			Config: c, Capabilities: sharedCapabilities, ClientInfo: r.set.o.ClientInfo, Era: &r.era,
			Inbox: &inbox{u: r.Upstream, link: l}, Stderr: &r.stderr,
			Renewed: func(h *Hello) { r.anotherSession(l, h); r.renewed(l) },
			Ended:   func(err error) { r.sessionLost(l, err) },
			Spawned: func(pid int) {
				c := child{pid: pid, at: time.Now()}
				// What is asked from here on belongs to the handshake, also before the owner
				// has come to know of it.
				shaking.Do(func() {
					c.handshake = r.stageMark("handshake", c.at)
					r.story.on.set(c.handshake)
				})
				select {
				case spawned <- c:
				default:
				}
			},
		})
		dialled <- result{link, err}
	}()
	met := func(c child) {
		again := r.phase.Load().spawned // to be met as what it turned out to be
		r.show(func(p *phase) { p.status.PID, p.spawned = c.pid, true })
		if !again {
			r.stageAt("handshake", c.at, c.handshake)
		}
	}
	for l.Link == nil {
		select {
		case c := <-spawned:
			met(c)
		case d := <-dialled:
			select {
			case c := <-spawned: // both at once
				met(c)
			default:
			}
			if d.err != nil {
				return startFailure(ctx, "handshake", d.err)
			}
			l.Link = d.link
		}
	}
	r.inSession(l)
	r.link = l
	r.dialled = c
	err := r.settle(ctx, l, recovering)
	if err != nil {
		r.discard()
	}
	return err
}

// settle is what follows a handshake.
func (r *runner) settle(ctx context.Context, l *live, recovering bool) error {
	if recovering {
		r.stage("probe")
		if err := r.probed(ctx, l); err != nil {
			return startFailure(ctx, "handshake", fmt.Errorf("it shook hands, and then: %w", err))
		}
	}
	r.stage("list")
	inv, err := learn(ctx, l, 0)
	if err != nil {
		return startFailure(ctx, "list", err)
	}
	r.learnt(inv)
	r.renew(l, r.relevel(ctx, l))
	return nil
}

// renewed is told on a goroutine of the link that it has a new session.
func (u *Upstream) renewed(l *live) {
	if l.pooled == nil {
		if l.gen != u.phase.Load().status.Generation {
			return // an older one's, that is about to be closed
		}
		poke(u.listed)
	}
	u.renew(l, "")
}

// learnt takes over an inventory, if it differs from the one there is.
func (r *runner) learnt(inv *Inventory) {
	if r.dialled.RestartKey() != r.Config().RestartKey() {
		return // of a server that is about to be another
	}
	r.unlearnt.Store(false)
	old := r.inventory.Load()
	if old != nil {
		same := *old
		same.Learnt = inv.Learnt
		if reflect.DeepEqual(&same, inv) {
			if inv.TTL > 0 { // its time begins anew
				r.inventory.Store(&same)
			}
			return
		}
	}
	r.inventory.Store(inv)
	r.set.save(r.Config(), inv)
	r.set.o.Observer.Listed(r.name, old, inv)
	r.set.poke()
}

// startFailure makes err a *StartError, unless ctx ended by an order.
func startFailure(ctx context.Context, stage string, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, errStartTimeout) {
		return cause
	}
	var e *StartError
	if !errors.As(err, &e) {
		e = startError(stage, err)
	}
	if ctx.Err() != nil {
		e = &StartError{Stage: e.Stage, Exit: e.Exit, Stderr: e.Stderr, Err: errStartTimeout}
	}
	return e
}

// describe tells a failure for Status.
func (r *runner) describe(err error, now time.Time) *Failure {
	f := &Failure{Stage: "running", Message: err.Error(), At: now}
	f.needs = needsAuth(err)
	var start *StartError
	var dep *dependencyError
	switch {
	case errors.As(err, &dep):
		f.Stage = "dependency"
		return f
	case errors.As(err, &start):
		f.Stage, f.Exit, f.Stderr = start.Stage, start.Exit, start.Stderr
		f.Message = start.Err.Error()
	}
	if exit, ok := errors.AsType[exitError](err); ok && f.Exit == "" {
		f.Exit = string(exit)
	}
	if way, ok := errors.AsType[*TransportError](err); ok {
		if way.Reason == "exit" && way.Err != nil && f.Exit == "" {
			f.Exit = way.Err.Error()
		}
		f.Message += r.hint(way)
	}
	if f.needs != nil {
		f.Reason, f.Message = "needs_auth", f.needs.Error()+"; "+f.needs.Mend(r.Config().Auth.Flow)
	}
	if f.Stderr == nil {
		for _, l := range r.stderr.since(r.wrote, 20) {
			f.Stderr = append(f.Stderr, l.Text)
		}
	}
	return f
}

// hint says what to do about a refusal.
func (u *Upstream) hint(e *TransportError) string {
	needs := needsAuth(e)
	switch {
	case needs != nil:
		return "; " + needs.Mend(u.Config().Auth.Flow)
	case e.Status == http.StatusForbidden:
		return "; the server knows who asks and refuses: check what the credentials in headers may do"
	case e.Status == http.StatusUnauthorized || e.Reason == "unauthorized":
		return "; the server wants other credentials: check headers.Authorization and the variables it is made of"
	}
	return ""
}

// retryAfterOf returns how long a server asked to wait, at most maxGate.
func retryAfterOf(err error) time.Duration {
	var start *StartError
	var way *TransportError
	switch {
	case errors.As(err, &start) && start.RetryAfter > 0:
		return min(start.RetryAfter, maxGate)
	case errors.As(err, &way):
		return min(way.RetryAfter, maxGate)
	}
	return 0
}

// lostError is the end of a link that nobody closed.
func lostError(l *live) error {
	if err := l.Err(); err != nil {
		return fmt.Errorf("connection lost: %w", err)
	}
	return errors.New("connection lost")
}
