package upstream_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// legal is the table of the lifecycle; `unknown` is derived when it is read, and
// never entered.
var legal = map[upstream.State][]upstream.State{
	upstream.NotStarted: {upstream.Starting},
	upstream.Stopped:    {upstream.Starting},
	upstream.Starting:   {upstream.Running, upstream.Errored, upstream.Stopping},
	upstream.Running:    {upstream.Stopping, upstream.Errored},
	upstream.Stopping:   {upstream.Stopped, upstream.Errored},
	upstream.Errored:    {upstream.Starting, upstream.Stopped},
}

// removable are the states out of which an upstream may leave.
var removable = []upstream.State{upstream.NotStarted, upstream.Stopped, upstream.Errored}

// model knows what the table and the rules of recovery, dependencies and the
// breaker allow. It is told what the test does and what the scripted servers do,
// hears as an Observer what the set makes of it, and keeps a list of what is
// not allowed. What is decided by jitter it takes from the set, within bounds.
type model struct {
	mu     sync.Mutex // guards all
	begun  time.Time
	over   bool                      // the set is being shut down
	lives  map[string][]*life        // by name; all but the last are being removed
	logged map[string]string         // the last state that the log says was entered
	later  []func()                  // checks that need to know all that happens at this instant
	faults []string                  // what was wrong, the first decides
	trace  []string                  // what happened
	owners map[*linktest.Link]uint64 // the generation of each link
	ends   map[*linktest.Link]time.Time
}

// life is what the model knows of one upstream.
type life struct {
	m       *model
	name    string
	u       *upstream.Upstream
	config  upstream.Config
	desired bool
	leaving bool

	state   upstream.State
	gen     uint64
	breaker upstream.BreakerState
	spawned bool
	past    []moment

	ordered bool      // what runs was ordered to stop, or to stop and start
	edge    bool      // by an edge alone
	excused time.Time // when a restart by an edge may have been due
	first   []*life   // what depended on it when it was last ordered to stop: that stops before it
	fresh   bool      // the next start is an order's: at once, and a first one

	link    *linktest.Link // of this generation, once it is asked for a list
	stages  []string       // where the servers let this generation fail
	began   time.Time      // the start, after dependencies: what start_timeout is for
	tried   bool           // it was, in this generation
	mended  bool           // this start follows an error
	ran     time.Time      // since when it runs
	blocked bool           // in error for a dependency

	attempts  int
	exhausted bool
	waits     int // pauses since the last reset, each twice the last
	retry     bool
	next      time.Time
	knocked   bool      // a remote was seen to be back, in this error
	door      time.Time // when it was last knocked at
	survived  bool      // a process of this generation outlived its kill
	unneeded  bool      // nobody needed this generation any more

	calls  int       // that are open
	learnt bool      // what it lists is known
	needed time.Time // when a call last did, or it began to run
	leant  time.Time // when what depends on it may have, last

	row       int // failures in a row
	counted   []counted
	may       bool        // the breaker may open
	must      bool        // it must
	early     bool        // a call was answered as it began to run, and may count
	hanging   []time.Time // calls without an answer, until when
	busyUntil time.Time   // with a call that is taken back
	lastPing  string
	probed    time.Time // the last probe of any outcome
	evidence  time.Time // the last of one that says something
	healthy   bool      // the last passed
}

// moment is what was known of an upstream from then on.
type moment struct {
	at      time.Time
	state   upstream.State
	gen     uint64
	spawned bool
	desired bool
	pending bool // an order is still to be heeded
}

type counted struct {
	at  time.Time
	bad bool
}

func newModel() *model {
	return &model{
		begun: time.Now(), lives: make(map[string][]*life), logged: make(map[string]string),
		owners: make(map[*linktest.Link]uint64), ends: make(map[*linktest.Link]time.Time),
	}
}

// note and wrong are called with mu held.
func (m *model) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf("%12v  ", time.Since(m.begun))+fmt.Sprintf(format, args...))
}

func (m *model) wrong(format string, args ...any) {
	m.faults = append(m.faults, fmt.Sprintf(format, args...))
	m.note("WRONG: "+format, args...)
}

// of returns the newest upstream of a name.
func (m *model) of(name string) *life {
	all := m.lives[name]
	if len(all) == 0 {
		return nil
	}
	return all[len(all)-1]
}

// heard returns whose event it is: of two of one name the older one's, until it
// has left.
func (m *model) heard(s *upstream.Status) *life {
	all := m.lives[s.Name]
	if len(all) > 1 && s.State == upstream.Starting && s.Generation == 1 {
		old := all[0]
		if !slices.Contains(removable, old.state) {
			m.wrong("%s was removed in the state %s", s.Name, old.state)
		}
		m.lives[s.Name] = all[1:]
	}
	return m.lives[s.Name][0]
}

func (l *life) remember() {
	l.past = append(l.past, moment{time.Now(), l.state, l.gen, l.spawned, l.desired && !l.leaving, l.pending()})
}

func (l *life) pending() bool {
	ends := l.state == upstream.Starting || l.state == upstream.Running || l.state == upstream.Stopping
	soon := l.state == upstream.Errored && !l.blocked && l.config.Restart.Policy != upstream.Never && !l.next.After(time.Now())
	return l.ordered || l.fresh || soon || !l.desired && ends
}

// was reports whether ok held at some point of an instant.
func (l *life) was(at time.Time, ok func(moment) bool) bool {
	for i, p := range l.past {
		if !p.at.After(at) && (i+1 == len(l.past) || !l.past[i+1].at.Before(at)) && ok(p) {
			return true
		}
	}
	return false
}

// StateChanged implements upstream.Observer.
func (m *model) StateChanged(s upstream.Status) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, now := m.heard(&s), time.Now()
	from := l.state
	why := ""
	if s.State == upstream.Errored && s.Failure != nil {
		why = s.Failure.Stage + ": " + s.Failure.Message
	}
	m.note("%s: %s to %s, generation %d, attempts %d %s", l.name, from, s.State, s.Generation, s.Attempts, why)
	if !slices.Contains(legal[from], s.State) {
		m.wrong("%s went from %s to %s", l.name, from, s.State)
	}
	if want := l.gen; s.State == upstream.Starting && s.Generation != want+1 || s.State != upstream.Starting && s.Generation != want {
		m.wrong("%s went from %s to %s with generation %d after %d", l.name, from, s.State, s.Generation, want)
	}
	if s.State == upstream.Errored && s.Breaker != upstream.BreakerOpen {
		m.wrong("%s is in error with the breaker %s", l.name, s.Breaker)
	}
	l.state, l.gen = s.State, s.Generation
	switch s.State {
	case upstream.Starting:
		l.started(from, now)
	case upstream.Running:
		l.runs(now)
	case upstream.Stopping:
		l.stops(from, now)
	case upstream.Stopped:
		l.stopped(from, &s)
	case upstream.Errored:
		l.failed(from, &s, now)
	}
	if from == upstream.Running {
		m.lost(l)
	}
	if l.state != upstream.Running { // while it ran it needed these
		for _, d := range l.config.DependsOn {
			if on := m.of(d.On); on != nil {
				on.leant = now
			}
		}
	}
	l.remember()
}

// started checks that a start was called for.
func (l *life) started(from upstream.State, now time.Time) {
	switch {
	case !l.desired, l.leaving && !l.kept(), l.m.over:
		l.m.wrong("%s was revived out of %s", l.name, from)
	case l.fresh:
	case from != upstream.Errored && l.config.Start == upstream.OnDemand:
		l.m.later = append(l.m.later, func() {
			if !l.wantedBy() && l.needed.Before(now) && l.leant.Before(now) {
				l.m.wrong("%s was started, and nobody needs it", l.name)
			}
		})
	case from != upstream.Errored:
	case l.blocked:
		l.m.later = append(l.m.later, func() {
			if on, held := l.held(now); held {
				l.m.wrong("%s left error while %s is not there", l.name, on)
			}
		})
	case l.survived: // a restart goes on
	case l.config.Restart.Policy == upstream.Never:
		l.m.wrong("%s was started again, against its policy", l.name)
	case now.Before(l.next) && !l.knocked:
		l.m.wrong("%s was started again too early", l.name)
	}
	if l.fresh {
		l.reset()
		l.retry = false
	}
	l.mended = from == upstream.Errored && !l.fresh
	l.ordered, l.edge, l.fresh, l.blocked, l.knocked, l.survived, l.spawned = false, false, false, false, false, false, false
	l.unneeded = false
	l.link, l.stages, l.tried, l.early = nil, nil, false, false
}

// attempt is told that a start goes on to its server.
func (m *model) attempt(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, now := m.lives[name][0], time.Now()
	if l.state != upstream.Starting || l.tried {
		return // a probe of a running one
	}
	l.tried, l.began = true, now
	if l.retry {
		l.retry = false
		if !l.exhausted {
			l.attempts++
		}
	}
	m.later = append(m.later, func() {
		if on, waiting := l.waitsFor(now); waiting {
			m.wrong("%s was started before %s", l.name, on)
		}
	})
}

// spawn is told that a server was dialled: the condition `started`.
func (m *model) spawn(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lives[name][0]
	l.spawned = true
	l.remember()
}

func (l *life) runs(now time.Time) {
	switch {
	case l.link == nil:
		l.m.wrong("%s runs without having listed", l.name)
	case l.link.Err() != nil && l.m.ends[l.link].Before(now):
		l.m.wrong("%s runs with a link that is lost", l.name)
	}
	l.learnt, l.needed = true, now
	l.ran, l.evidence, l.probed, l.healthy = now, now, now, true
	l.row, l.counted, l.may, l.must, l.hanging = 0, nil, l.early, false, nil
}

func (l *life) stops(from upstream.State, now time.Time) {
	l.steady(from == upstream.Running, now)
	idle := l.config.Start == upstream.OnDemand && l.config.IdleStop > 0 && now.Sub(l.needed) >= l.config.IdleStop*7/8 // silence is looked for so often
	if !l.ordered && now.Sub(l.excused) < 5*time.Microsecond {
		l.edge = true
	} else if from == upstream.Running && idle && !l.wantedBy() {
		l.unneeded = !l.ordered
		return
	} else if !l.ordered && l.desired && !l.leaving && !l.m.over {
		l.m.wrong("%s was stopped out of %s, and nobody ordered it", l.name, from)
	}
	l.ordered = false
}

func (l *life) stopped(from upstream.State, s *upstream.Status) {
	if !l.tried && l.retry && s.Attempts == l.attempts+1 { // it was about to be dialled
		l.retry, l.attempts = false, s.Attempts
	}
	if from == upstream.Errored && l.desired && !l.fresh && !l.leaving && !l.m.over {
		l.m.wrong("%s gave recovery up, and nobody ordered it", l.name)
	}
	if !l.edge || l.leaving || l.m.over { // an edge ends no row of failures
		l.reset()
		l.retry = false
	}
	if ends := l.leaving || l.m.over; !ends && (s.Attempts != l.attempts || s.Exhausted != l.exhausted) || !s.NextRetry.IsZero() || s.PID != 0 {
		l.m.wrong("%s is stopped with attempts %d, exhausted %v, next retry %v, pid %d", l.name, s.Attempts, s.Exhausted, s.NextRetry, s.PID)
	}
	l.edge, l.blocked, l.survived = false, false, false
}

func (l *life) reset() { l.attempts, l.exhausted, l.waits = 0, false, 0 }

// steady forgets failures after enough of running.
func (l *life) steady(ran bool, now time.Time) {
	if ran && now.Sub(l.ran) >= l.config.Restart.Stable {
		l.reset()
	}
}

// failed checks why an upstream is in error, and when it says to be back.
func (l *life) failed(from upstream.State, s *upstream.Status, now time.Time) {
	f := s.Failure
	if f == nil {
		l.m.wrong("%s is in error without a failure", l.name)
		return
	}
	l.blocked, l.knocked = f.Stage == "dependency", false
	l.ordered, l.edge = false, false
	switch {
	case from == upstream.Stopping:
		if !l.survived || f.Stage != "stopping" {
			l.m.wrong("%s could not be stopped, at stage %s", l.name, f.Stage)
		}
		return
	case l.blocked:
		if from == upstream.Running {
			l.m.wrong("%s lost a dependency and failed", l.name)
		}
		if l.config.OnDependencyFailure == upstream.StartAnyway {
			l.m.wrong("%s did not start without its dependency", l.name)
		}
		if s.Attempts != l.attempts {
			l.m.wrong("%s spent an attempt on a dependency", l.name)
		}
		l.m.later = append(l.m.later, func() {
			named := func(d upstream.Dependency) bool {
				_, failed, _ := l.ready(d, now)
				return failed && strings.Contains(f.Message, "depends on "+d.On)
			}
			if !slices.ContainsFunc(l.config.DependsOn, named) {
				l.m.wrong("%s failed for a dependency that has not: %s", l.name, f.Message)
			}
		})
		return
	case from == upstream.Starting:
		late := l.tried && now.Sub(l.began) >= l.config.StartTimeout-10*time.Microsecond
		if !slices.Contains(l.stages, f.Stage) && !late {
			l.m.wrong("%s failed to start at stage %s", l.name, f.Stage)
		}
	case f.Stage != "running":
		l.m.wrong("%s ran and failed at stage %s", l.name, f.Stage)
	case l.link.Err() == nil && !l.may:
		l.m.wrong("%s failed, and neither was its link lost nor its breaker due", l.name)
	}
	l.recover(from == upstream.Running, s, now)
}

// recover checks what is planned after a failure.
func (l *life) recover(ran bool, s *upstream.Status, now time.Time) {
	r := l.config.Restart
	l.steady(ran, now)
	l.retry = true
	l.exhausted = r.Policy == upstream.OnFailure && l.attempts >= r.MaxAttempts
	if s.Attempts != l.attempts || s.Exhausted != l.exhausted {
		l.m.wrong("%s shows attempts %d and exhausted %v, not %d and %v", l.name, s.Attempts, s.Exhausted, l.attempts, l.exhausted)
	}
	if r.Policy == upstream.Never {
		if !s.NextRetry.IsZero() {
			l.m.wrong("%s plans a retry, against its policy", l.name)
		}
		return
	}
	var lo, hi time.Duration
	switch {
	case l.exhausted:
		lo, hi = 10*time.Minute, 10*time.Minute
	case ran && l.link.Err() != nil && l.attempts == 0:
	default:
		d := min(r.Delay<<min(l.waits, 20), r.MaxDelay)
		l.waits++
		lo, hi = d*8/10, min(d*12/10, r.MaxDelay)
	}
	if wait := s.NextRetry.Sub(now); wait < lo || wait > hi {
		l.m.wrong("%s is tried again neither after %v nor %v nor between", l.name, lo, hi)
	}
	l.next = s.NextRetry
}

// lost orders the dependents whose edge says so to restart.
func (m *model) lost(gone *life) {
	for _, all := range m.lives {
		for _, l := range all {
			for _, d := range l.config.DependsOn {
				if d.On == gone.name && d.Restart && (l.follow() || !l.desired && l.state == upstream.Running) {
					m.lost(l)
				}
			}
		}
	}
}

// order notes that what runs has to stop.
func (l *life) order() {
	if l.state == upstream.Starting || l.state == upstream.Running {
		l.ordered, l.edge = true, false
		l.remember()
	}
	l.leaners()
}

// leaners notes what depends on l, directly or not.
func (l *life) leaners() {
	l.first = nil
	for all := []*life{l}; len(all) > 0; all = all[1:] {
		for _, others := range l.m.lives {
			d := others[len(others)-1]
			on := func(e upstream.Dependency) bool { return e.On == all[0].name }
			if slices.ContainsFunc(d.config.DependsOn, on) && !slices.Contains(l.first, d) {
				l.first = append(l.first, d)
				all = append(all, d)
			}
		}
	}
}

// follow notes that what was started on top of another has to restart with it.
func (l *life) follow() bool {
	if l.desired { // it may be past waiting just now, or follow two that are lost in a row
		l.excused = time.Now()
	}
	if !l.desired || l.ordered || l.state != upstream.Running && (l.state != upstream.Starting || !l.tried) {
		return false
	}
	l.ordered, l.edge = true, true
	l.leaners()
	l.remember()
	return true
}

// BreakerChanged implements upstream.Observer.
func (m *model) BreakerChanged(name string, from, to upstream.BreakerState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lives[name][0]
	if len(m.lives[name]) > 1 && l.breaker != from { // the newer one's first word
		l = m.lives[name][1]
	}
	if l.breaker != from || from == to {
		m.wrong("%s: the breaker went from %s to %s after %s", name, from, to, l.breaker)
	}
	l.breaker = to
}

// StageBegan implements upstream.Observer.
func (m *model) StageBegan(string, uint64, string) {}

// Listed implements upstream.Observer.
func (m *model) Listed(string, *upstream.Inventory, *upstream.Inventory) {}

// Probed implements upstream.Observer.
func (m *model) Probed(name string, took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lives[name][0].sampled(took, err)
}

// The model is the log's handler as well: what it says of states is a chain.

func (m *model) Enabled(context.Context, slog.Level) bool { return true }

func (m *model) WithAttrs([]slog.Attr) slog.Handler { return m }

func (m *model) WithGroup(string) slog.Handler { return m }

func (m *model) Handle(_ context.Context, r slog.Record) error {
	if r.Message != "upstream state" {
		return nil
	}
	var name, from, to string
	gen := uint64(0)
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "upstream":
			name = a.Value.String()
		case "from":
			from = a.Value.String()
		case "to":
			to = a.Value.String()
		case "generation":
			gen = a.Value.Uint64()
		}
		return true
	})
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.logged[name]
	if was == "" || from == string(upstream.NotStarted) && gen == 1 {
		was = string(upstream.NotStarted)
	}
	if from != was {
		m.wrong("%s: the log goes from %s to %s after %s", name, from, to, was)
	}
	m.logged[name] = to
	return nil
}
