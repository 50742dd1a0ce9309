package examples

import (
	"encoding/json"
	"os"
	"testing"
)

// TestAlertsPage validates what docs/alerts.md shows.
func TestAlertsPage(t *testing.T) {
	raw, err := os.ReadFile("../docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	interlock := build(t)
	shown := 0
	for _, s := range snippets(string(raw)) {
		switch s.language {
		case "yaml":
			shown++
			validate(t, interlock, s)
		case "json":
			shown++
			if !json.Valid([]byte(s.text)) {
				t.Errorf("docs/alerts.md:%d: is not JSON", s.line)
			}
		}
	}
	if shown != 2 {
		t.Errorf("found %d snippets, want 2", shown)
	}
}
