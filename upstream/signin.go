package upstream

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
