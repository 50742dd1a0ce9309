package upstream

import (
	"context"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Chronicle is told from when to when things lasted that befell upstreams, and
// what led to what: for spans and their links. Its methods are called on any
// goroutine, some with locks held, so they must neither block nor ask an Upstream
// anything.
type Chronicle interface {
	// Begun is called as something begins. What it returns stands for that from
	// now on; nil is for what nobody wants to know of.
	Begun(e Episode) Mark
	// Ended is called once with each Mark that Begun returned. It may be called after
	// other episodes refer to the Mark.
	Ended(m Mark, o Ending)
}

// Mark stands for an episode, or for a call, in the terms of who wrote it down:
// the ids of a span, say. Marks are kept for as long as an upstream may have to
// refer to them, compared with ==, and never looked into.
type Mark interface {
	// Trace returns the trace context that requests carry which are made on its
	// behalf.
	Trace() Trace
}

// Trace is a W3C trace context as it is sent. The zero Trace adds nothing to a
// request.
type Trace struct{ Parent, State, Baggage string }

// Episode is something that begins.
type Episode struct {
	Kind       EpisodeKind
	Upstream   string
	Generation uint64
	At         time.Time
	// Name is that of a stage (as in Stage), or of what the supervisor asks a server
	// (probe, list).
	Name string
	// Within is the start that a stage is of.
	Within Mark
	// Because says why it begins. Of a start it is one of StartCauses, of a stop a
	// sentence, as in Status.
	Because string
	// Restart says that a start follows a failure or a stop that was made for it.
	Restart bool
	// From and To are the states of a breaker that changed.
	From, To BreakerState
	Ties     []Tie
}

// EpisodeKind says what an Episode is of.
type EpisodeKind string

// The kinds. A change of the breaker has no length: it ends when it began.
const (
	EpisodeStart   EpisodeKind = "start"
	EpisodeStage   EpisodeKind = "stage"
	EpisodeStop    EpisodeKind = "stop"
	EpisodeBreaker EpisodeKind = "breaker"
	// EpisodeAsked is what the supervisor asks a server that runs, by itself: its
	// probes, and its lists when they changed.
	EpisodeAsked EpisodeKind = "asked"
)

// Why a start begins.
const (
	Configured = "configured" // it is configured, and to run
	Operated   = "operator"   // an operator ordered it
	Recovered  = "recovery"   // it failed, and is tried again
	Demanded   = "demand"     // a call, a subscription or a dependent needs it
	Unlearnt   = "learn"      // it starts on demand, and nobody knows yet what it lists
	Depended   = "dependency" // what it depends on was lost, or is back
	Reloaded   = "reload"     // its configuration changed
	SignedIn   = "sign_in"    // somebody signed in to it, or gave that up
)

// StartCauses are all that Episode.Because can be of a start.
var StartCauses = [...]string{Configured, Operated, Recovered, Demanded, Unlearnt, Depended, Reloaded, SignedIn}

// Ending is how an episode ended.
type Ending struct {
	At time.Time
	// Stage is the one at which a start failed, or of what was asked the reason (as in
	// TransportError); Err is what was wrong with that or with anything else. "" is
	// for nothing.
	Stage, Err string
	// Abandoned says which order ended a start on its way.
	Abandoned string
	// How is the way in which a stop ended the link.
	How StopKind
	// PID is the process that a start made, 0 for none.
	PID  int
	Ties []Tie
}

// Tie is what an episode or a call has to do with another.
type Tie struct {
	How Relation
	To  Mark
}

// Relation says what a Tie is.
type Relation string

// The relations.
const (
	Caused    Relation = "caused"     // To led to it
	Previous  Relation = "previous"   // it follows To: a start, a stop, a change of the breaker
	WaitedFor Relation = "waited_for" // it waited for To
	RefusedBy Relation = "refused_by" // a call that was refused because of To
	HurtBy    Relation = "hurt_by"    // a call that was on its way when To happened
)

// maxTies is how many marks are kept that may have led to one thing.
const maxTies = 8

// marks are the last episodes of an upstream, as a phase shows them.
type marks struct {
	start   Mark // the last start, which may be under way
	stop    Mark // the last stop
	breaker Mark // the breaker's last change as it is shown
	blame   Mark // for which calls are refused, while they are
}

// begun tells the Chronicle of the beginning of something.
func (u *Upstream) begun(e Episode) Mark {
	c := u.set.o.Chronicle
	if c == nil {
		return nil
	}
	e.Upstream = u.name
	if e.Generation == 0 {
		e.Generation = u.phase.Load().status.Generation
	}
	return c.Begun(e)
}

// finished tells it of the end.
func (u *Upstream) finished(m Mark, o Ending) {
	if m != nil {
		u.set.o.Chronicle.Ended(m, o)
	}
}

// ties appends what is not nil.
func ties(how Relation, to ...Mark) (all []Tie) {
	for _, m := range to {
		if m != nil {
			all = append(all, Tie{how, m})
		}
	}
	return all
}

// suspects are calls that may have led to something, the last ones.
type suspects struct {
	mu    sync.Mutex // guards calls
	calls []Mark
}

// add keeps the call, if anybody watches it.
func (s *suspects) add(c *Call) {
	m := c.mark()
	if m == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls = append(s.calls, m); len(s.calls) > maxTies {
		s.calls = s.calls[1:]
	}
}

// take returns them and forgets them.
func (s *suspects) take() []Mark {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.calls
	s.calls = nil
	return all
}

// behalf is for whom requests of the supervisor's own are made. It is handed down
// in a context; the zero value is nobody.
type behalf struct {
	mu sync.Mutex // guards of
	of Mark
}

type behalfKey struct{}

func (b *behalf) set(m Mark) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.of = m
}

// on returns a context under which requests are made on behalf of b.
func (b *behalf) on(ctx context.Context) context.Context {
	return context.WithValue(ctx, behalfKey{}, b)
}

// onBehalf adds to a request of the gateway's own the trace context of that which
// it is made for, if there is any.
func onBehalf(ctx context.Context, r *Request) *Request {
	b, _ := ctx.Value(behalfKey{}).(*behalf)
	if b == nil {
		return r
	}
	b.mu.Lock()
	of := b.of
	b.mu.Unlock()
	if of == nil {
		return r
	}
	of.Trace().put(r)
	return r
}

// put adds the context to a request, in its _meta and for its headers.
func (t Trace) put(r *Request) {
	r.TraceParent, r.TraceState, r.Baggage = t.Parent, t.State, t.Baggage
	var members []jsonrpc.Member
	for _, x := range [...]struct{ name, value string }{
		{"traceparent", t.Parent}, {"tracestate", t.State}, {"baggage", t.Baggage},
	} {
		if x.value != "" {
			members = append(members, jsonrpc.Member{Name: x.name, Value: jsonrpc.AppendString(nil, x.value)})
		}
	}
	if len(members) > 0 {
		if r.Edits == nil {
			r.Edits = new(jsonrpc.Edits)
		}
		r.Edits.SetMeta(&r.Message, members...)
	}
}
