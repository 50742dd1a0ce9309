package upstream_test

import (
	"context"
	"fmt"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// A monitor's view of an upstream: a check now, and the figures of five minutes.
func ExampleUpstream_Stats() {
	set := upstream.NewSet(upstream.Options{Dialer: new(linktest.Dialer)}) // NewDialer, in life
	c := upstream.Defaults()
	c.Name, c.Command = "files", "files-server"
	if _, err := set.Apply([]upstream.Config{c}); err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	over := make(chan error, 1)
	go func() { over <- set.Run(ctx) }()
	files := set.Upstream("files")
	if err := files.Start(ctx); err != nil {
		fmt.Println(err)
		return
	}

	now := files.Check(ctx)
	fmt.Println(now.Status, now.Healthy, now.Err == "")
	if _, err := files.Call(ctx, tool("read")); err != nil {
		fmt.Println(err)
	}
	s := files.Stats(5 * time.Minute)
	fmt.Printf("%d of %d checks, %d calls, %d kinds of errors\n", s.Healthy, s.Checks, s.Calls.Count, len(s.Calls.Errors))
	stop()
	<-over
	// Output:
	// running true true
	// 1 of 1 checks, 1 calls, 0 kinds of errors
}

// Following what an upstream writes on stderr: the last lines, then each that
// comes, until the context ends.
func ExampleTail_Follow() {
	var stderr upstream.Tail // Upstream.Stderr, in life
	fmt.Fprint(&stderr, "opening the database\nlistening\n")
	for l := range stderr.Follow(context.Background(), 1) {
		fmt.Println(l.Text)
		if l.Text == "goodbye" {
			break
		}
		fmt.Fprint(&stderr, "goodbye\n")
	}
	// Output:
	// listening
	// goodbye
}
