//go:build linux

package upstream

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A program ends with what it started, also with what left its group, whether it
// has ended itself, is asked to, or ignores that.
func TestProgramStop(t *testing.T) {
	for name, end := range map[string]string{
		"is asked": "wait", "ignores TERM": "wait", "has ended": "exit 3",
	} {
		t.Run(name, func(t *testing.T) {
			pids := filepath.Join(t.TempDir(), "pids")
			begin := ""
			if name == "ignores TERM" {
				begin = "trap '' TERM; "
			}
			cmd := exec.Command("/bin/sh", "-c", begin+"sleep 1000 & echo $! >>$0; setsid sleep 1000 & echo $! >>$0; echo ready; "+end, pids)
			cmd.Env = []string{"PATH=/usr/bin:/bin"}
			out, in, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stdout = in
			p, err := (*Watcher)(nil).Start(cmd)
			if err != nil {
				t.Fatal(err)
			}
			in.Close()
			if _, err := out.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
			out.Close()
			if end == "exit 3" {
				<-p.Exited()
				if p.Exit() != "exit status 3" {
					t.Errorf("it ended with %q", p.Exit())
				}
			} else if p.Exit() != "" {
				t.Errorf("it has ended with %q", p.Exit())
			}
			if len(living(t, pids)) != 2 {
				t.Fatal("there are no grandchildren")
			}
			p.Stop(100 * time.Millisecond)
			p.Stop(0)
			if left := living(t, pids); len(left) > 0 {
				t.Errorf("%v survived", left)
			}
			if exists(p.PID()) {
				t.Error("a zombie is left")
			}
			if !strings.Contains(p.Exit(), "signal") && !strings.Contains(p.Exit(), "exit status") {
				t.Errorf("it ended with %q", p.Exit())
			}
		})
	}
}
