package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
)

// role is what a process does that bench started of itself.
type role struct {
	name    string
	listen  string   // where, "" for any port
	targets []string // what a proxy passes on to
	ports   int      // how many ports an upstream has, or children a bridge
	tools   int
	era     string // of the protocol, "" for legacy
}

// play is the life of such a process. It blocks until its stdin ends.
func play(ctx context.Context, r role) error {
	switch r.name {
	case "upstream-http":
		return serve(ctx, newServer(r.tools, r.era), r.listen, max(1, r.ports))
	case "upstream-stdio":
		return newServer(r.tools, r.era).serveStdio(os.Stdin, os.Stdout)
	case "proxy":
		return serve(ctx, newProxy(r.targets), r.listen, 1)
	case "hop":
		return serve(ctx, newHop(r.targets), r.listen, 1)
	case "sink":
		return serve(ctx, new(sink), r.listen, 1)
	case "bridge":
		return serveBridge(ctx, max(1, r.ports), r.era)
	}
	return fmt.Errorf("no role %q", r.name)
}

// serve serves h on as many ports, prints their URLs and that of the count of
// allocations as the first line on stdout, and blocks until ctx ends or stdin
// does, which is how bench stops it.
func serve(ctx context.Context, h http.Handler, listen string, ports int) error {
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	var urls []string
	ended := make(chan error, ports+1)
	for i := range ports + 1 {
		at, handler, path := listen, h, "/mcp"
		if i == ports {
			at, handler, path = "127.0.0.1:0", counters(h), "/metrics"
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", at)
		if err != nil {
			return err
		}
		defer l.Close()
		urls = append(urls, "http://"+l.Addr().String()+path)
		go func() { ended <- http.Serve(l, handler) }()
	}
	fmt.Println(strings.Join(urls, " "))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended <- nil
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// counters says how many objects this process has allocated, under the name by which
// Prometheus has it, and what h has counted.
func counters(h http.Handler) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Fprintf(w, "go_memstats_mallocs_total %d\n", m.Mallocs)
		if s, ok := h.(*sink); ok {
			fmt.Fprintf(w, "%s %d\n", spansCounter, s.spans.Load())
		}
	}
}
