package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// interlock is the binary under test, built once for all tests.
var interlock string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	if err := fixtures(); err != nil {
		if os.Getenv("CI") == "" {
			fmt.Fprintln(os.Stderr, "skipped:", err)
			return 0
		}
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	dir, err := os.MkdirTemp("", "interlock")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	interlock = filepath.Join(dir, "interlock")
	args := []string{"build", "-o", interlock}
	if raceEnabled { // a race in the gateway fails the test whose traffic found it
		args = append(args, "-race")
	}
	build := exec.CommandContext(context.Background(), "go", append(args, "../../cmd/interlock")...)
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "go build:", err)
		return 1
	}
	// One more than there are processors: some tests wait for half a minute. A flag of
	// the command line goes before it.
	if err := flag.Set("test.parallel", strconv.Itoa(runtime.GOMAXPROCS(0)+1)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// fixtures returns an error that says what is missing of Node and the packages.
func fixtures() error {
	if _, err := exec.LookPath("node"); err != nil {
		return fmt.Errorf("end-to-end tests need Node 20 or later: %w", err)
	}
	if _, err := os.Stat(module("@modelcontextprotocol/sdk/package.json")); err != nil {
		return fmt.Errorf("end-to-end tests need their npm packages (make fetch): %w", err)
	}
	return nil
}

// module returns the absolute path of a file of an installed npm package.
func module(path string) string {
	abs, err := filepath.Abs(filepath.Join("node_modules", filepath.FromSlash(path)))
	if err != nil {
		panic(err) // no working directory
	}
	return abs
}

// deadline is a context for the whole of a test, shorter than go test's own, so
// that what hangs is named by its test. It outlives the test function: clean-ups
// still stop processes in good order.
func deadline(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(t.Context()), d, fmt.Errorf("%s took longer than %s", t.Name(), d))
	t.Cleanup(cancel)
	return ctx
}
