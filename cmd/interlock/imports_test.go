package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/interlock-mcp/interlock"

// listed is what `go list -json` says of a package that matters here.
type listed struct {
	ImportPath   string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// TestImports enforces the directions of the code base: a star, not a web.
// upstream, router, policy and telemetry know nothing of each other, and nobody
// but cmd knows gateway.
func TestImports(t *testing.T) {
	for _, p := range packages(t) {
		from := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, to := range ours(p.Imports) {
			if !allowed(from, to) {
				t.Errorf("%s imports %s: %s", from, to, reason(from))
			}
		}
		// A test may use its neighbours' kits, but may not turn the star round.
		for _, to := range ours(slices.Concat(p.TestImports, p.XTestImports)) {
			if under(to, "gateway") && !under(from, "gateway") && !under(from, "cmd") && !under(from, "examples") {
				t.Errorf("a test of %s imports %s: only gateway, cmd and examples may", from, to)
			}
		}
	}
}

// TestImportsRule is the table of the rule itself, so that a rule that allows
// everything is seen.
func TestImportsRule(t *testing.T) {
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{"upstream", "upstream/jsonrpc", true},
		{"router", "upstream/jsonrpc", true},
		{"policy/plugin", "policy", true},
		{"gateway", "router", true},
		{"gateway", "gateway/admin", true},
		{"gateway", "gateway/config", true},
		{"gateway/config", "telemetry", true},
		{"gateway/config", "gateway/alert", true},
		{"gateway/config", "gateway/identity", true},
		{"gateway/config", "policy/builtin", true},
		{"gateway/identity", "policy", true},
		{"gateway/identity", "policy/glob", true},
		{"policy/builtin", "policy/plugin", true},
		{"cmd/interlock", "gateway", true},
		{"cmd/interlock", "examples/demo", true},
		{"upstream", "telemetry", false},
		{"upstream/jsonrpc", "upstream", false},
		{"router", "upstream", false},
		{"policy", "router", false},
		{"telemetry", "gateway/config", false},
		{"upstream", "gateway", false},
		{"gateway/config", "gateway", false},
		{"gateway/alert", "gateway/config", false},
		{"gateway/alert", "upstream", false},
		{"gateway/identity", "gateway/config", false},
		{"gateway/identity", "policy/builtin", false},
		{"gateway/admin", "gateway", false},
		{"gateway/admin", "gateway/config", false},
		{"gateway", "cmd/interlock", false},
		{"gateway", "examples/demo", false},
		{"examples/demo", "gateway", false},
	} {
		if got := allowed(c.from, c.to); got != c.want {
			t.Errorf("%s imports %s: allowed = %v, want %v", c.from, c.to, got, c.want)
		}
	}
}

// TestTopLevel keeps the root of the repository a table of contents.
func TestTopLevel(t *testing.T) {
	fixed := []string{"cmd", "docs", "examples", "gateway", "policy", "router", "telemetry", "upstream"}
	out, err := exec.CommandContext(t.Context(), "git", "-C", root(t), "ls-tree", "-d", "--name-only", "HEAD").Output()
	dirs := strings.Fields(string(out))
	if err != nil { // an archive of the sources: what is there was put there
		entries, err := os.ReadDir(root(t))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.IsDir() {
				dirs = append(dirs, e.Name())
			}
		}
	}
	for _, dir := range dirs {
		if !strings.HasPrefix(dir, ".") && !slices.Contains(fixed, dir) {
			t.Errorf("%s/ is at the top level, which has only %s", dir, strings.Join(fixed, ", "))
		}
	}
}

// allowed reports whether package from may import package to, both below the
// module's path.
func allowed(from, to string) bool {
	switch {
	case from == "upstream/jsonrpc": // the leaf of all leaves
		return false
	case under(from, "gateway/alert"): // it knows only what it is told
		return under(to, "gateway/alert")
	case under(from, "gateway/identity"): // it makes principals of credentials
		return under(to, "gateway/identity") || to == "policy" || to == "policy/glob" || to == "upstream/jsonrpc"
	case under(from, "gateway/config"):
		return under(to, "gateway/config") || to == "gateway/alert" || to == "gateway/identity" || under(to, "upstream") || to == "router" || under(to, "policy") || to == "telemetry" || to == "upstream/jsonrpc"
	case under(from, "gateway/admin"): // it declares the interface that it reads
		return under(to, "gateway/admin") || to == "upstream/jsonrpc"
	case from == "gateway":
		return !under(to, "cmd") && !under(to, "examples")
	case under(from, "cmd"):
		return true
	case under(from, "examples"): // as a user could write them; chaos is made of fakes
		return under(to, "examples") || under(to, "policy") || to == "upstream/jsonrpc" || to == "upstream/upstreamtest" || to == "upstream/addrtest"
	}
	part, _, _ := strings.Cut(from, "/")
	return under(to, part) || to == "upstream/jsonrpc"
}

func reason(from string) string {
	part, _, _ := strings.Cut(from, "/")
	switch part {
	case "gateway":
		return "config and admin are read by gateway and cmd, and know only what they are told"
	case "examples":
		return "an example uses what its reader can: the binary and the public packages"
	}
	return part + " imports nothing of ours but upstream/jsonrpc; declare a small interface and let gateway join"
}

// under reports whether path is dir or below it.
func under(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// ours returns those of paths that are in this module, below its path, sorted
// and once each.
func ours(paths []string) []string {
	var own []string
	for _, p := range paths {
		if rest, ok := strings.CutPrefix(p, module+"/"); ok {
			own = append(own, rest)
		}
	}
	slices.Sort(own)
	return slices.Compact(own)
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", "./...")
	cmd.Dir = root(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []listed
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		switch err := dec.Decode(&p); {
		case errors.Is(err, io.EOF):
			if len(all) < 3 {
				t.Fatalf("go list found %d packages", len(all))
			}
			return all
		case err != nil:
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// root is the directory of go.mod.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
