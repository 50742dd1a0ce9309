package upstream

import "time"

// spare is how long a link that lasts must have been unused to make room for
// another one, where limits.processes allows no more.
const spare = time.Minute

// divides reports whether a scope has a link of its own at the server. A modern
// remote has no sessions, whatever was thought before it had answered, and nor has a
// modern process any of its clients'; but a process has a memory, which is not for
// other principals, and nor are their credentials.
func (u *Upstream) divides(s Scope) bool {
	return s.Principal != "" || s.Key != "" && (!u.Modern() || !s.Exclusive && u.Config().Kind() == Stdio)
}

// unused says that one who had the link of x has it no more.
func (p *pool) unused(x *pooled) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x.users--
	switch {
	case x.users > 0:
	case x.parted:
		p.closeParted(x)
	default:
		x.left = time.Now()
		p.watch(x)
	}
}

// watch has the links looked at when x may have been idle for long enough, unless
// they are looked at before. The caller holds mu.
func (p *pool) watch(x *pooled) {
	if limit := p.u.Config().Limits.Idle; limit > 0 && x.lasts && p.ready && !p.watching {
		p.watching = true
		p.idle.Reset(limit)
	}
}

// rang closes the links that have been idle for long enough.
func (p *pool) rang() {
	limit := p.u.Config().Limits.Idle
	p.mu.Lock()
	defer p.mu.Unlock()
	p.watching = false
	if !p.ready || limit <= 0 {
		return
	}
	now := time.Now()
	var next time.Duration
	for key, x := range p.links {
		if !x.lasts {
			continue
		}
		left := limit - now.Sub(x.left)
		switch {
		case !p.free(key, x):
			left = limit // whoever has it now says so when he leaves; who listens does not
		case left <= 0:
			p.take(p.u.set.force, key)
			continue
		}
		if next == 0 || left < next {
			next = left
		}
	}
	if next > 0 {
		p.watching = true
		p.idle.Reset(next)
	}
}

// free reports whether nobody uses the link of x. The caller holds mu.
func (p *pool) free(key string, x *pooled) bool {
	return x.lasts && x.users == 0 && !p.u.wants.heard(key)
}

// makeRoom closes the link that has been idle for longest, if for long enough, and
// reports whether there was one. The caller holds mu.
func (p *pool) makeRoom() bool {
	oldest := ""
	for key, x := range p.links {
		if p.free(key, x) && time.Since(x.left) >= spare && (oldest == "" || x.left.Before(p.links[oldest].left)) {
			oldest = key
		}
	}
	if oldest == "" {
		return false
	}
	p.take(p.u.set.force, oldest)
	return true
}
