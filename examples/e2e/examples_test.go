package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// TestExamplesRun serves every configuration of examples/ and of the README as
// it stands there, until all its child processes run and have listed. Addresses and
// folders of a real machine are replaced, and npx finds the packages that are
// installed here. The remote servers are made up, and must hurt nobody.
func TestExamplesRun(t *testing.T) {
	t.Parallel()
	for name, text := range exampleConfigs(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			serveExample(t, name, text)
		})
	}
}

// exampleConfigs returns the configurations by name; the name's ending is the
// language.
func exampleConfigs(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"../*.yaml", "../*.json", "../observability/interlock*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name := strings.TrimPrefix(filepath.ToSlash(file), "../")
			all[strings.ReplaceAll(name, "/", "-")] = string(raw)
		}
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, block := range regexp.MustCompile("(?s)```(yaml|json)\n(.*?)```").FindAllStringSubmatch(string(readme), -1) {
		ours := strings.Contains(block[2], "upstreams:") || strings.Contains(block[2], "mcpServers") && !strings.Contains(block[2], `"stdio"`)
		if ours {
			all[fmt.Sprintf("readme-%d.%s", i+1, block[1])] = block[2]
		}
	}
	if len(all) < 8 {
		t.Fatalf("found %d configurations", len(all))
	}
	return all
}

func serveExample(t *testing.T, name, text string) {
	t.Helper()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	// npx looks for packages where it is started.
	if err := os.Symlink(module(""), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	manifest, err := os.ReadFile("package.json")
	if err != nil {
		t.Fatal(err)
	}
	text = strings.NewReplacer("/srv/shared", shared, "/srv/files", shared, "127.0.0.1:9464", addrtest.Free(t)).Replace(text)
	config, machine := filepath.Join(dir, name), filepath.Join(dir, "machine.yaml")
	for file, content := range map[string]string{
		filepath.Join(dir, "package.json"): string(manifest),
		// All is there: neither the registry nor its news is asked for.
		filepath.Join(dir, ".npmrc"): "offline=true\nupdate-notifier=false\n",
		config:                       text,
		machine:                      "state_dir: " + dir + "/state\nserver: {listen: " + addrtest.Free(t) + "}\n",
	} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(interlock, "serve", "-c", config, "-c", machine)
	cmd.Dir = dir
	said := &watcher{word: " ready, ", seen: make(chan struct{})} // of all servers, when each runs or has failed
	cmd.Stdout = said
	exited, out := startSaying(ctx, t, dir, cmd, said)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for waiting := notRunning(ctx, dir, config, machine); waiting != ""; waiting = notRunning(ctx, dir, config, machine) {
		select {
		case <-again.C:
		case <-exited:
			t.Fatalf("interlock serve exited: %s\n%s", cmd.ProcessState, out)
		case <-ctx.Done():
			t.Fatalf("%s did not start\n%s", waiting, out)
		}
	}
	if !stop(cmd, exited, time.Minute) {
		t.Error("interlock serve ignored TERM for a minute")
	}
}

// notRunning names a child process that does not run yet, "" if all do.
func notRunning(ctx context.Context, dir, config, machine string) string {
	cmd := exec.CommandContext(ctx, interlock, "list", "-o", "json", "-c", config, "-c", machine)
	cmd.Env, cmd.Dir = environ(dir), dir
	raw, err := cmd.Output()
	if err != nil {
		return "the admin API"
	}
	var all []struct {
		Name, State, Transport string
		Tools                  int
	}
	if err := json.Unmarshal(raw, &all); err != nil || len(all) == 0 {
		return "any upstream"
	}
	for _, u := range all {
		if u.Transport == "stdio" && (u.State != "running" || u.Tools == 0) {
			return u.Name
		}
	}
	return ""
}
