package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// late is how much longer than its deadline an answer may take to arrive.
const late = 5 * time.Second

// order gives an order and writes what becomes of it; the error is a failure if
// one of the outcomes is none.
func (a *app) order(ctx context.Context, c *admin.Client, verb string, p *patience, output format,
	give func(context.Context, func(admin.Outcome)) ([]admin.Outcome, error),
) error {
	if p.wait {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout+late)
		defer cancel()
	}
	began := time.Now()
	line := a.awaiting(verb)
	var following sync.WaitGroup
	watching, unwatch := context.WithCancel(ctx)
	if after, ok := line.latest(ctx, c); ok {
		following.Go(func() { line.follow(watching, c, after) })
	}
	taken := false
	all, err := give(ctx, func(o admin.Outcome) {
		taken = taken || o.OK && !o.Done
		if output == asTable {
			line.above(func() { a.out.outcome(verb, o, time.Since(began)) })
		}
	})
	unwatch()
	following.Wait()
	line.stop()
	switch {
	case err != nil && ctx.Err() != nil:
		why := errInterrupted
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			why = errors.New("no outcome in time")
		}
		return &failure{exitFailed, why, "the order stands: interlock events --follow shows what becomes of it"}
	case err != nil:
		return err
	case output != asTable:
		if err := a.write(output, all); err != nil {
			return err
		}
	case taken && !p.wait:
		a.errs.printf("%s\n", a.errs.faint("  ordered; interlock events --follow shows what becomes of it, --wait waits for it"))
	}
	if slices.ContainsFunc(all, func(o admin.Outcome) bool { return !o.OK }) {
		return &failure{code: exitFailed}
	}
	return nil
}

// outcome writes what became of an order to one upstream.
func (s *screen) outcome(verb string, o admin.Outcome, took time.Duration) {
	name := s.bold(o.Name)
	switch {
	case o.Error != nil:
		s.printf("%s  %s %s\n", name, s.red(s.mark("✗ ")+undone(verb, o.Error.Code)+":"), printable(o.Error.Detail)+s.faint(" ["+o.Error.Code+"]"))
		if o.Error.Mend != "" {
			s.printf("  %s\n", s.faint(printable(o.Error.Mend)))
		}
	case o.Done:
		state := o.State
		if state == "" {
			state = past(verb)
		}
		s.printf("%s  %s%s\n", name, s.green(s.mark("✓ ")+state), s.faint(" after "+seconds(took.Seconds())))
	case o.State == "": // it is on the list no more
		s.printf("%s  %s\n", name, verb+" ordered")
	default:
		s.printf("%s  %s\n", name, strings.TrimSpace(verb+" ordered, now "+orDash(o.State)))
	}
	for _, note := range o.Notes {
		s.printf("  %s\n", s.faint(printable(note)))
	}
	if len(o.With) > 0 {
		s.printf("  %s\n", s.faint("with it: "+strings.Join(o.With, ", ")))
	}
	if len(o.Left) > 0 {
		s.printf("  %s\n", s.yellow("running without it: "+strings.Join(o.Left, ", ")))
	}
}

// undone is what was not done. A server whose start failed was added all the same,
// and is tried again.
func undone(verb, code string) string {
	if verb == "add" && (code == admin.CodeStartFailed || code == admin.CodeWaitTimeout) {
		return "added, not started"
	}
	return "not " + past(verb)
}

// past is what was done.
func past(verb string) string {
	return map[string]string{"start": "started", "stop": "stopped", "restart": "restarted", "remove": "removed", "add": "added"}[verb]
}
