package observability

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

// interlock is the binary under test, and officeHours a policy in a process of its
// own; both are built once for all tests.
var interlock, officeHours string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "interlock")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	interlock, officeHours = filepath.Join(dir, "interlock"), filepath.Join(dir, "office-hours")
	for to, from := range map[string]string{interlock: "../../cmd/interlock", officeHours: "../plugin/go"} {
		build := exec.CommandContext(context.Background(), "go", "build", "-o", to, from)
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "go build:", err)
			return 1
		}
	}
	code := m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}
