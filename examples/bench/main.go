// Command bench measures what Interlock costs, beside floors: httputil.ReverseProxy,
// a hop that only scans and renames, and the smallest bridge from HTTP to a
// process that could be written.
//
//	go run ./examples/bench [-quick] [-json FILE] [-page FILE] [-cases REGEXP] [-strict] [-interlock BINARY]
//	go run ./examples/bench -growth DIR [-quick] [-cases REGEXP]
//
// Every party is a process of its own: this one makes the load, and runs itself
// again as the upstream servers and the floors. The ways take turns in short
// slices (A B C A B C ...), so that a slow moment of the machine hits all of
// them; figures are medians over the repetitions, and ratios are between
// neighbours in time. Clients are raw keep-alive connections with one call in
// flight each; every answer is checked to be the answer to its own call.
//
// CPU is user plus system time of the party in the middle alone, without its
// children (Linux only). docs/performance.md says more.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	cancel()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var r role
	targets := ""
	flags.StringVar(&r.name, "role", "", "what this process is; this and the next five are used by bench itself")
	flags.StringVar(&r.listen, "listen", "", "where a role listens")
	flags.StringVar(&targets, "targets", "", "what a role passes on to")
	flags.IntVar(&r.ports, "ports", 1, "how many upstreams a role is")
	flags.IntVar(&r.tools, "tools", 0, "how many tools they have")
	flags.StringVar(&r.era, "era", "", "which era of the protocol they speak: legacy or modern")

	p := plan{sizes: fullSizes(), tell: os.Stderr}
	quick := flags.Bool("quick", false, "three repetitions of short slices: under two minutes")
	flags.IntVar(&p.rounds, "rounds", 5, "repetitions")
	flags.DurationVar(&p.slice, "slice", time.Second, "time of one way in one repetition")
	flags.StringVar(&p.binary, "interlock", "", "the binary to measure; built from this module by default")
	only := flags.String("cases", "", "a regular expression of names of cases, such as calls-32 or /stdio, or with -growth of what grows")
	file := flags.String("json", "", "also write JSON to this file")
	page := flags.String("page", "", "also put the figures into this page, such as docs/performance.md")
	strict := flags.Bool("strict", false, "exit with 1 when a bar is missed")
	growth := flags.String("growth", "", "measure growth instead, and draw it into this directory")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if r.name != "" {
		if targets != "" {
			r.targets = strings.Split(targets, ",")
		}
		return play(ctx, r)
	}
	limit := 20 * time.Minute
	if *quick {
		p.sizes.few = true
		p.rounds, p.slice, limit = 3, 250*time.Millisecond, 2*time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if *only != "" {
		var err error
		if p.only, err = regexp.Compile(*only); err != nil {
			return fmt.Errorf("-cases: %w", err)
		}
	}
	if *growth != "" {
		p.rounds, p.slice = min(p.rounds, 3), min(p.slice, 400*time.Millisecond)
		return grow(ctx, p, *growth, dimensions(*quick))
	}
	report, err := measure(ctx, p)
	if err != nil {
		return err
	}
	return publish(report, *file, *page, *strict)
}

// publish prints the report, and writes it to a file and a page if there are any.
func publish(r *report, file, page string, strict bool) error {
	if err := r.writeTable(os.Stdout); err != nil {
		return err
	}
	if file != "" {
		f, err := os.Create(file)
		if err != nil {
			return err
		}
		if err := r.writeJSON(f); err != nil {
			f.Close()
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	if page != "" {
		if err := r.insert(page); err != nil {
			return err
		}
	}
	if n := r.failed(); strict && n > 0 {
		return fmt.Errorf("%d bars were missed", n)
	}
	return nil
}
