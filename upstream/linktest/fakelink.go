package linktest

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

// Dialer makes links to scripted servers, by the name of the upstream. A name
// without a script gets a zero Server. It is safe for concurrent use.
type Dialer struct {
	mu      sync.Mutex // guards all
	servers map[string]*Server
	events  []string
}

// Server returns the server of that name, to script it.
func (d *Dialer) Server(name string) *Server {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.servers == nil {
		d.servers = make(map[string]*Server)
	}
	s := d.servers[name]
	if s == nil {
		s = &Server{Name: name, dialer: d}
		d.servers[name] = s
	}
	return s
}

// Events returns what happened so far, in order: "dial NAME" and "close NAME".
func (d *Dialer) Events() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.events)
}

func (d *Dialer) happened(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, what)
}

// Dial implements upstream.Dialer.
func (d *Dialer) Dial(ctx context.Context, x *upstream.Dial) (upstream.Link, error) {
	return d.Server(x.Config.Name).dial(ctx, x)
}

// Door implements upstream.Knocker.
func (d *Dialer) Door(_ context.Context, c *upstream.Config) (func(context.Context) error, error) {
	s := d.Server(c.Name)
	return func(ctx context.Context) error {
		s.mu.Lock()
		s.knocks = append(s.knocks, time.Now())
		n, script := len(s.knocks), s.OnKnock
		s.mu.Unlock()
		if script == nil {
			return errors.New("nothing is known of it")
		}
		return script(ctx, n)
	}, nil
}

// Server is a scripted server. The zero value answers everything well. Its
// exported fields are set before it is dialled, or with Script.
type Server struct {
	Name string
	// DialTime is how long a dial takes.
	DialTime time.Duration
	// OnDial, if not nil, decides on the n-th dial, from 1. Its error should be
	// an *upstream.StartError.
	OnDial func(ctx context.Context, n int, d *upstream.Dial) error
	// OnKnock, if not nil, is the n-th connection made to see whether the server
	// is there, from 1; nil tells nothing.
	OnKnock func(ctx context.Context, n int) error
	// OnRequest, if not nil, answers a request with a result. A nil result and
	// nil error stand for what the zero Server answers; an error is the link's,
	// but for a *upstream.ServerError, which is the server's answer.
	OnRequest func(ctx context.Context, l *Link, method string, r *upstream.Request) (json.RawMessage, error)
	// CloseTime is how long a close takes that is not by force.
	CloseTime time.Duration
	// OnClose, if not nil, stands for CloseTime: it blocks while a link is closed
	// and says how. A done ctx means by force.
	OnClose func(ctx context.Context, l *Link) upstream.StopKind
	// Tools are the names that are listed.
	Tools []string
	// Capabilities, Instructions and Version are those of the handshake; nil
	// capabilities are tools, logging and resources, no version is 2025-11-25.
	Capabilities json.RawMessage
	Instructions string
	Version      string

	dialer *Dialer
	mu     sync.Mutex // guards the fields of the script and what follows
	dials  []time.Time
	knocks []time.Time
	links  []*Link
	asked  map[string]int
}

// Script changes the script while the server may be in use.
func (s *Server) Script(change func(s *Server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

// Dials returns when the server was dialled.
func (s *Server) Dials() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dials)
}

// Knocks returns when the server was knocked at.
func (s *Server) Knocks() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.knocks)
}

// Asked returns how many requests of a method came.
func (s *Server) Asked(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[method]
}

// Links returns all links there ever were, in the order they were made.
func (s *Server) Links() []*Link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.links)
}

// Last returns the newest link.
func (s *Server) Last() *Link {
	links := s.Links()
	return links[len(links)-1]
}

func (s *Server) dial(ctx context.Context, x *upstream.Dial) (upstream.Link, error) {
	s.dialer.happened("dial " + s.Name)
	s.mu.Lock()
	s.dials = append(s.dials, time.Now())
	n, took, script := len(s.dials), s.DialTime, s.OnDial
	s.mu.Unlock()
	pid := 0
	if x.Config.Kind() == upstream.Stdio {
		pid = 1000 + n
	}
	if x.Spawned != nil {
		x.Spawned(pid)
	}
	if err := Sleep(ctx, took); err != nil {
		return nil, &upstream.StartError{Stage: "handshake", Err: err}
	}
	if script != nil {
		if err := script(ctx, n, x); err != nil {
			return nil, err
		}
	}
	l := &Link{Dial: x, server: s, pid: pid, lost: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.links = append(s.links, l)
	return l, nil
}

// Sleep blocks for d, or until ctx is done and returns its cause.
func Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
