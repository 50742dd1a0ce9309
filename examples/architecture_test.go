package examples_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The architecture page goes file by file: a file that it does not name has no
// place yet, and a name without a file is of the past.
func TestArchitectureNamesEveryFile(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]bool{}
	for i, part := range strings.Split(string(page), "`") {
		if i%2 == 1 && strings.HasSuffix(part, ".go") && !strings.Contains(part, "/") {
			named[part] = true
		}
	}
	matches := func(name string) bool {
		for n := range named {
			if ok, _ := filepath.Match(n, name); ok {
				return true
			}
		}
		return false
	}
	have := []string{}
	for _, dir := range []string{"upstream", "upstream/jsonrpc", "upstream/oauth", "upstream/oauth/vault", "router", "policy/plugin", "telemetry", "gateway", "gateway/config", "gateway/alert", "gateway/admin", "gateway/bridge", "gateway/identity", "gateway/redact", "cmd/interlock"} {
		files, err := filepath.Glob("../" + dir + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			name := filepath.Base(f)
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			have = append(have, name)
			if name != "doc.go" && !matches(name) {
				t.Errorf("docs/architecture.md does not name %s/%s", dir, name)
			}
		}
	}
	others, err := filepath.Glob("../policy/*/*.go") // named where they are worth it
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range others {
		have = append(have, filepath.Base(f))
	}
	for n := range named {
		found := false
		for _, h := range have {
			ok, _ := filepath.Match(n, h)
			found = found || ok
		}
		if !found {
			t.Errorf("docs/architecture.md names %s, which is not there", n)
		}
	}
}
