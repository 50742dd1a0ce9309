package upstream

// part takes a link away from those to come, and leaves it to the calls that have
// it. p.mu is held.
func (p *pool) part(key string) {
	x := p.links[key]
	if x == nil || x.users == 0 || !x.settled() {
		p.take(p.u.set.force, key)
		return
	}
	delete(p.links, key)
	if p.parted == nil {
		p.parted = make(map[*pooled]struct{})
	}
	x.parted = true
	p.parted[x] = struct{}{}
}

// closeParted closes a link that was parted, which nobody has any more. p.mu is
// held.
func (p *pool) closeParted(x *pooled) {
	if _, held := p.parted[x]; held {
		delete(p.parted, x)
		p.u.tasks.run(func() { x.link.Close(p.u.set.force) })
	}
}

// renew makes the links of a principal anew: those on which updates of resources are
// waited for now, all others when they are used next. Calls that are on their way
// stay where they are. A link that is being made has the new sign-in, or fails for
// want of it and is made at the next call.
func (p *pool) renew(principal string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, x := range p.links {
		if x.principal != principal || !x.settled() {
			continue
		}
		p.part(key)
		if x.link != nil && p.u.wants.heard(key) {
			_, _ = p.make(&Call{Scope: x.link.scope}) // if not now, then at its next call
		}
	}
}

// expel closes the links of a principal, and so ends the calls on them.
func (p *pool) expel(principal string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, x := range p.links {
		if x.principal == principal {
			p.take(p.u.set.force, key)
		}
	}
	for x := range p.parted {
		if x.principal == principal {
			p.closeParted(x)
		}
	}
}

// settled reports whether the link was made, or was not to be made.
func (x *pooled) settled() bool {
	select {
	case <-x.made:
		return true
	default:
		return false
	}
}
