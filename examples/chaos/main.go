// Command chaos runs the gateway in front of servers that fail in every way they
// can, under clients that all use the same ids, and checks what Interlock
// promises: one answer for each request, the right one, nothing run twice, no
// trouble for others, nothing left behind.
//
//	go run ./examples/chaos -seed 7 -for 2m
//
// The faults are a pure function of the seed and the length: what failed once can
// be looked at again. It prints a table, and ends with 1 if a promise was broken.
// With -strict the figures of time count too.
//
//	go run ./examples/chaos -drill all
//
// injects the faults of docs/faults.md one by one, each alone and beside eight
// servers that are well, and holds what it measures to what is promised. Both
// need Linux for all of their checks, and find less elsewhere.
package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

func main() {
	if mode := os.Getenv(upstreamtest.Mode); mode != "" { // one of the servers
		os.Exit(upstreamtest.Main(mode))
	}
	o := options{out: os.Stdout}
	flag.Uint64Var(&o.seed, "seed", 0, "the faults' `NUMBER`; 0 takes one by chance")
	flag.DurationVar(&o.length, "for", 2*time.Minute, "how long")
	flag.DurationVar(&o.gap, "gap", time.Second, "between two faults, on average")
	flag.IntVar(&o.clients, "clients", 64, "how many clients")
	flag.DurationVar(&o.think, "think", 300*time.Millisecond, "between two calls of a client, on average")
	flag.DurationVar(&o.patience, "patience", time.Minute, "how long a client waits for an answer")
	flag.BoolVar(&o.strict, "strict", false, "hold times to their bars, too")
	flag.StringVar(&o.binary, "interlock", "", "the gateway's `BINARY`; it is built when none is given")
	var d drillOptions
	drill := flag.String("drill", "", "instead of chaos, the `FAULTS` one by one: F3,F8 or all")
	flag.IntVar(&d.times, "times", 20, "how often a drill injects its fault")
	flag.IntVar(&d.slow, "slow", 1, "what times of a drill may be multiplied by, for a gateway with the race detector")
	plan := flag.Bool("plan", false, "print the faults and do nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	run := func() error { return o.main(ctx, *plan) }
	if *drill != "" {
		run = func() error { return o.drill(ctx, d, *drill) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// main runs what the flags say and prints what came of it.
func (o *options) main(ctx context.Context, plan bool) error {
	if o.seed == 0 {
		o.seed = rand.Uint64()
	}
	fmt.Fprintf(o.out, "seed %d, %v\n", o.seed, o.length)
	if plan {
		for _, e := range schedule(o.seed, kinds(), o.length, o.gap) {
			fmt.Fprintf(o.out, "%8v  u%d  %s (%v, %d)\n", e.At.Round(time.Millisecond), e.Peer, e.Kind, e.For.Round(time.Millisecond), e.Value)
		}
		return nil
	}
	clean, err := o.build()
	if err != nil {
		return err
	}
	defer clean()
	rows, err := chaos(ctx, *o)
	show(o.out, rows)
	return err
}

// drill runs drills and prints what came of them.
func (o *options) drill(ctx context.Context, d drillOptions, names string) error {
	clean, err := o.build()
	if err != nil {
		return err
	}
	defer clean()
	d.binary = o.binary
	var only []string
	if names != "all" {
		only = strings.Split(names, ",")
	}
	rows, err := d.practise(ctx, only, func(r *row) { fmt.Fprintf(o.out, "%s: %s (%s)\n", r.Fault, r.Figure, r.Bar) })
	show(o.out, rows)
	return err
}

// build builds the gateway if none was given. The function returned removes it.
func (o *options) build() (clean func(), err error) {
	if o.binary != "" {
		return func() {}, nil
	}
	dir, err := os.MkdirTemp("", "chaos")
	if err != nil {
		return nil, err
	}
	o.binary, err = build(dir)
	return func() { os.RemoveAll(dir) }, err
}

// build builds the gateway from the sources around it.
func build(dir string, args ...string) (string, error) {
	binary := filepath.Join(dir, "interlock")
	cmd := exec.CommandContext(context.Background(), "go", append(append([]string{"build", "-o", binary}, args...), "github.com/interlock-mcp/interlock/cmd/interlock")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return binary, nil
}
