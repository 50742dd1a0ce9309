package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scored is how many scenarios each revision asks of a server: a suite that runs
// fewer proves less.
var scored = map[era]int{legacy: 30, modern: 37}

// TestConformance has the official suite judge the gateway in front of go-sdk's
// reference server: every scenario that the revision requires, and those beside
// them that the reference itself passes. It stands in front of a remote server and
// of a process with their names as they are; beside four other servers and behind
// a prefix, where a proxy maps the names; and in front of a server of the other
// era. What fails there is in conformance.yaml.
func TestConformance(t *testing.T) {
	t.Parallel()
	for speaks := range scored {
		t.Run(string(speaks), func(t *testing.T) {
			t.Parallel()
			// It ends with its last run, which may wait for its turn among all
			// parallel tests.
			ctx, dir := deadline(t, 15*time.Minute), home(t)
			must := mustPass(ctx, t, dir, referenceRemote(ctx, t, dir, speaks), speaks)
			for _, run := range []struct {
				name, prefix string
				upstreams    func(ctx context.Context, t *testing.T, dir string) fields
			}{
				{"remote", "", func(ctx context.Context, t *testing.T, dir string) fields {
					t.Helper()
					return fields{"reference": fields{"url": referenceRemote(ctx, t, dir, speaks), "prefix": "", "required": true}}
				}},
				{"process", "", func(_ context.Context, t *testing.T, _ string) fields {
					t.Helper()
					return fields{"reference": referenceStdio(t, speaks)}
				}},
				{"other-era", "", func(ctx context.Context, t *testing.T, dir string) fields {
					t.Helper()
					return fields{"reference": fields{"url": referenceRemote(ctx, t, dir, speaks.other()), "prefix": "", "required": true}}
				}},
				{"beside-others", "ref__", func(ctx context.Context, t *testing.T, dir string) fields {
					t.Helper()
					twin := referenceStdio(t, speaks)
					delete(twin, "prefix")
					return fields{
						"everything": everythingStdio(), "files": filesystem(dir), "memory": memory(filepath.Join(dir, "memory.json")),
						"ref":  fields{"url": referenceRemote(ctx, t, dir, speaks), "required": true}, // short: names are cut
						"twin": twin,
					}
				}},
			} {
				t.Run(run.name, func(t *testing.T) {
					t.Parallel()
					ctx, dir := deadline(t, 2*time.Minute), home(t)
					endpoint := newGateway(ctx, t, dir, run.upstreams(ctx, t, dir)).url()
					if run.prefix != "" {
						endpoint = newRenamer(t, endpoint, run.prefix)
					}
					got := serverSuite(ctx, t, dir, endpoint, speaks)
					judge(t, string(speaks)+"/"+run.name, got, must)
				})
			}
		})
	}
}

// serverSuite has the suite judge a server by what the era's revision requires.
func serverSuite(ctx context.Context, t *testing.T, dir, url string, speaks era) outcome {
	t.Helper()
	return suite(ctx, t, dir, nil, "server", "--url", url, "--requirements", speaks.revision())
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
	direct := serverSuite(ctx, t, dir, url, speaks)
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

// TestConformanceAsClient has the suite judge what the gateway, driven by a real
// client of either era, does to servers: every scenario that the revision requires
// of a client and that is not about OAuth.
func TestConformanceAsClient(t *testing.T) {
	t.Parallel()
	for speaks := range scored {
		r := required(t, speaks.revision())
		scenarios := r.Client
		for _, s := range r.NotScored {
			if s.Leg == "client" {
				scenarios = append(scenarios, s.Scenario)
			}
		}
		for _, scenario := range scenarios {
			if strings.HasPrefix(scenario, "auth/") {
				continue
			}
			for driver := range scored {
				t.Run(fmt.Sprintf("%s to %s/%s", driver, speaks, scenario), func(t *testing.T) {
					t.Parallel()
					asClient(t, driver, speaks, scenario)
				})
			}
		}
	}
}

// asClient runs one scenario.
func asClient(t *testing.T, driver, speaks era, scenario string) {
	t.Helper()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	file, err := filepath.Abs("drivers/scenario.mjs")
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"INTERLOCK=" + interlock, "CLIENT_REVISION=" + driver.revision()}
	found := suite(ctx, t, dir, env, "client", "--command", node22()+" "+file, "--scenario", scenario, "--spec-version", speaks.revision())
	judge(t, fmt.Sprintf("%s-client/%s/%s", driver, speaks, scenario), found, []string{scenario})
}
