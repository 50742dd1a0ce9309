package upstream

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// testGateway makes the test binary a gateway with a watcher and 20 children.
const testGateway = "INTERLOCK_TEST_GATEWAY"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == WatchCommand {
		os.Exit(WatcherMain(os.Stdin))
	}
	if code, ok := standIn(); ok {
		os.Exit(code)
	}
	if mode := os.Getenv(upstreamtest.Mode); mode != "" {
		os.Exit(upstreamtest.Main(mode))
	}
	if os.Getenv(testPeer) != "" {
		os.Exit(peerMain(os.Getenv(testPeer)))
	}
	if mode := os.Getenv(testGateway); mode != "" {
		if err := gatewayMain(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// toxiproxy leaves a goroutine behind where a connection ends under a toxic.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/Shopify/toxiproxy/v2/toxics.(*ToxicStub).Run"))
}

// gatewayMain starts children with all kinds of grandchildren and says "ready".
// Then it waits to be killed, or closes all and looks for what is left.
func gatewayMain(mode string) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	w, err := StartWatcher(log)
	if err != nil {
		return err
	}
	r := newReaper(log, w)
	count := 20
	if mode == "close" {
		count = 4
	}
	links := make(chan Link, count)
	for range count {
		go func() {
			c := Defaults()
			c.Protocol = LegacyProtocol
			c.Command, c.PassEnv = os.Args[0], []string{upstreamtest.PIDFile}
			c.Env = map[string]string{upstreamtest.Mode: "ignoreterm,doublefork,setsid", "GORACE": "atexit_sleep_ms=0"}
			c.StopTimeout = 100 * time.Millisecond
			l, err := dialStdio(context.Background(), &Dial{Config: &c}, r)
			if err != nil {
				panic(err)
			}
			links <- l
		}()
	}
	var all []Link
	for range count {
		all = append(all, <-links)
	}
	fmt.Println("ready")
	if mode == "kill" {
		select {}
	}
	for _, l := range all {
		if kind := l.Close(context.Background()); kind != Killed {
			return fmt.Errorf("stopped %s", kind)
		}
	}
	w.Close()
	if left := ownChildren(); len(left) > 0 {
		return fmt.Errorf("left: %v", left)
	}
	fmt.Println("closed")
	return nil
}
