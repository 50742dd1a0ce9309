package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// scoredSignIns is how many scenarios about OAuth each revision asks of a client.
var scoredSignIns = map[era]int{legacy: 14, modern: 25}

// extensions are what the suite runs besides, without scoring, and we can do.
var extensions = []string{"auth/client-credentials-basic", "auth/client-credentials-jwt"}

// refusals are the scenarios in which nothing may be called in the end: what answers is
// not what it should be, or wants more than there is.
var refusals = []string{
	"auth/iss-normalized", "auth/iss-supported-missing", "auth/iss-unexpected", "auth/iss-wrong-issuer",
	"auth/metadata-issuer-mismatch", "auth/resource-mismatch", "auth/scope-retry-limit",
}

// TestConformanceSignIn has the suite judge how the gateway is signed in to servers that
// want OAuth: every scenario that the revision requires, through `interlock login
// --headless` and calls. Service accounts need no login.
func TestConformanceSignIn(t *testing.T) {
	t.Parallel()
	for speaks, want := range scoredSignIns {
		isOther := func(s string) bool { return !strings.HasPrefix(s, "auth/") }
		scenarios := slices.DeleteFunc(slices.Clone(required(t, speaks.revision()).Client), isOther)
		if len(scenarios) != want {
			t.Errorf("%s requires %d scenarios about OAuth of a client, want %d", speaks.revision(), len(scenarios), want)
		}
		for _, scenario := range append(scenarios, extensions...) {
			t.Run(string(speaks)+"/"+scenario, func(t *testing.T) {
				t.Parallel()
				signsIn(t, speaks, scenario)
			})
		}
	}
}

// signsIn runs one scenario.
func signsIn(t *testing.T, speaks era, scenario string) {
	t.Helper()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	file, err := filepath.Abs("drivers/login.mjs")
	if err != nil {
		t.Fatal(err)
	}
	// --force: extensions are of no revision.
	found := suite(ctx, t, dir, []string{"INTERLOCK=" + interlock},
		"client", "--command", node22()+" "+file, "--scenario", scenario, "--spec-version", speaks.revision(), "--force")
	judge(t, string(speaks)+"-sign-in/"+scenario, found, []string{scenario})
	_, err = os.Stat(filepath.Join(dir, "used"))
	if used := err == nil; used == slices.Contains(refusals, scenario) {
		t.Errorf("%s: a tool was called: %t", scenario, used)
	}
}
