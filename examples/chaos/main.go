// Command chaos runs the gateway in front of servers that fail in every way they
// can, under clients that all use the same ids, and checks what Interlock
// promises: one answer for each request, the right one, nothing run twice, no
// trouble for others, nothing left behind.
//
//	go run ./examples/chaos -seed 7 -for 2m
//
// The faults are a pure function of the seed and the length: what failed once can
// be looked at again. It prints a table, and ends with 1 if a promise was broken.
// With -strict the figures of time count too. It needs Linux for all of its
// checks, and finds less elsewhere.
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
	plan := flag.Bool("plan", false, "print the faults and do nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := o.main(ctx, *plan); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// main runs what the flags say and prints what came of it.
func (o options) main(ctx context.Context, plan bool) error {
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
	if o.binary == "" {
		dir, err := os.MkdirTemp("", "chaos")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		if o.binary, err = build(dir); err != nil {
			return err
		}
	}
	rows, err := chaos(ctx, o)
	show(o.out, rows)
	return err
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
