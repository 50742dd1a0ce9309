// Command bench measures what a tools/call costs on its way through Interlock,
// beside the same call made directly, through httputil.ReverseProxy, and through
// the smallest bridge from HTTP to a process that could be written.
//
//	go run ./examples/bench [-t 60s] [-json] [-in-flight 1,32,256] [-interlock BINARY]
//
// Every party is a process of its own: this one makes the load, and runs itself
// again as the upstream servers, the proxy and the bridge. The paths take turns
// in short slices (A B C A B C ...), so that a slow moment of the machine hits
// all of them. Clients are raw keep-alive connections with one call in flight
// each; every answer is checked to be the answer to its own call.
//
// CPU is user plus system time of the party in the middle alone, read from /proc
// (Linux only); an upstream process that Interlock starts counts as its own.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"
)

func main() {
	role := flag.String("role", "", "what this process is; only used by bench itself")
	addr := flag.String("addr", "", "with -role: where to listen, or what to pass on to")
	total := flag.Duration("t", time.Minute, "time for all measurements together")
	rounds := flag.Int("rounds", 4, "slices that each path's time is cut into")
	asJSON := flag.Bool("json", false, "print JSON")
	inFlight := flag.String("in-flight", "1,32,256", "calls at once")
	binary := flag.String("interlock", "", "the binary to measure; built from this module by default")
	flag.Parse()

	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	err := func() error {
		defer cancel()
		if *role != "" {
			return play(ctx, *role, *addr)
		}
		levels, err := integers(*inFlight)
		if err != nil {
			return fmt.Errorf("-in-flight: %w", err)
		}
		report, err := measure(ctx, plan{total: *total, rounds: *rounds, inFlight: levels, binary: *binary})
		if err != nil {
			return err
		}
		if *asJSON {
			return report.writeJSON(os.Stdout)
		}
		return report.writeTable(os.Stdout)
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// play is the life of a process that bench started. It blocks.
func play(ctx context.Context, role, addr string) error {
	switch role {
	case "upstream-http":
		return serveHTTP(ctx, echoHandler())
	case "upstream-stdio":
		return serveStdio(os.Stdin, os.Stdout)
	case "proxy":
		return serveHTTP(ctx, proxyHandler(addr))
	case "bridge":
		return serveBridge(ctx)
	}
	return fmt.Errorf("no role %q", role)
}

func integers(list string) ([]int, error) {
	var all []int
	for word := range strings.SplitSeq(list, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(word))
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is not a number of calls", word)
		}
		all = append(all, n)
	}
	return all, nil
}
