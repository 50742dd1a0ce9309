//go:build unix && !linux

package upstream

import (
	"context"
	"os/exec"
	"time"
)

// usageOf asks ps, which is on every Unix.
func usageOf(pid int) (Usage, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ps", psArgs...).Output()
	if err != nil {
		return Usage{}, false
	}
	return parsePS(string(out), pid)
}
