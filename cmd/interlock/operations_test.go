package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

var updatePage = flag.Bool("update-operations", false, "write the generated part of docs/operations.md anew")

const operationsPage = "../../docs/operations.md"

// TestOperationsPage sees to it that the page for operators has every code of
// the admin API, and of doctor, as the code explains it.
func TestOperationsPage(t *testing.T) {
	raw, err := os.ReadFile(operationsPage)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	var codes, findings strings.Builder
	codes.WriteString("| code | status | cause | what to do |\n|---|---|---|---|\n")
	for _, c := range admin.Codes() {
		status := "outcome"
		if c.Status != 0 {
			status = fmt.Sprint(c.Status)
		}
		fmt.Fprintf(&codes, "| `%s` | %s | %s | %s |\n", c.Name, status, c.Cause, c.Mend)
	}
	findings.WriteString("| code | severity | means |\n|---|---|---|\n")
	for _, a := range ailments {
		fmt.Fprintf(&findings, "| `%s` | %s | %s |\n", a.Code, a.Severity, a.Means)
	}
	for _, part := range []struct{ what, text string }{{"codes", codes.String()}, {"findings", findings.String()}} {
		begin := "<!-- " + part.what + ": written by go test ./cmd/interlock -run OperationsPage -update-operations -->\n"
		before, rest, ok := strings.Cut(page, begin)
		was, after, closed := strings.Cut(rest, "<!-- end -->")
		if !ok || !closed {
			t.Fatalf("%s has no %q with its end", operationsPage, begin)
		}
		if part.text != was && !*updatePage {
			t.Errorf("the %s of %s are of the past: go test ./cmd/interlock -run OperationsPage -update-operations", part.what, operationsPage)
		}
		page = before + begin + part.text + "<!-- end -->" + after
	}
	if *updatePage {
		if err := os.WriteFile(operationsPage, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestOperationsPageNames sees to it that the page has every reason, event and
// metric that the code names, and none besides.
func TestOperationsPageNames(t *testing.T) {
	page, err := os.ReadFile(operationsPage)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		section string // its heading
		folders []string
		pattern string
		not     []string // which the pattern finds and are something else
	}{
		{"## What a refused or failed call says", []string{"upstream", "gateway", "gateway/bridge"}, `(?:refuse\(|\bReason(?::| =|, f\.Executed =) )"([a-z_]+)"`, nil},
		{"## Events", []string{"gateway"}, `\bKind: +"([a-z_]+)"`, []string{"call", "message", "action", "reload", "sign_in"}}, // lines of the audit
		{"## Metrics", []string{"telemetry"}, `"((?:interlock|mcp)_[a-z_]+_(?:seconds|total|state|availability|depth|tools|active))"`, nil},
	} {
		_, section, ok := strings.Cut(string(page), x.section+"\n")
		if !ok {
			t.Fatalf("no section %q", x.section)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		told := map[string]bool{}
		for row := range strings.Lines(section) {
			if cells := strings.Split(row, "|"); len(cells) > 2 {
				for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
					told[m[1]] = true
				}
			}
		}
		found := map[string]bool{}
		for _, folder := range x.folders {
			for name, text := range sources(t, "../../"+folder) {
				for _, m := range regexp.MustCompile(x.pattern).FindAllStringSubmatch(text, -1) {
					if slices.Contains(x.not, m[1]) {
						continue
					}
					found[m[1]] = true
					if !told[m[1]] {
						t.Errorf("%s: %s has %q, which the page does not tell", x.section, name, m[1])
					}
				}
			}
		}
		if len(found) < 5 {
			t.Errorf("%s: %d words found in the code: the pattern is of the past", x.section, len(found))
		}
		for word := range told {
			inCode := false
			for _, folder := range x.folders {
				for _, text := range sources(t, "../../"+folder) {
					inCode = inCode || strings.Contains(text, `"`+word+`"`)
				}
			}
			if !inCode {
				t.Errorf("%s: the page tells of %q, which no code names", x.section, word)
			}
		}
	}
}

// sources returns the text of a folder's Go files that are no tests, by name.
func sources(t *testing.T, folder string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(folder + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(folder, err)
	}
	out := map[string]string{}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[f] = string(text)
	}
	return out
}
