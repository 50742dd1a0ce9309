package upstream

import (
	"context"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// SignedIn says that somebody signed in to an upstream: for the gateway itself, if
// principal is "", or for a principal (Config.Auth.Per). An upstream in error that
// waits for that (Failure.Reason needs_auth) starts at once. Links of a principal's
// own are made anew when they are used next, and those of others are not touched.
// It does not block; a name that is not in the set is nothing to do.
func (s *Set) SignedIn(upstream, principal string) {
	u := s.Upstream(upstream)
	switch {
	case u == nil:
	case principal == "":
		u.signIns.Add(1)
		poke(u.signed)
	default:
		u.pool.renew(principal)
	}
}

// SignedOut says that a sign-in is gone. The links that used it are closed: those of
// the principal, or all, if it was the gateway's own. An upstream that runs is
// started again then, and so comes to say what it lacks. It does not block; a name
// that is not in the set is nothing to do.
func (s *Set) SignedOut(upstream, principal string) {
	view := s.view.Load()
	u := view.byName[upstream]
	switch {
	case u == nil:
	case principal != "":
		u.pool.expel(principal)
	default:
		switch u.phase.Load().status.State {
		case Starting, Running:
			s.commandAll(view, errSignedOut, []*Upstream{u}, nil)
		}
	}
}

// wanting enters the state error until somebody has signed in: there is no use in
// trying before. Where nobody can, since it is a service account or a token that was
// issued by hand, it is tried again after a while. Only the failure of the gateway's
// own sign-in comes here.
func (r *runner) wanting(f *Failure) {
	var next time.Time
	switch r.Config().Auth.Flow {
	case oauth.ClientCredentials, oauth.Bearer:
		next = f.At.Add(exhaustedDelay)
	}
	ran := r.phase.Load().status.Started
	r.unsigned, r.retry, r.ended, r.signedIn = true, false, false, false
	r.recovery.reset(r.Config())
	r.startEnded(Ending{At: f.At, Stage: f.Stage, Err: f.Message})
	r.lacking.Store(f) // first: calls that come between the next two are told what to do
	r.breaker.trip(r.phase.Load().marks.start)
	r.show(func(p *phase) {
		s := &p.status
		s.State, s.Failure, s.WaitingFor, s.PID = Errored, f, "", 0
		s.Attempts, s.Exhausted, s.NextRetry = 0, false, next
	})
	if !ran.IsZero() {
		r.story.lost = r.phase.Load().marks.breaker
	}
	r.discard() // the next one may be another's
}

// awaitSignIn blocks until somebody has signed in, or it is time for another attempt.
func (r *runner) awaitSignIn(ctx context.Context) error {
	var again <-chan time.Time
	if next := r.phase.Load().status.NextRetry; !next.IsZero() {
		t := time.NewTimer(ahead(time.Until(next)))
		defer t.Stop()
		again = t.C
	}
	select {
	case <-again:
		r.retry = true
		return nil
	case <-r.signed:
		r.signedIn = true
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// signedBefore takes note that whoever has signed in did so before the start that
// begins.
func (r *runner) signedBefore() {
	select {
	case <-r.signed:
	default:
	}
}

// wantsSignIn reports whether a probe found that somebody has to sign in, and nobody
// did since it began.
func (w *watch) wantsSignIn(ctx context.Context, s *finding) bool {
	switch {
	case needsAuth(s.err) == nil:
		return false
	case s.signIns != w.signIns.Load():
		w.probe(ctx)
		return false
	}
	return true
}

// refusedOwn has a probe find out whether it is all over with the gateway's own
// sign-in, if a call was refused for it. Not for want of more, which is about this
// call alone; and a server that has to know nobody for its lists goes on with them.
func (u *Upstream) refusedOwn(l *live, err error) {
	needs := needsAuth(err)
	if needs == nil || l.scope.Principal != "" {
		return
	}
	switch needs.Why {
	case oauth.MoreScope, oauth.NotSignedIn:
	default:
		poke(u.timed)
	}
}
