package schema

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// suite is where the official tests of JSON Schema are: a module that others of
// ours need anyway has a copy.
func suite(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/jsonschema-go").Output()
	dir := filepath.Join(strings.TrimSpace(string(out)), "jsonschema", "testdata")
	if err != nil || !filepath.IsAbs(dir) {
		t.Skipf("the module with the suite is not here: %v", err)
	}
	return dir
}

func TestSuite(t *testing.T) {
	root := suite(t)
	for draft, uri := range map[string]string{
		"draft2020-12": "https://json-schema.org/draft/2020-12/schema",
		"draft7":       "http://json-schema.org/draft-07/schema#",
	} {
		files, err := filepath.Glob(filepath.Join(root, draft, "*.json"))
		if err != nil || len(files) < 30 {
			t.Fatalf("%d files of %s: %v", len(files), draft, err)
		}
		ran, skipped := 0, 0
		for _, file := range files {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var groups []struct {
				Description string
				Schema      json.RawMessage
				Tests       []struct {
					Description string
					Data        json.RawMessage
					Valid       bool
				}
			}
			if err := json.Unmarshal(raw, &groups); err != nil {
				t.Fatal(err)
			}
			for _, g := range groups {
				schema := g.Schema
				if schema[0] == '{' && !strings.Contains(string(schema), `"$schema"`) {
					schema = append([]byte(`{"$schema": "`+uri+`", `), schema[1:]...)
					schema = []byte(strings.Replace(string(schema), ", }", "}", 1))
				}
				s, err := Compile(schema)
				if err != nil {
					unusable, ok := errors.AsType[*UnusableError](err)
					switch {
					case ok && strings.Contains(unusable.Why, "none is ever fetched"), ok && strings.Contains(unusable.Why, "RE2 cannot"),
						ok && strings.Contains(unusable.Why, "neither 2020-12 nor draft-07"), ok && strings.Contains(unusable.Why, "changes its draft"):
						skipped++
					default:
						t.Errorf("%s/%s: %s: %v", draft, filepath.Base(file), g.Description, err)
					}
					continue
				}
				for _, c := range g.Tests {
					ran++
					faults, err := s.Validate(c.Data)
					if err != nil || (len(faults) == 0) != c.Valid {
						t.Errorf("%s/%s: %s: %s: valid %v\nschema %s\ndata %s\nfaults %v, error %v",
							draft, filepath.Base(file), g.Description, c.Description, c.Valid, schema, c.Data, faults, err)
					}
				}
			}
		}
		t.Logf("%s: %d tests, %d schemas of which cannot be used", draft, ran, skipped)
		if skipped > 40 {
			t.Errorf("%s: %d schemas cannot be used", draft, skipped)
		}
	}
}
