package examples

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestSignInPage sees to it that docs/sign-in.md tells of each key of auth and of each
// reason for a sign-in, and of none besides.
func TestSignInPage(t *testing.T) {
	raw, err := os.ReadFile("../docs/sign-in.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		section, source, pattern string
		atLeast                  int
	}{
		{"## The key `auth`", "../upstream/oauth/config.go", `koanf:"([a-z_]+)"`, 10},
		{"## What the states mean", "../upstream/oauth/refusal.go", `Why = "([a-z_]+)"`, 7},
	} {
		_, section, ok := strings.Cut(string(raw), x.section+"\n")
		if !ok {
			t.Fatalf("no section %q", x.section)
		}
		section, _, _ = strings.Cut(section, "\n## ")
		told := map[string]bool{}
		for line := range strings.Lines(section) {
			if cells := strings.Split(line, "|"); len(cells) > 2 {
				for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
					told[m[1]] = true
				}
			}
		}
		source, err := os.ReadFile(x.source)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile(x.pattern).FindAllStringSubmatch(string(source), -1)
		if len(found) < x.atLeast {
			t.Errorf("%s has %d words: the pattern is of the past", x.source, len(found))
		}
		for _, m := range found {
			if !told[m[1]] {
				t.Errorf("%q does not tell of %q", x.section, m[1])
			}
			delete(told, m[1])
		}
		for word := range told {
			t.Errorf("%q tells of %q, which is not in %s", x.section, word, x.source)
		}
	}
}
