package examples_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page of faults has a row for each, and every test and drill that it names
// is there.
func TestFaultsPage(t *testing.T) {
	page, err := os.ReadFile("../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	drills := sources(t, "../examples/chaos/drill_*.go")
	named := regexp.MustCompile("`(?:([a-z0-9/]+)\\.)?(Test[A-Za-z0-9]+)`")
	rows := make(map[string]string)
	for line := range strings.Lines(string(page)) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| F") {
			rows[strings.TrimPrefix(cells[0], "| ")] = line
		}
	}
	for n := 1; n <= 37; n++ {
		row, ok := rows[fmt.Sprintf("F%d", n)]
		tests := named.FindAllStringSubmatch(row, -1)
		if !ok || len(tests) == 0 {
			t.Errorf("F%d has no row, or a row without a test: %s", n, row)
		}
		for _, test := range tests {
			dir := test[1]
			if dir == "" {
				dir = "upstream"
			}
			if !strings.Contains(sources(t, "../"+dir+"/*_test.go"), "\nfunc "+test[2]+"(t *testing.T) {") {
				t.Errorf("F%d names %s, which is not in %s", n, test[2], dir)
			}
		}
		if drilled := strings.Contains(row, "drill: "); drilled != strings.Contains(drills, fmt.Sprintf(`{fault: "F%d"`, n)) {
			t.Errorf("F%d: the page says that there is a drill: %v", n, drilled)
		}
	}
}

// sources are the files of a pattern, one after the other.
func sources(t *testing.T, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	return all.String()
}
