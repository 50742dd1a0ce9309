package upstream

import (
	"bufio"
	"os"
	"os/exec"
	"testing"
	"time"
)

// TestUsageOfTree measures a shell that worked for a while, its child, one that
// left the group, and one whose parent is gone besides.
func TestUsageOfTree(t *testing.T) {
	c := Defaults()
	c.Command = "sh"
	c.Args = []string{"-c", `sleep 1000 & setsid sleep 1000 & (setsid sleep 1000 &)
		i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo ready; read end`}
	p, err := startProcess(&c, append(os.Environ(), markerName+"=usage.test.1"), "usage.test.1")
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	defer p.stop(patience{term: time.Second}, nil)
	if line, err := bufio.NewReader(p.stdout).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("%q, %v", line, err)
	}
	// The shells in between may not have become what they run yet.
	u, ok := usageOf(p.pid)
	for end := time.Now().Add(patient); ok && u.Processes != 4 && time.Now().Before(end); {
		u, ok = usageOf(p.pid)
	}
	if !ok || u.Processes != 4 || u.CPU < 20*time.Millisecond || u.CPU > patient || u.Memory < 4<<12 || u.Memory > 64<<20 {
		t.Errorf("%+v, %v", u, ok)
	}
	if _, err := exec.LookPath("ps"); err == nil {
		// One process leaves the group and its parents: ps cannot know it then. What
		// it becomes first is still of the group.
		var by Usage
		for end := time.Now().Add(patient); by.Processes != 3 && time.Now().Before(end); {
			out, err := exec.Command("ps", psArgs...).Output()
			if err != nil {
				t.Fatal(err)
			}
			by, ok = parsePS(string(out), p.pid)
			u, _ = usageOf(p.pid)
		}
		if !ok || by.Processes != 3 || (by.CPU-u.CPU).Abs() > 1100*time.Millisecond || by.Memory > u.Memory || 3*by.Memory < u.Memory {
			t.Errorf("ps says %+v, /proc %+v", by, u)
		}
	}
	p.stop(patience{term: time.Second}, nil)
	if u, ok := usageOf(p.pid); ok {
		t.Errorf("after the end: %+v", u)
	}
}
