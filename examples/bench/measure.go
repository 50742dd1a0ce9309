package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// plan says what to measure and how long.
type plan struct {
	total    time.Duration
	rounds   int
	inFlight []int
	binary   string
}

// path is one way from a client to an upstream.
type path struct {
	upstream, name string // http or stdio; direct, ReverseProxy, bridge, Interlock
	url            string
	session        string
	tool           string
	middle         *party // whose CPU and memory count; nil when there is nobody
	used           int    // ids of each connection that are spent
}

// measure starts everything, pours load over it, and stops it all. It blocks for
// about p.total.
func measure(ctx context.Context, p plan) (*report, error) {
	dir, err := os.MkdirTemp("", "il")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if p.binary == "" {
		if p.binary, err = build(ctx, dir); err != nil {
			return nil, err
		}
	}
	parties, paths, err := stage(ctx, dir, p.binary)
	defer func() {
		for _, p := range slices.Backward(parties) { // upstreams last
			p.stop()
		}
	}()
	if err != nil {
		return nil, err
	}

	r := newReport(paths, p.inFlight)
	slice := p.total / time.Duration(p.rounds*len(p.inFlight)*len(paths))
	for round := range p.rounds + 1 { // the first warms up and is not counted
		for _, n := range p.inFlight {
			for _, way := range paths {
				d := slice
				if round == 0 {
					d = min(slice, 300*time.Millisecond)
				}
				sample, err := one(ctx, way, n, d)
				if err != nil {
					return nil, err
				}
				if round > 0 {
					r.add(way, n, sample)
				}
			}
		}
	}
	return r, nil
}

// stage starts all parties. What it started is returned also with an error.
func stage(ctx context.Context, dir, binary string) (all []*party, paths []*path, err error) {
	add := func(p *party, err error) (*party, error) {
		if err == nil {
			all = append(all, p)
		}
		return p, err
	}
	upstream, err := add(again(ctx, "upstream-http", ""))
	if err != nil {
		return all, nil, err
	}
	proxy, err := add(again(ctx, "proxy", upstream.url))
	if err != nil {
		return all, nil, err
	}
	bridge, err := add(again(ctx, "bridge", ""))
	if err != nil {
		return all, nil, err
	}
	lock, err := add(gateway(ctx, dir, binary, upstream.url))
	if err != nil {
		return all, nil, err
	}
	id, err := session(ctx, lock.url)
	if err != nil {
		return all, nil, fmt.Errorf("interlock: %w", err)
	}
	return all, []*path{
		{upstream: "http", name: "direct", url: upstream.url, tool: "echo"},
		{upstream: "http", name: "ReverseProxy", url: proxy.url, tool: "echo", middle: proxy},
		{upstream: "http", name: "Interlock", url: lock.url, session: id, tool: "http__echo", middle: lock},
		{upstream: "stdio", name: "bridge", url: bridge.url, tool: "echo", middle: bridge},
		{upstream: "stdio", name: "Interlock", url: lock.url, session: id, tool: "stdio__echo", middle: lock},
	}, nil
}

// sample is one slice on one path.
type sample struct {
	load
	cpu      time.Duration
	resident int64
}

func one(ctx context.Context, way *path, n int, d time.Duration) (sample, error) {
	var before time.Duration
	var err error
	if way.middle != nil {
		if before, err = cpu(way.middle.cmd.Process.Pid); err != nil {
			return sample{}, err
		}
	}
	l, err := pour(ctx, way, n, d)
	if err != nil {
		return sample{}, err
	}
	s := sample{load: l}
	if way.middle != nil {
		pid := way.middle.cmd.Process.Pid
		after, err := cpu(pid)
		if err != nil {
			return sample{}, err
		}
		s.cpu = after - before
		if s.resident, err = resident(pid); err != nil {
			return sample{}, err
		}
	}
	return s, nil
}
