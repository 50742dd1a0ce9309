package upstream

import (
	"context"
	"math"
	"slices"
)

// Verb is what an operator orders.
type Verb string

// The verbs; the admin API and the command line use these words, but for
// VerbKill, which is their stop by force: the whole process tree at once.
const (
	VerbStart   Verb = "start"
	VerbStop    Verb = "stop"
	VerbKill    Verb = "kill"
	VerbRestart Verb = "restart"
)

func (v Verb) cause() error {
	switch v {
	case VerbStart:
		return errStart
	case VerbStop:
		return errStop
	case VerbKill:
		return errKill
	case VerbRestart:
		return errRestart
	}
	panic("upstream: no verb " + string(v))
}

// Order is what was ordered of one upstream.
type Order struct {
	Name string
	// With are what it depends on and was started with it, in the order in which
	// they start.
	With []string
	// Left are the running upstreams that depend on it directly and are left
	// without it by a stop.
	Left []string

	of   *Upstream
	seq  uint64
	want State
}

// Wait blocks until the order was carried out (nil), its upstream failed (a
// *StartError), another order came in its way (a *CallError), or ctx is done
// (its cause). An order that is not waited for is carried out all the same.
func (o *Order) Wait(ctx context.Context) error { return o.of.settled(ctx, o.seq, o.want) }

// Order orders the same of several upstreams and returns, without waiting, an
// Order for each of names that is in the set, in their order. What is started is
// so after what it depends on, which is started too. What is stopped, or
// restarted, stops after those of names that depend on it, directly or not, and
// after its running dependents whose edge says restart; a kill waits for
// nothing. One order's failure leaves the others as they are.
func (s *Set) Order(v Verb, names ...string) []*Order {
	var list []*Upstream
	for _, name := range names {
		if u := s.Upstream(name); u != nil && !slices.Contains(list, u) {
			list = append(list, u)
		}
	}
	return s.issue(v, list)
}

func (s *Set) issue(v Verb, list []*Upstream) []*Order {
	out := make([]*Order, len(list))
	view := s.view.Load()
	var with []*Upstream
	for i, u := range list {
		o := &Order{Name: u.name, of: u, want: Running}
		switch v {
		case VerbStart:
			for _, on := range view.needs(u) {
				if slices.Contains(list, on) {
					continue
				}
				if _, given := on.take(errStart); given || slices.Contains(with, on) {
					o.With = append(o.With, on.name)
					with = append(with, on)
				}
			}
		case VerbStop, VerbKill:
			o.want = Stopped
			for _, d := range view.dependents[u.name] {
				// One whose edge says restart goes down with it.
				if st := d.phase.Load().status.State; st == Running && !slices.Contains(list, d) && !d.follows(u) {
					o.Left = append(o.Left, d.name)
				}
			}
		}
		out[i] = o
	}
	for i, seq := range s.commandAll(view, v.cause(), list, nil) {
		out[i].seq = seq
	}
	for _, on := range with {
		on.orders.press(on.orders.last())
	}
	return out
}

// needs returns what u depends on, directly or not, each after what it depends
// on itself.
func (v *setView) needs(u *Upstream) []*Upstream {
	var out []*Upstream
	var visit func(u *Upstream)
	visit = func(u *Upstream) {
		for _, d := range u.Config().DependsOn {
			if on := v.byName[d.On]; on != nil && !slices.Contains(out, on) {
				visit(on)
				out = append(out, on)
			}
		}
	}
	visit(u)
	return out
}

// leaners returns what depends on u, directly or not.
func (v *setView) leaners(u *Upstream) []*Upstream {
	var out []*Upstream
	var visit func(u *Upstream)
	visit = func(u *Upstream) {
		for _, d := range v.dependents[u.name] {
			if !slices.Contains(out, d) {
				out = append(out, d)
				visit(d)
			}
		}
	}
	visit(u)
	return out
}

// followers returns what has to restart when those of list are lost, by edges
// that say so, without list itself.
func (v *setView) followers(list []*Upstream) []*Upstream {
	all := slices.Clone(list)
	for i := 0; i < len(all); i++ {
		for _, d := range v.dependents[all[i].name] {
			if !slices.Contains(all, d) && d.follows(all[i]) {
				all = append(all, d)
			}
		}
	}
	return all[len(list):]
}

// follows reports whether u was started on top of on and restarts with it.
func (u *Upstream) follows(on *Upstream) bool {
	p := u.phase.Load()
	if st := p.status.State; st != Running && (st != Starting || p.held) {
		return false
	}
	return slices.ContainsFunc(u.Config().DependsOn, func(d Dependency) bool { return d.On == on.name && d.Restart })
}

// commandAll gives an order to each of list, and returns their numbers. view has
// the edges that they were started by; leaving are those of it that are stopping
// for good.
func (s *Set) commandAll(view *setView, cause error, list, leaving []*Upstream) []uint64 {
	seqs := make([]uint64, len(list))
	if cause == errStart || cause == errKill { //nolint:errorlint // causes are our own values, never wrapped
		for i, u := range list {
			seqs[i], _ = u.take(cause)
		}
		for i, u := range list { // what depends on another of them knows that it was ordered
			u.orders.press(seqs[i])
		}
		return seqs
	}
	all := slices.Clone(list)
	for _, d := range view.followers(running(list)) {
		if !slices.Contains(list, d) {
			all = append(all, d)
		}
	}
	for i, u := range all {
		if i == len(list) {
			cause = errEdge
		}
		seq, _ := u.take(cause)
		if i < len(list) {
			seqs[i] = seq
		}
	}
	s.pressInReverse(view, all, leaving)
	return seqs
}

// running returns those of list that run: nothing follows what is down already.
func running(list []*Upstream) []*Upstream {
	return slices.DeleteFunc(slices.Clone(list), func(u *Upstream) bool { return u.phase.Load().status.State != Running })
}

// pressInReverse ends the passes of all for the orders that they have taken,
// each after its dependents among them and among leaving have stopped.
func (s *Set) pressInReverse(view *setView, all, leaving []*Upstream) {
	seqs := make(map[*Upstream]uint64, len(all)+len(leaving))
	for _, u := range leaving {
		seqs[u] = math.MaxUint64
	}
	for _, u := range all {
		seqs[u] = u.orders.last()
	}
	for _, u := range all {
		var first []*Upstream
		for _, d := range view.leaners(u) {
			if _, ok := seqs[d]; ok {
				first = append(first, d)
			}
		}
		if len(first) == 0 || !s.running.Load() {
			u.orders.press(seqs[u])
			continue
		}
		s.errands.run(func() {
			for _, d := range first {
				d.untilTaken(seqs[d])
			}
			u.orders.press(seqs[u])
		})
	}
}

// untilTaken blocks until the owner is past the stop that an order brought, or
// has left.
func (u *Upstream) untilTaken(seq uint64) {
	for {
		p := u.phase.Load()
		if p.order >= seq || p.removed {
			return
		}
		select {
		case <-p.changed:
		case <-u.done:
			return
		}
	}
}
