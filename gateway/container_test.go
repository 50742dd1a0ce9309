//go:build unix

package gateway

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestContainers: the gateway keeps the ids of containers in its state_dir, removes
// them at the stop of their upstream, and at its start those that an earlier one
// left.
func TestContainers(t *testing.T) {
	dir := t.TempDir()
	log := filepath.Join(dir, "log")
	docker := filepath.Join(dir, "docker")
	script := `#!/bin/sh
echo "$@" >>'` + log + `'
[ "$1" = run ] || exit 0
while [ $# -gt 1 ]; do
	[ "$1" = --cidfile ] && echo c0ffee >"$2"
	shift
done
exec "$SELF"
`
	if err := os.WriteFile(docker, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(log, 0o600); err != nil {
		t.Fatal(err)
	}
	told, err := os.OpenFile(log, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	lines := bufio.NewReader(told)
	// asked waits for a command of that beginning; the commands may come in any
	// order.
	var all []string
	asked := func(what string) string {
		t.Helper()
		_ = told.SetReadDeadline(time.Now().Add(time.Minute))
		for {
			for _, line := range all {
				if strings.HasPrefix(line, what) {
					return line
				}
			}
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("never asked for %s, but for %q: %v", what, all, err)
			}
			all = append(all, strings.TrimSpace(line))
		}
	}
	cfg := settings(t)
	containers := filepath.Join(cfg.StateDir, "containers")
	if err := os.MkdirAll(filepath.Join(containers, "dead"), 0o700); err != nil {
		t.Fatal(err)
	}
	left := fmt.Sprintf(`{"upstream":"gone","child":"x","command":%q,"cidfile":%q}`, docker, filepath.Join(containers, "dead", "x.cid"))
	for name, text := range map[string]string{"x.json": left, "x.cid": "0ld"} {
		if err := os.WriteFile(filepath.Join(containers, "dead", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	box := child(t, cfg, "box", nil)
	box.Env["SELF"] = box.Command
	box.Command, box.Args = docker, []string{"run", "-i", "--rm", "image"}
	r := startWith(t, cfg, Options{}).running()
	asked("rm -f 0ld")
	if got, want := asked("run "), "run --label interlock.upstream=box --label interlock.child="; !strings.HasPrefix(got, want) || !strings.Contains(got, " --cidfile "+containers+"/") {
		t.Errorf("run as %q, want %q and a file in %s", got, want, containers)
	}
	r.stop()
	asked("rm -f c0ffee")
	if files, _ := filepath.Glob(filepath.Join(containers, "*", "*")); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}
