package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// spinner are the frames of the sign that something is awaited.
const spinner = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"

// progress is a line on stderr that says what is awaited, and is gone when it is
// over. It is there on a terminal alone; elsewhere its methods write nothing of
// their own. Lines for either stream go through above meanwhile.
type progress struct {
	s    *screen // nil where nobody looks
	stop func()  // ends it, waits for that, and clears the line

	mu    sync.Mutex // guards what follows
	text  string
	frame int
	shown bool
}

// awaiting begins a line. The caller must call stop.
func (a *app) awaiting(text string) *progress {
	p := &progress{text: text, stop: func() {}}
	if !a.errs.moves {
		return p
	}
	p.s = a.errs
	ctx, cancel := context.WithCancel(context.Background())
	var drawing sync.WaitGroup
	drawing.Go(func() {
		tick := time.NewTicker(100 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C: // what is over at once is not worth a line
				p.mu.Lock()
				p.frame++
				p.draw()
				p.mu.Unlock()
			case <-ctx.Done():
				return
			}
		}
	})
	p.stop = func() {
		cancel()
		drawing.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.clear()
	}
	return p
}

// say changes what is awaited.
func (p *progress) say(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.text = text
}

// above calls write, which writes lines, where the line is not.
func (p *progress) above(write func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	write()
}

func (p *progress) clear() {
	if p.shown {
		p.s.printf("\r\x1b[K")
		p.shown = false
	}
}

func (p *progress) draw() {
	frames := []rune(spinner)
	text := string(frames[p.frame%len(frames)]) + " " + printable(p.text)
	if p.s.width > 0 {
		text = cut(text, p.s.width-1)
	}
	p.s.printf("\r%s\x1b[K", p.s.faint(text))
	p.shown = true
}

// stages is what upstreams are at, by their events.
type stages map[string]string

// heard takes an event in.
func (s stages) heard(e admin.Event) {
	switch {
	case e.Upstream == "":
	case e.Kind == "start_stage":
		s[e.Upstream] = e.Stage
	case e.Kind == "state" && (e.To == "starting" || e.To == "stopping"):
		s[e.Upstream] = e.To
	case e.Kind == "state":
		delete(s, e.Upstream)
	}
}

// text says what the upstreams are at.
func (s stages) text() string {
	var parts []string
	for name, at := range s {
		parts = append(parts, name+": "+at)
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

// latest is the number of the last event so far, for follow: taken before an
// order is given, nothing that comes of it is missed.
func (p *progress) latest(ctx context.Context, c *admin.Client) (uint64, bool) {
	if p.s == nil {
		return 0, false
	}
	past, err := c.Events(ctx, 0)
	if err != nil {
		return 0, false
	}
	if len(past) == 0 {
		return 0, true
	}
	return past[len(past)-1].Seq, true
}

// follow lets the line say what the gateway's events after that number do, until
// ctx is done or they end.
func (p *progress) follow(ctx context.Context, c *admin.Client, after uint64) {
	p.mu.Lock()
	first := p.text
	p.mu.Unlock()
	now := stages{}
	for e, err := range c.FollowEvents(ctx, after) {
		if err != nil {
			return
		}
		now.heard(e)
		if text := now.text(); text != "" {
			p.say(text)
		} else {
			p.say(first)
		}
	}
}
