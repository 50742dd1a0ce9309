package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// scenario is one case: what is set up once, and the ways that are then measured in
// turn.
type scenario struct {
	name     string // as bars and -cases name it
	title    string
	era      string // of the protocol, on both sides
	upstream string // http or stdio
	once     bool   // nothing is to be warmed up: each repetition begins anew
	setup    setup
}

// sizes are how large the cases are.
type sizes struct {
	inFlight  []int
	lists     []int // tools
	slow      int   // calls that wait
	sessions  []int
	streams   int
	upstreams []int // whose memory is measured
	few       bool  // of the other era only what tells most
}

func fullSizes() sizes {
	return sizes{
		inFlight: []int{1, 32, 256}, lists: []int{1000, 10_000}, slow: 64,
		sessions: []int{1000, 10_000}, streams: 1000, upstreams: []int{1, 10, 50},
	}
}

// scenarios are all cases in the order in which they run.
func scenarios(z sizes) []*scenario {
	var all []*scenario
	era, suffix := "legacy", ""
	add := func(upstream, name, title string, setup setup) {
		all = append(all, &scenario{name: name + "/" + upstream + suffix, title: title, era: era, upstream: upstream, setup: setup})
	}
	addCalls(add, z)
	for _, upstream := range []string{"http", "stdio"} {
		add(upstream, "slow", fmt.Sprintf("fast calls, 4 in flight, while %d slow ones wait", z.slow), besideSlow(upstream, z.slow))
	}
	add("http", "sessions", "idle sessions", idleSessions(z.sessions))
	add("stdio", "streams", fmt.Sprintf("a list change told to %d open GET streams", z.streams), fanOut(z.streams))
	add("stdio", "cold", "from the start of the process to the first complete list, five upstreams", coldStart)
	add("http", "memory", "memory with upstreams of 20 tools", memories(z.upstreams))
	for _, upstream := range []string{"http", "stdio"} {
		add(upstream, "killed", "kill -9 of the upstream until the same session is served", killed(upstream))
	}
	add("http", "refused", "refusals while the breaker is open, 1 in flight", refused)
	addTraces(add)
	era, suffix = modern, "/modern"
	if z.few {
		for _, upstream := range []string{"http", "stdio"} {
			add(upstream, "calls-32", "small calls, 32 in flight", loads(upstream, 1, echo, 32))
		}
	} else {
		addCalls(add, z)
		addTraces(add)
	}
	for _, s := range all {
		family, _, _ := strings.Cut(s.name, "/")
		s.once = slices.Contains([]string{"sessions", "streams", "memory", "killed"}, family)
	}
	return all
}

// setup makes the ways of a case.
type setup func(ctx context.Context, s *stage) ([]*way, error)

// addCalls adds the cases of calls and lists, which there are in each era.
func addCalls(add func(upstream, name, title string, setup setup), z sizes) {
	fill := filler(mib)
	for _, upstream := range []string{"http", "stdio"} {
		for _, n := range z.inFlight {
			add(upstream, fmt.Sprintf("calls-%d", n), fmt.Sprintf("small calls, %d in flight", n), loads(upstream, 1, echo, n))
		}
		add(upstream, "five", "small calls, 32 in flight over five upstreams", loads(upstream, 5, echo, 32))
		add(upstream, "result", "results of 1 MiB, 4 in flight", fromIdle(loads(upstream, 1, large(fill), 4)))
		add(upstream, "arguments", "arguments of 1 MiB, 4 in flight", loads(upstream, 1, measured(fill), 4))
	}
	for _, n := range z.lists {
		add("http", fmt.Sprintf("list-%d", n), fmt.Sprintf("tools/list of %d tools, all pages, 1 in flight", n), lists(n))
	}
}

// addTraces adds the cases of what tracing costs.
func addTraces(add func(upstream, name, title string, setup setup)) {
	for _, upstream := range []string{"http", "stdio"} {
		add(upstream, "telemetry", "small calls, 32 in flight, traced and exported", traces(upstream))
	}
}

// loads has every way to n upstreams carry a load.
func loads(upstream string, n int, a ask, inFlight int) setup {
	return func(ctx context.Context, s *stage) ([]*way, error) {
		var ways []*way
		var err error
		if upstream == "http" {
			ways, err = s.waysHTTP(ctx, n, 0)
		} else {
			ways, err = s.waysStdio(ctx, n, inFlight == 1)
		}
		if err != nil {
			return nil, err
		}
		for _, w := range ways {
			w.under(a, inFlight)
		}
		return ways, nil
	}
}

// fromIdle has the ways of a case also say how far their memory rose over what
// it was before the first load.
func fromIdle(setup setup) setup {
	return func(ctx context.Context, s *stage) ([]*way, error) {
		ways, err := setup(ctx, s)
		for _, w := range ways {
			if w.middle != nil && err == nil {
				w.idle, err = resident(w.middle.pid())
			}
		}
		return ways, err
	}
}

// waysHTTP are the ways to n upstreams over HTTP with as many tools each.
func (s *stage) waysHTTP(ctx context.Context, n, tools int) ([]*way, error) {
	up, err := s.start(ctx, role{name: "upstream-http", ports: n, tools: tools})
	if err != nil {
		return nil, err
	}
	straight := &way{name: direct}
	for _, u := range up.urls {
		straight.targets = append(straight.targets, target{url: u, era: s.era})
	}
	ways := []*way{straight}
	for _, f := range []struct{ name, role, prefix string }{{proxy, "proxy", ""}, {hop, "hop", "u0__"}} {
		p, err := s.start(ctx, role{name: f.role, targets: up.urls})
		if err != nil {
			return nil, err
		}
		w := &way{name: f.name, middle: p}
		for i := range n {
			w.targets = append(w.targets, target{url: fmt.Sprintf("%s/%d", p.urls[0], i), prefix: f.prefix, era: s.era})
		}
		ways = append(ways, w)
	}
	lock, err := s.gateway(ctx, overHTTP(up.urls...))
	if err != nil {
		return nil, err
	}
	ways[2].over(proxy)
	return append(ways, lock.over(proxy)), nil
}

// waysStdio are the ways to n upstreams over stdio.
func (s *stage) waysStdio(ctx context.Context, n int, straight bool) ([]*way, error) {
	var ways []*way
	if straight {
		p, err := s.start(ctx, role{name: "upstream-stdio"})
		if err != nil {
			return nil, err
		}
		ways = append(ways, &way{name: direct, pipe: p, era: s.era})
	}
	p, err := s.start(ctx, role{name: "bridge", ports: n})
	if err != nil {
		return nil, err
	}
	w := &way{name: bridged, middle: p}
	for i := range n {
		w.targets = append(w.targets, target{url: fmt.Sprintf("%s/%d", p.urls[0], i), era: s.era})
	}
	with, err := s.overStdio(n)
	if err != nil {
		return nil, err
	}
	lock, err := s.gateway(ctx, with)
	if err != nil {
		return nil, err
	}
	return append(ways, w, lock.over(bridged)), nil
}

// lists has every way fetch a list. The hop does not know lists.
func lists(tools int) setup {
	return func(ctx context.Context, s *stage) ([]*way, error) {
		ways, err := s.waysHTTP(ctx, 1, tools)
		if err != nil {
			return nil, err
		}
		ways = []*way{ways[0], ways[1].over(direct), ways[3].over(direct)}
		for _, w := range ways {
			w.under(listed(tools), 1)
		}
		return ways, nil
	}
}
