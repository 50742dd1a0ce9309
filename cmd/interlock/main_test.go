package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	testscript.Main(leakless{m}, map[string]func(){"interlock": main, "xdg-open": fakeBrowser})
}

// leakless runs the tests and then looks for goroutines that outlive them;
// testscript ends the process, so goleak's own TestMain never gets its turn.
type leakless struct{ tests *testing.M }

func (l leakless) Run() int {
	code := l.tests.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// patient is how long a test waits for what must come, however slow the machine.
const patient = time.Minute

// promptExit keeps a binary with the race detector from sleeping for a second at
// its end.
const promptExit = "GORACE=atexit_sleep_ms=0"

// TestScripts runs the command line as a user does: testdata/*.txtar tell a
// story each. Beside testscript's own there is a command
//
//	eventually REGEXP COMMAND...
//
// which runs COMMAND again and again until its output matches, as one does for what
// a gateway tells only a moment after it is so, and
//
//	exits CODE COMMAND...
//
// which wants that exit code, and
//
//	protected
//
// which sets MCP_URL to a server with two tools that wants a sign-in.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// The folder of a script is too deep for a unix socket.
			state, err := os.MkdirTemp("", "il")
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(state) })
			addr, release, err := addrtest.Reserve()
			if err != nil {
				return err
			}
			e.Defer(release)
			home := filepath.Join(e.WorkDir, "home")
			e.Vars = append(e.Vars,
				"HOME="+home, "XDG_CONFIG_HOME="+filepath.Join(home, ".config"), "XDG_STATE_HOME="+state, "ADDR="+addr,
				"INTERLOCK_SERVER__LISTEN="+addr, promptExit,
			)
			return os.MkdirAll(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"eventually": eventually, "exits": exits,
			"protected": func(ts *testscript.TestScript, _ bool, _ []string) {
				issuer := oauthtest.StartIssuer(t, "", oauthtest.Behaviour{Rotate: true})
				ts.Setenv("MCP_URL", oauthtest.StartResource(t, issuer, oauthtest.Protection{}).URL)
			},
		},
	})
}

func eventually(ts *testscript.TestScript, _ bool, args []string) {
	want := regexp.MustCompile("(?m)" + args[0])
	program := filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[1])
	if _, err := os.Stat(program); err != nil { // one of the system's
		program = args[1]
	}
	ctx, cancel := context.WithTimeout(context.Background(), patient)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		cmd := exec.CommandContext(ctx, program, args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		for _, k := range []string{"HOME", "PATH", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "TMPDIR", "ADDR", "MCP_URL", "INTERLOCK_SERVER__LISTEN", "GORACE"} {
			cmd.Env = append(cmd.Env, k+"="+ts.Getenv(k))
		}
		out, _ := cmd.CombinedOutput()
		if want.Match(out) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%v never says %q; at last:\n%s", args[1:], args[0], out)
		case <-again.C:
		}
	}
}

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%v: exit code %d, want %d", args[1:], got, want)
	}
}
