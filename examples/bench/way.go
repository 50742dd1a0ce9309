package main

import (
	"context"
	"slices"
	"time"
)

// The names of the ways that reports compare.
const (
	direct    = "direct"
	proxy     = "ReverseProxy"
	hop       = "scan-and-rename hop"
	bridged   = "bridge"
	interlock = "Interlock"
)

// way is one way from a client to an upstream.
type way struct {
	name    string
	floor   string // the way of the same case that it is compared with, "" for none
	targets []target
	era     string  // of the pipe
	pipe    *party  // a stdio server that is spoken to without anything between
	middle  *party  // whose CPU, memory and allocations count; nil when there is nobody
	used    int     // ids of each connection that are spent
	idle    float64 // resident MiB before any load, 0 when nobody asks
	run     func(ctx context.Context, d time.Duration) (figures, error)
}

// figures are what one repetition gave, by the metric's name.
type figures map[string]float64

// under makes run a load of n in flight.
func (w *way) under(a ask, n int) *way {
	w.run = func(ctx context.Context, d time.Duration) (figures, error) { return w.measure(ctx, a, n, d) }
	return w
}

// over names the floor.
func (w *way) over(floor string) *way {
	w.floor = floor
	return w
}

// measure pours a load and says what it cost.
func (w *way) measure(ctx context.Context, a ask, n int, d time.Duration) (figures, error) {
	m, err := watch(ctx, w.middle)
	if err != nil {
		return nil, err
	}
	l, err := w.pour(ctx, a, n, d)
	if err != nil {
		return nil, err
	}
	f := l.figures()
	if err := m.done(ctx, f, len(l.latencies)); err != nil {
		return nil, err
	}
	if w.idle > 0 {
		f[overIdle] = f[peakRSS] - w.idle
	}
	return f, nil
}

func (l load) figures() figures {
	slices.Sort(l.latencies)
	return figures{
		perSecond: float64(len(l.latencies)) / l.took.Seconds(),
		p50:       quantile(l.latencies, 0.50), p99: quantile(l.latencies, 0.99),
	}
}

// quantile is of sorted latencies, in microseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))]) / float64(time.Microsecond)
}

// meter is what a process had used when a load began.
type meter struct {
	of      *party
	cpu     time.Duration
	objects float64
	reading float64 // objects that it costs the process to be asked
}

// watch begins to meter p, which may be nil.
func watch(ctx context.Context, p *party) (*meter, error) {
	m := &meter{of: p}
	if p == nil {
		return m, nil
	}
	first, err := allocations(ctx, p.metrics)
	if err != nil {
		return nil, err
	}
	if m.objects, err = allocations(ctx, p.metrics); err != nil {
		return nil, err
	}
	m.reading = m.objects - first
	if err := forgetPeak(p.pid()); err != nil {
		return nil, err
	}
	m.cpu, err = cpu(p.pid())
	return m, err
}

// done adds what n requests cost to f.
func (m *meter) done(ctx context.Context, f figures, n int) error {
	if m.of == nil {
		return nil
	}
	after, err := cpu(m.of.pid())
	if err != nil {
		return err
	}
	if f[rss], err = resident(m.of.pid()); err != nil {
		return err
	}
	if f[peakRSS], err = peak(m.of.pid()); err != nil {
		return err
	}
	objects, err := allocations(ctx, m.of.metrics)
	if err != nil {
		return err
	}
	n = max(n, 1)
	f[cpuSeconds] = (after - m.cpu).Seconds() / float64(n) * 10_000
	f[objectsPerCall] = max(0, objects-m.objects-m.reading) / float64(n)
	return nil
}
