package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// dimension is one thing that grows while all else stays.
type dimension struct {
	name   string
	title  string
	across string
	points []int
	setup  func(ctx context.Context, s *stage, n int) ([]*way, error)
}

// during is how many calls are in flight where it is not that which grows.
const during = 8

func dimensions(quick bool) []dimension {
	all := []dimension{
		{"upstreams", "Calls spread over more and more upstreams", "upstreams (HTTP)", []int{1, 5, 20, 100, 500}, growUpstreams},
		{"tools", "Calls beside more and more tools", "tools of one upstream", []int{10, 100, 1000, 10_000, 50_000}, growTools},
		{"sessions", "Calls spread over more and more sessions", "sessions", []int{1, 10, 100, 1000, 10_000, 20_000}, growSessions},
		{"in-flight", "More and more calls at once", "calls in flight", []int{1, 4, 16, 64, 256, 1000, 2000}, growInFlight},
	}
	if quick {
		for i := range all {
			all[i].points = all[i].points[:3]
		}
	}
	return all
}

// grow measures each dimension and draws it into dir. It blocks for a few
// minutes.
func grow(ctx context.Context, p plan, dir string, along []dimension) error {
	if p.binary == "" {
		tmp, err := os.MkdirTemp("", "il")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(tmp) }()
		if p.binary, err = build(ctx, tmp); err != nil {
			return err
		}
	}
	for _, d := range along {
		if p.only != nil && !p.only.MatchString(d.name) {
			continue
		}
		c := chart{title: d.title, across: d.across, panels: []panel{
			{up: "CPU of the process in the middle, µs a call"},
			{up: "its anonymous memory after the load, MiB"},
		}}
		for _, n := range d.points {
			r := newReport(p)
			s := &scenario{name: fmt.Sprintf("%s=%d", d.name, n), setup: func(ctx context.Context, s *stage) ([]*way, error) { return d.setup(ctx, s, n) }}
			if err := p.perform(ctx, s, r); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			r.finish()
			for _, w := range r.Rows {
				cpu, mem := w.Figures[cpuSeconds].spread, w.Figures[anonMiB].spread
				cpu = spread{cpu.Median * 100, cpu.Low * 100, cpu.High * 100} // s per 10,000 to µs
				c.panels[0].add(w.Way, float64(n), cpu)
				c.panels[1].add(w.Way, float64(n), mem)
				fmt.Fprintf(p.tell, "%-10s %6d  %-16s %6.0f µs CPU  %6.0f µs p50  %6.1f allocations  %6.1f MiB\n",
					d.name, n, w.Way, cpu.Median, w.Figures[p50].Median, w.Figures[objectsPerCall].Median, mem.Median)
			}
		}
		for _, l := range c.panels[0].lines {
			first, last := l.points[0], l.points[len(l.points)-1]
			fmt.Fprintf(p.tell, "%-10s from %g to %g: %s costs %.2f times as much a call\n", d.name, first.x, last.x, l.name, last.y.Median/first.y.Median)
		}
		f, err := os.Create(filepath.Join(dir, "growth-"+d.name+".svg"))
		if err != nil {
			return err
		}
		err = c.svg(f)
		if bad := f.Close(); err == nil {
			err = bad
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (p *panel) add(name string, x float64, y spread) {
	for i := range p.lines {
		if p.lines[i].name == name {
			p.lines[i].points = append(p.lines[i].points, point{x, y})
			return
		}
	}
	p.lines = append(p.lines, line{name, []point{{x, y}}})
}

// besideProxy has an HTTP upstream with the proxy in front, which does not
// change with n, and a gateway as told.
func besideProxy(ctx context.Context, s *stage, tools int, with func(url string) settings) (proxied, lock *way, err error) {
	up, err := s.start(ctx, role{name: "upstream-http", tools: tools})
	if err != nil {
		return nil, nil, err
	}
	p, err := s.start(ctx, role{name: "proxy", targets: up.urls})
	if err != nil {
		return nil, nil, err
	}
	proxied = &way{name: proxy, middle: p, targets: []target{{url: p.urls[0]}}}
	lock, err = s.gateway(ctx, with(up.urls[0]))
	return proxied, lock, err
}

// holding makes a way run echoes and then look at its memory.
func (w *way) holding(n int) *way {
	w.run = func(ctx context.Context, d time.Duration) (figures, error) {
		f, err := w.measure(ctx, echo, n, d)
		if err != nil {
			return nil, err
		}
		f[anonMiB], err = anonymous(w.middle.pid())
		return f, err
	}
	return w
}

func growUpstreams(ctx context.Context, s *stage, n int) ([]*way, error) {
	proxied, lock, err := besideProxy(ctx, s, 0, func(url string) settings {
		var urls []string
		for i := range n {
			urls = append(urls, fmt.Sprintf("%s/%d", url, i))
		}
		return overHTTP(urls...)
	})
	if err != nil {
		return nil, err
	}
	return []*way{proxied.holding(during), lock.holding(during)}, nil
}

func growTools(ctx context.Context, s *stage, n int) ([]*way, error) {
	proxied, lock, err := besideProxy(ctx, s, n, func(url string) settings { return overHTTP(url) })
	if err != nil {
		return nil, err
	}
	return []*way{proxied.holding(during), lock.holding(during)}, nil
}

func growSessions(ctx context.Context, s *stage, n int) ([]*way, error) {
	proxied, lock, err := besideProxy(ctx, s, 0, func(url string) settings {
		with := overHTTP(url)
		with.server = map[string]any{"max_sessions": n + 10}
		return with
	})
	if err != nil {
		return nil, err
	}
	ids, err := openSessions(ctx, lock.middle.urls[0], n)
	if err != nil {
		return nil, err
	}
	one := lock.targets[0]
	lock.targets = nil
	for _, id := range ids {
		one.session = id
		lock.targets = append(lock.targets, one)
	}
	// What the first call of a session costs is no matter of how many there are.
	if err := lock.visit(ctx, echo, during); err != nil {
		return nil, err
	}
	return []*way{proxied.holding(during), lock.holding(during)}, nil
}

func growInFlight(ctx context.Context, s *stage, n int) ([]*way, error) {
	roomy := map[string]any{"in_flight": 4096, "queue": 4096}
	proxied, lock, err := besideProxy(ctx, s, 0, func(url string) settings {
		with := overHTTP(url)
		with.upstreams["u0"]["limits"] = roomy
		return with
	})
	if err != nil {
		return nil, err
	}
	b, err := s.start(ctx, role{name: "bridge"})
	if err != nil {
		return nil, err
	}
	with, err := s.overStdio(1)
	if err != nil {
		return nil, err
	}
	with.upstreams["u0"]["limits"] = roomy
	child, err := s.gateway(ctx, with)
	if err != nil {
		return nil, err
	}
	lock.name, child.name = "Interlock, HTTP", "Interlock, stdio"
	bridgeWay := &way{name: bridged, middle: b, targets: []target{{url: b.urls[0]}}}
	return []*way{proxied.holding(n), lock.holding(n), bridgeWay.holding(n), child.holding(n)}, nil
}
