package e2e

import (
	"context"
	"slices"
	"testing"
	"time"
)

// scored is how many scenarios each revision asks of a server: a suite that runs
// fewer proves less.
var scored = map[era]int{legacy: 30, modern: 37}

// TestConformance has the official suite judge the gateway in front of go-sdk's
// reference server, whose names it passes on as they are: every scenario that
// the revision requires, and those beside them that the reference itself passes.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, speaks := range []era{legacy} {
		t.Run(string(speaks), func(t *testing.T) {
			t.Parallel()
			ctx, dir := deadline(t, 2*time.Minute), home(t)
			url := referenceRemote(ctx, t, dir, speaks)
			must := mustPass(ctx, t, dir, url, speaks)
			g := newGateway(ctx, t, dir, fields{"reference": fields{"url": url, "prefix": "", "required": true}})
			judge(t, t.Name(), suite(ctx, t, dir, nil, "server", "--url", g.url(), "--requirements", speaks.revision()), must)
		})
	}
}

// mustPass returns the scenarios that a gateway in front of a server has to pass:
// those that the era's revision requires, and of the others those that the server
// passes when it is asked directly. The server must pass the former.
func mustPass(ctx context.Context, t *testing.T, dir, url string, speaks era) []string {
	t.Helper()
	r := required(t, speaks.revision())
	if len(r.Server) != scored[speaks] {
		t.Fatalf("%s requires %d scenarios of a server, want %d", speaks.revision(), len(r.Server), scored[speaks])
	}
	direct := suite(ctx, t, dir, nil, "server", "--url", url, "--requirements", speaks.revision())
	judge(t, "direct", direct, r.Server)
	must := slices.Clone(r.Server)
	for _, s := range r.NotScored {
		// Polling is about streams that the server itself closes early.
		if s.Leg == "server" && s.Scenario != "server-sse-polling" && direct.passed(s.Scenario) {
			must = append(must, s.Scenario)
		}
	}
	return must
}
