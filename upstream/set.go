package upstream

import (
	"context"
	"encoding/json"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
)

// Options is what all upstreams of a Set share.
type Options struct {
	// Dialer makes the links.
	Dialer Dialer
	// Log may be nil for none.
	Log *slog.Logger
	// Observer may be nil.
	Observer Observer
	// Chronicle may be nil.
	Chronicle Chronicle
	// StateDir is where inventories are kept, "" for memory alone.
	StateDir string
	// ClientInfo is the clientInfo to declare, a JSON object.
	ClientInfo json.RawMessage
	// Handler receives what belongs to no call. It may be nil.
	Handler Handler
	// SessionEnded, if not nil, is told of each session with a server that is over. It
	// is called on any goroutine, several at once, and must not block.
	SessionEnded func(SessionEnd)
}

// Set keeps the running upstreams equal to the configured ones, in dependency
// order. Its methods may be called from any goroutine.
type Set struct {
	o       Options
	changed chan struct{} // capacity 1: a poke that is not yet read stands for all
	view    atomic.Pointer[setView]
	unsaved atomic.Bool     // an inventory could not be kept, and that was logged
	force   context.Context //nolint:containedctx // done when all that stops must stop at once
	kill    context.CancelFunc
	running atomic.Bool // Run was called
	closing atomic.Bool // Run ends: nothing is started any more
	errands tasks       // orders that wait for others; they end with the owners

	mu      sync.Mutex // guards what follows, and who replaces view
	runs    sync.WaitGroup
	ctx     context.Context //nolint:containedctx // of Run; nil before it
	leaving map[string]*Upstream
}

// setView is what readers see: it never changes.
type setView struct {
	list       []*Upstream // in file order
	byName     map[string]*Upstream
	dependents map[string][]*Upstream // direct ones, by the name they depend on
}

// Changes says what Apply did, by name.
type Changes struct {
	Added, Removed []string
	// Restarted had a key change that needs a restart; Updated apply live.
	Restarted, Updated []string
}

// NewSet returns an empty set.
func NewSet(o Options) *Set {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = silent{}
	}
	s := &Set{o: o, changed: make(chan struct{}, 1), leaving: make(map[string]*Upstream)}
	s.force, s.kill = context.WithCancel(context.Background())
	s.view.Store(&setView{})
	return s
}

// Upstream returns the upstream of that name, nil if there is none.
func (s *Set) Upstream(name string) *Upstream { return s.view.Load().byName[name] }

// Upstreams returns the enabled upstreams in file order. The slice is not
// changed afterwards, and the caller must not change it.
func (s *Set) Upstreams() []*Upstream { return s.view.Load().list }

// Changed returns a channel that is poked after each change of a status, of an
// inventory or of the set. One poke may stand for several changes.
func (s *Set) Changed() <-chan struct{} { return s.changed }

// Kill makes every stop that is under way or still to come one by force.
func (s *Set) Kill() { s.kill() }

func (s *Set) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Apply makes the set equal to the enabled ones of configs, in their order. What
// is new is started, and what is gone is stopped, without waiting for either; an
// upstream with another RestartKey is restarted, any other change applies live,
// and an unchanged one is not touched. The error is CheckGraph's, or says that Run
// is over, and then nothing has changed. Apply may be called before Run.
func (s *Set) Apply(configs []Config) (Changes, error) {
	if err := CheckGraph(configs); err != nil {
		return Changes{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx != nil && s.ctx.Err() != nil {
		return Changes{}, errShutdown
	}
	var ch Changes
	old := s.view.Load()
	view := &setView{byName: make(map[string]*Upstream), dependents: make(map[string][]*Upstream)}
	var added, restart []*Upstream
	for i := range configs {
		c := configs[i]
		if !c.Enabled {
			continue
		}
		u := old.byName[c.Name]
		switch {
		case u == nil:
			u = newUpstream(s, &c)
			added = append(added, u)
			ch.Added = append(ch.Added, c.Name)
		case reflect.DeepEqual(*u.Config(), c):
		case u.Config().RestartKey() != c.RestartKey():
			u.config.Store(&c) // its owner hears of that by the order, and is not to start before
			restart = append(restart, u)
			ch.Restarted = append(ch.Restarted, c.Name)
		default:
			u.configure(&c)
			ch.Updated = append(ch.Updated, c.Name)
		}
		view.list = append(view.list, u)
		view.byName[c.Name] = u
		for _, d := range c.DependsOn {
			view.dependents[d.On] = append(view.dependents[d.On], u)
		}
	}
	s.view.Store(view)
	var removed []*Upstream
	for _, u := range old.list {
		if view.byName[u.name] == nil {
			removed = append(removed, u)
			ch.Removed = append(ch.Removed, u.name)
		}
	}
	s.remove(removed, old)
	if s.ctx != nil {
		for _, u := range added {
			s.launch(u)
		}
	}
	for _, u := range restart {
		u.recall()
	}
	s.commandAll(old, errReconfigured, restart, removed)
	for _, u := range view.list {
		poke(u.nudge) // edges may have changed
		u.rouse()
	}
	s.poke()
	return ch, nil
}

// Run starts the upstreams, and those that Apply adds, and blocks until ctx is
// done and all are stopped: dependents before what they depend on, and what is
// independent at the same time. It may be called once.
func (s *Set) Run(ctx context.Context) error {
	s.mu.Lock()
	s.ctx = ctx
	s.running.Store(true)
	for _, u := range s.view.Load().list {
		s.launch(u)
	}
	s.mu.Unlock()
	if d, ok := s.o.Dialer.(Sweeper); ok {
		s.runs.Go(func() { d.Sweep(ctx) })
	}
	<-ctx.Done()
	s.closing.Store(true)
	s.mu.Lock()
	view := s.view.Load()
	s.quit(view.list, view, errShutdown)
	s.mu.Unlock()
	s.runs.Wait()
	s.errands.wait()
	return nil
}

// launch runs u in a goroutine of its own. s.mu is held.
func (s *Set) launch(u *Upstream) {
	if s.ctx == nil || s.ctx.Err() != nil {
		return
	}
	// Not under s.ctx: what depends on u has to stop first.
	ctx, quit := context.WithCancelCause(context.Background())
	u.quit = quit
	before := s.leaving[u.name]
	s.runs.Go(func() {
		defer close(u.done)
		defer quit(nil)
		if before != nil {
			<-before.done // two of one name never run side by side
		}
		u.run(ctx)
	})
}

// quit makes those of list stop, each after its dependents of list. s.mu is
// held.
func (s *Set) quit(list []*Upstream, view *setView, cause error) {
	for _, u := range list {
		if u.quit == nil {
			continue
		}
		var first []*Upstream
		for _, d := range view.dependents[u.name] {
			if d.quit != nil && slices.Contains(list, d) {
				first = append(first, d)
			}
		}
		s.runs.Go(func() {
			for _, d := range first {
				<-d.done
			}
			u.over.Store(true)
			u.quit(cause)
		})
	}
}

// remove stops what Apply left out. s.mu is held.
func (s *Set) remove(gone []*Upstream, old *setView) {
	for _, u := range gone {
		s.leaving[u.name] = u
		if u.quit == nil {
			close(u.done)
			delete(s.leaving, u.name)
		}
	}
	s.quit(gone, old, errRemoved)
	for _, u := range gone {
		s.runs.Go(func() {
			<-u.done
			u.gone()
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.leaving[u.name] == u {
				delete(s.leaving, u.name)
			}
		})
	}
}

// phaseChanged tells the dependents of u, and who watches the set.
func (s *Set) phaseChanged(u *Upstream) {
	for _, d := range s.view.Load().dependents[u.name] {
		poke(d.nudge)
	}
	s.poke()
}

// lost restarts the dependents of u whose edge says so, and theirs.
func (s *Set) lost(u *Upstream) {
	view := s.view.Load()
	all := view.followers([]*Upstream{u})
	for _, d := range all {
		d.take(errEdge)
	}
	s.pressInReverse(view, all, nil)
}
