package upstream

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(upstreamtest.Mode); mode != "" {
		os.Exit(upstreamtest.Main(mode))
	}
	goleak.VerifyTestMain(m)
}
