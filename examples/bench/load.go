package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// load is what the clients of one slice saw.
type load struct {
	took      time.Duration
	latencies []time.Duration // one for each answer
}

// caller is one connection with one request in flight. It takes its targets in
// turn.
type caller struct {
	wire    wire
	targets []target
	to      int    // which target the next request is for
	prefix  string // of that target's tools
	era     string // of that target
	trace   string // a member of _meta, "" for none
	next    int    // its next id: an id is used once in a session

	latencies        []time.Duration
	message, scratch []byte
}

// pour asks on a way for d with n in flight, each on a connection of its own, and each
// once at least.
// Any answer that is not the right one ends it with an error.
func (w *way) pour(ctx context.Context, a ask, n int, d time.Duration) (load, error) {
	callers, err := w.connect(ctx, n)
	defer func() {
		for _, c := range callers {
			c.wire.close()
		}
	}()
	if err != nil {
		return load{}, fmt.Errorf("%s: %w", w.name, err)
	}
	stop := context.AfterFunc(ctx, func() {
		for _, c := range callers {
			c.wire.close()
		}
	})
	defer stop()
	var wg sync.WaitGroup
	errs := make([]error, n)
	begin := time.Now()
	for i, c := range callers {
		wg.Go(func() { errs[i] = c.run(a, begin.Add(d)) })
	}
	wg.Wait()
	out := load{took: time.Since(begin)}
	most := 0
	for i, c := range callers {
		if errs[i] != nil {
			return load{}, fmt.Errorf("%s, %d in flight: %w", w.name, n, errs[i])
		}
		most = max(most, len(c.latencies))
		out.latencies = append(out.latencies, c.latencies...)
	}
	w.used += most + 1
	return out, nil
}

// visit asks each target once, over n connections.
func (w *way) visit(ctx context.Context, a ask, n int) error {
	callers, err := w.connect(ctx, n)
	defer func() {
		for _, c := range callers {
			c.wire.close()
		}
	}()
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	errs := make([]error, n)
	for i, c := range callers {
		wg.Go(func() {
			for range c.targets {
				if errs[i] = errors.Join(c.once(a), ctx.Err()); errs[i] != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	w.used += len(w.targets) + 1
	return errors.Join(errs...)
}

// connect opens n connections. What it opened is returned also with an error.
func (w *way) connect(ctx context.Context, n int) ([]*caller, error) {
	var callers []*caller
	for i := range n {
		c := &caller{next: i*1_000_000_000 + w.used, scratch: make([]byte, 0, 64)}
		if w.pipe != nil {
			c.wire, c.targets = &pipeWire{p: w.pipe, in: w.pipe.out}, []target{{era: w.era}}
			callers = append(callers, c)
			continue
		}
		for k := i % len(w.targets); k < len(w.targets); k += n {
			c.targets = append(c.targets, w.targets[k])
		}
		conn, err := dial(ctx, c.targets)
		if err != nil {
			return callers, err
		}
		c.wire = conn
		callers = append(callers, c)
	}
	return callers, nil
}

// run asks again and again until end, and once in any case.
func (c *caller) run(a ask, end time.Time) error {
	for {
		began := time.Now()
		if err := c.once(a); err != nil {
			return err
		}
		over := time.Now()
		if c.latencies = append(c.latencies, over.Sub(began)); over.After(end) {
			return nil
		}
	}
}

// once asks once.
func (c *caller) once(a ask) error {
	c.prefix, c.era = c.targets[c.to].prefix, c.targets[c.to].era
	err := a(c, c.next)
	c.next++
	if c.to++; c.to == len(c.targets) {
		c.to = 0
	}
	return err
}
