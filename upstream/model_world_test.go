package upstream_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// peer is a scripted server, which tells the model what it does. Each of its
// parts goes in one of the ways that a step may set: fine, failing, hanging,
// late (a dial that succeeds though it was given up), neutral (a probe that is
// answered with 401), slow (a close), surviving (a close that ends nothing),
// refused (a knock).
type peer struct {
	m    *model
	name string

	mu      sync.Mutex // guards the rest
	ways    map[string]string
	changed chan struct{}
	busy    int
	version int
	open    map[*linktest.Link]bool
	seen    map[string]int // how often each call came
}

func newPeer(m *model, d *linktest.Dialer, name string) *peer {
	p := &peer{
		m: m, name: name, ways: make(map[string]string), changed: make(chan struct{}),
		open: make(map[*linktest.Link]bool), seen: make(map[string]int),
	}
	d.Server(name).Script(func(s *linktest.Server) {
		s.Capabilities = json.RawMessage(`{"tools":{"listChanged":true}}`)
		s.OnDial, s.OnRequest, s.OnClose, s.OnKnock = p.dial, p.answer, p.shut, p.knock
	})
	return p
}

// set makes a part go another way; what hangs looks again.
func (p *peer) set(part, way string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ways[part] = way
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *peer) heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.ways)
	close(p.changed)
	p.changed = make(chan struct{})
}

func (p *peer) way(part string) (way string, changed <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if way = p.ways[part]; way == "" {
		way = "fine"
	}
	return way, p.changed
}

func (p *peer) work(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy += n
}

func (p *peer) working() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.busy
}

// goes returns the way that a part goes, after it has hung.
func (p *peer) goes(ctx context.Context, part string) string {
	for {
		way, changed := p.way(part)
		if way != "hanging" {
			return way
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return way
		}
	}
}

func (p *peer) dial(ctx context.Context, _ int, _ *upstream.Dial) error {
	p.work(1)
	defer p.work(-1)
	p.m.spawn(p.name)
	p.m.attempt(p.name)
	switch p.goes(ctx, "dial") {
	case "failing":
		p.m.fails(p.name, "spawn")
		return &upstream.StartError{Stage: "spawn", Exit: "exit status 3", Err: errors.New("it ended")}
	case "hanging":
		return &upstream.StartError{Stage: "handshake", Err: context.Cause(ctx)}
	case "late":
		<-ctx.Done()
	}
	return nil
}

var errCut = &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset", Err: errors.New("reset by peer")}

func (p *peer) answer(ctx context.Context, l *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
	switch method {
	case "tools/list":
		p.work(1)
		defer p.work(-1)
		p.m.met(p.name, l)
		switch p.goes(ctx, "list") {
		case "failing":
			p.m.fails(p.name, "list")
			return nil, errCut
		case "hanging":
			return nil, context.Cause(ctx)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return json.RawMessage(fmt.Sprintf(`{"tools":[{"name":"v%d","inputSchema":{"type":"object"}}]}`, p.version)), nil
	case "ping":
		p.work(1)
		defer p.work(-1)
		p.m.attempt(p.name) // a living link may be asked in the place of a new one
		way := p.goes(ctx, "ping")
		p.m.pinged(p.name, l, way)
		switch way {
		case "failing":
			return nil, errCut
		case "neutral":
			return nil, &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "unauthorized", Status: 401, Err: errors.New("401")}
		case "hanging":
			return nil, context.Cause(ctx)
		}
		return nil, nil
	}
	return p.call(ctx, l, r)
}

// call does what a tool's name says: "KIND-NONCE".
func (p *peer) call(ctx context.Context, l *linktest.Link, r *upstream.Request) (json.RawMessage, error) {
	name := r.Message.Text(r.Message.Name)
	p.mu.Lock()
	p.seen[name]++
	again := p.seen[name] > 1
	p.mu.Unlock()
	gen := p.m.called(p.name, l, again)
	kind, _, _ := strings.Cut(name, "-")
	switch kind {
	case "fine":
		p.m.answered(p.name, gen, false)
		return json.RawMessage(`{"content":[],"isError":true}`), nil
	case "refused":
		p.m.answered(p.name, gen, false)
		return nil, &upstream.ServerError{Code: -32000, Message: "no"}
	case "reset":
		p.m.answered(p.name, gen, true)
		return nil, errCut
	case "odd": // an answer that cannot be read is the fault of one call
		return nil, &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "malformed", Err: errors.New("no JSON")}
	case "exit":
		p.m.loses(p.name, l)
		return nil, errCut
	}
	p.m.hangs(p.name, kind, gen)
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

func (p *peer) shut(ctx context.Context, l *linktest.Link) upstream.StopKind {
	p.work(1)
	defer p.work(-1)
	kind := upstream.Graceful
	way, _ := p.way("close")
	switch way {
	case "slow":
		if linktest.Sleep(ctx, 3*time.Second+17*time.Microsecond) != nil {
			kind = upstream.Killed
		}
	case "surviving":
		kind = upstream.Survived
	}
	p.m.shut(p.name, kind)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[l] = false
	return kind
}

func (p *peer) knock(ctx context.Context, _ int) error {
	p.work(1)
	defer p.work(-1)
	way := p.goes(ctx, "knock")
	p.m.knocked(p.name, way)
	switch way {
	case "fine":
		return nil
	case "refused":
		return upstream.ErrRefused
	}
	return errors.New("nothing is known")
}

// What the servers tell the model.

func (m *model) fails(name, stage string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lives[name][0]
	l.stages = append(l.stages, stage)
}

func (m *model) knocked(name, way string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lives[name][0]
	l.knocked, l.door = way == "fine", time.Now()
}

// met is told whose list is asked for: the link of this generation.
func (m *model) met(name string, link *linktest.Link) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lives[name][0]
	l.link = link
	m.owners[link] = l.gen
}

// pinged is told how a probe went; a start that asks a living link goes on with it.
func (m *model) pinged(name string, link *linktest.Link, way string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.lives[name][0]
	l.lastPing = way
	if l.state == upstream.Running {
		return
	}
	if way == "fine" {
		l.link = link
	} else {
		l.stages = append(l.stages, "handshake") // it shook hands, and then could not be asked
	}
	m.owners[link] = l.gen
}

// called is told that a call came, and returns the generation it came to.
func (m *model) called(name string, link *linktest.Link, again bool) (gen uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l, now := m.lives[name][0], time.Now()
	if again {
		m.wrong("%s: a call came twice", name)
	}
	gen = m.owners[link]
	m.later = append(m.later, func() {
		if !l.was(now, func(p moment) bool { return p.state == upstream.Running && p.gen == gen }) {
			m.wrong("%s: a call was let through to generation %d while it was %s, generation %d", name, gen, l.state, l.gen)
		}
	})
	return gen
}

func (m *model) answered(name string, gen uint64, bad bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lives[name][0]; l.gen == gen {
		l.counts(bad)
	}
}

// hangs is told that a call will be without an answer.
func (m *model) hangs(name, kind string, gen uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch l := m.lives[name][0]; {
	case l.gen != gen:
	case kind == "cancelled":
		l.busyUntil = time.Now().Add(time.Second)
	default:
		l.hanging = append(l.hanging, time.Now().Add(l.config.CallTimeout))
	}
}

// loses is told of the end of a link, before it ends.
func (m *model) loses(name string, link *linktest.Link) {
	m.mu.Lock()
	m.note("%s: the link is lost", name)
	if m.ends[link].IsZero() {
		m.ends[link] = time.Now()
	}
	m.mu.Unlock()
	link.Lose()
}

func (m *model) shut(name string, kind upstream.StopKind) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if l := m.lives[name][0]; kind == upstream.Survived && (l.state == upstream.Stopping || l.state == upstream.Errored && !l.desired) {
		l.survived = true
	}
}
