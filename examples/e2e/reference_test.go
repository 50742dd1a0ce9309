package e2e

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// reference builds go-sdk's server for this suite, once.
var reference = sync.OnceValues(func() (string, error) {
	file := filepath.Join(filepath.Dir(interlock), "everything-server")
	out, err := exec.Command("go", "build", "-o", file, "github.com/modelcontextprotocol/go-sdk/conformance/everything-server").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("go build everything-server: %w\n%s", err, out)
	}
	return file, nil
})

// era is what a reference server is told to speak.
type era string

const (
	legacy era = "legacy" // 2025-11-25, with sessions
	modern era = "modern" // 2026-07-28
)

// revision is the era's.
func (e era) revision() string {
	return map[era]string{legacy: "2025-11-25", modern: "2026-07-28"}[e]
}

// other is the era that this one is not.
func (e era) other() era {
	return map[era]era{legacy: modern, modern: legacy}[e]
}

// referenceRemote starts go-sdk's server over HTTP and returns its endpoint.
func referenceRemote(ctx context.Context, t *testing.T, dir string, speaks era) string {
	t.Helper()
	file, err := reference()
	if err != nil {
		t.Fatal(err)
	}
	addr := addrtest.Free(t)
	cmd := exec.Command(file, "-http", addr, fmt.Sprintf("-stateless=%t", speaks == modern))
	exited, log := start(ctx, t, dir, cmd)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr); err == nil {
			conn.Close()
			return "http://" + addr + "/"
		}
		select {
		case <-again.C:
		case <-exited:
			t.Fatalf("the reference server exited: %s", log)
		case <-ctx.Done():
			t.Fatal(context.Cause(ctx))
		}
	}
}

// referenceStdio is go-sdk's server as a process of the gateway, with the names
// that it has. It speaks both eras, so the gateway is told which.
func referenceStdio(t *testing.T, speaks era) fields {
	t.Helper()
	file, err := reference()
	if err != nil {
		t.Fatal(err)
	}
	return fields{"command": file, "prefix": "", "protocol": speaks, "required": true}
}
