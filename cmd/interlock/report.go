package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// greet writes where the gateway is.
func (s *service) greet() {
	if s.o.quiet {
		return
	}
	p := s.say
	if e := s.endpoint(); e != "" {
		p.printf("%s  %s\n", p.bold("endpoint"), p.cyan(e))
	}
	if s.admin != nil {
		p.printf("%s     %s\n", p.bold("admin"), s.admin.Target)
	}
	if s.metrics != nil {
		p.printf("%s   http://%s/metrics\n", p.bold("metrics"), s.metrics.Addr())
	}
	if len(s.gw.List(admin.Select{})) == 0 {
		p.printf("%s\n", p.yellow("the configuration names no server: add one below upstreams, it is read at once"))
	}
}

// shown is what was last said of an upstream.
type shown struct {
	generation uint64
	state      string
	idle       bool // which comes a moment after the state
	failure    time.Time
	ran        bool      // at some time
	from       time.Time // when it was there: at the gateway's start, or when it was added
}

// report writes a line when an upstream becomes ready, fails or stops, until
// ctx is done. When all have settled for the first time it calls o.settled. began is
// when the first of them were there.
func (s *service) report(ctx context.Context, began time.Time, tasks *sync.WaitGroup) {
	seen, last, settled, status := began, map[string]shown{}, false, ""
	for {
		ups := s.gw.List(admin.Select{})
		if now, _, _ := readyOf(ups); now != status {
			status = now
			tellSystemd("STATUS=" + status)
		}
		width := 0
		for _, u := range ups {
			width = max(width, len(u.Name))
		}
		visible := false
		for _, u := range ups {
			before, news := note(last, u, seen)
			if !news {
				continue
			}
			if !visible { // who reads that one is ready may call its tools
				visible = s.gw.Alive(ctx)
			}
			s.say.line(u, width, before.ran, before.from)
		}
		if !settled && allSettled(ups) && len(ups) > 0 {
			settled = true
			s.summary(ups)
			if s.o.settled != nil {
				tasks.Go(func() { s.o.settled(ctx, s.endpoint()) })
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-s.gw.Changed():
			seen = time.Now()
		}
	}
}

// note keeps in last what is said of an upstream that was listed at seen, and
// returns what was said before, if that was anything else.
func note(last map[string]shown, u admin.Upstream, seen time.Time) (before shown, news bool) {
	before, known := last[u.Name]
	if !known {
		before.from = seen
	}
	now := shown{u.Generation, u.State, u.Idle, time.Time{}, before.ran || u.State == "running", before.from}
	if u.State == "error" && u.LastFailure != nil {
		now.failure = u.LastFailure.At
	}
	if known && last[u.Name] == now {
		return before, false
	}
	last[u.Name] = now
	return before, true
}

// allSettled tells whether no upstream is on its way up.
func allSettled(ups []admin.Upstream) bool {
	return !slices.ContainsFunc(ups, func(u admin.Upstream) bool {
		return u.State == "starting" || u.State == "not_started" && !u.Idle
	})
}

// line writes what became of an upstream that is there since began, if anybody need
// know.
func (s *screen) line(u admin.Upstream, width int, again bool, began time.Time) {
	name := s.bold(fmt.Sprintf("%-*s", width, u.Name))
	switch u.State {
	case "running":
		when := "ready"
		if again {
			when = "ready again"
		} else if u.Started.After(began) {
			when = "ready in " + seconds(u.Started.Sub(began).Seconds())
		}
		s.printf("%s  %s  %s\n", name, s.green(s.mark("✓ ")+when), s.faint(offers(u)))
	case "error":
		if u.LastFailure == nil {
			return
		}
		s.printf("%s  %s%s\n", name, s.red(s.mark("✗ ")+"failed: "+why(u)), s.faint(retry(u)))
		tail := u.LastFailure.Stderr
		for _, l := range tail[max(len(tail)-5, 0):] {
			s.printf("%*s    %s\n", width, "", s.faint(printable(l)))
		}
	case "not_started", "stopped":
		if u.Idle {
			s.printf("%s  %s  %s\n", name, s.green(s.mark("✓ ")+"starts when it is needed"), s.faint(offers(u)))
			return
		}
		if u.State == "not_started" {
			return
		}
		s.printf("%s  %s\n", name, s.faint("stopped"))
	}
}

// mark is for eyes, not for a log.
func (s *screen) mark(m string) string {
	if s.colour {
		return m
	}
	return ""
}

// offers counts what an upstream has.
func offers(u admin.Upstream) string {
	var parts []string
	for _, c := range []struct {
		n    int
		word string
	}{{u.Tools, "tool"}, {u.Prompts, "prompt"}, {u.Resources, "resource"}} {
		if c.n > 0 {
			parts = append(parts, count(c.n, c.word))
		}
	}
	if parts == nil {
		return "nothing to offer"
	}
	return strings.Join(parts, ", ")
}

// readyOf says how many upstreams run, or will at the first call.
func readyOf(ups []admin.Upstream) (text string, ready, tools int) {
	for _, u := range ups {
		if u.State == "running" || u.Idle {
			ready++
			tools += u.Tools
		}
	}
	return fmt.Sprintf("%d of %s ready", ready, count(len(ups), "server")), ready, tools
}

func (s *service) summary(ups []admin.Upstream) {
	text, ready, tools := readyOf(ups)
	text += ", " + count(tools, "tool")
	if ready < len(ups) {
		text = s.say.yellow(text)
		if slices.ContainsFunc(ups, func(u admin.Upstream) bool { return u.State == "error" && !needsSignIn(u) }) {
			text += s.say.faint("; those that failed are tried again")
		}
	}
	s.say.printf("%s\n", text)
}
