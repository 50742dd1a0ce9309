package upstream

import (
	"os/exec"
	"syscall"
	"testing"
)

// A stranger that got the number of a child that is gone is left alone, and all
// that came of it.
func TestTreeSparesAStrangerWithItsNumber(t *testing.T) {
	cmd := exec.Command("cat")
	prepare(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child, err := newTree(cmd.Process.Pid, "nobody")
	if err != nil {
		t.Fatal(err)
	}
	gone, _ := newTree(cmd.Process.Pid, "nobody")
	gone.since-- // the child that had the number before
	if n := gone.signal(syscall.SIGKILL); n != 0 {
		t.Errorf("%d strangers belong to the child", n)
	}
	if n := child.signal(0); n != 1 {
		t.Errorf("%d processes of the child's own group, want 1", n)
	}
	_ = stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("the stranger ended: %v", err)
	}
}
