package examples

import (
	"os"
	"strings"
	"testing"
)

// TestObservabilityPage looks whether the commands of Interlock exist that
// observability/README.md gives.
func TestObservabilityPage(t *testing.T) {
	raw, err := os.ReadFile("observability/README.md")
	if err != nil {
		t.Fatal(err)
	}
	interlock := build(t)
	commands := 0
	for _, s := range snippets(string(raw)) {
		for line := range strings.Lines(s.text) {
			if rest, ok := strings.CutPrefix(line, "interlock "); ok && s.language == "sh" {
				commands++
				exists(t, interlock, s, rest)
			}
		}
	}
	if commands < 3 {
		t.Errorf("found %d commands", commands)
	}
}
