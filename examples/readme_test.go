package examples

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippet is a fenced block of a page. Note is the HTML comment before it,
// which says what it is when it is not a configuration.
type snippet struct {
	page                 string
	line                 int
	language, note, text string
}

// TestReadme runs what README.md, docs/telemetry.md and docs/sign-in.md show: configurations pass
// `interlock validate`, and commands and their flags exist.
func TestReadme(t *testing.T) {
	interlock := build(t)
	for _, page := range []struct {
		file              string
		configs, commands int // at least
	}{
		{"README.md", 3, 5},
		{"docs/telemetry.md", 1, 4},
		{"docs/sign-in.md", 5, 4},
	} {
		t.Run(page.file, func(t *testing.T) {
			configs, commands := runPage(t, interlock, page.file)
			if configs < page.configs || commands < page.commands {
				t.Errorf("found %d configurations and %d commands: does the test still read the page?", configs, commands)
			}
		})
	}
}

// runPage runs what a page shows, and counts it.
func runPage(t *testing.T, interlock, file string) (configs, commands int) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", file))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range snippets(string(raw)) {
		s.page = file
		switch s.language {
		case "yaml":
			if s.note == "" {
				configs++
				validate(t, interlock, s)
			}
		case "json":
			if !json.Valid([]byte(s.text)) {
				t.Errorf("%s:%d: is not JSON", file, s.line)
			}
			if s.note == "" {
				configs++
				validate(t, interlock, s)
			}
		case "sh":
			for line := range strings.Lines(s.text) {
				if rest, ok := strings.CutPrefix(line, "./interlock "); ok {
					commands++
					exists(t, interlock, s, rest)
				}
			}
		}
	}
	return configs, commands
}

// TestConfigs validates the configurations of this folder.
func TestConfigs(t *testing.T) {
	interlock := build(t)
	for _, pattern := range []string{"*.yaml", "*.json"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			if out, err := interlockValidate(t, interlock, file); err != nil {
				t.Errorf("%s: %v\n%s", file, err, out)
			}
		}
	}
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("upstreams: {a: {comand: x}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := interlockValidate(t, interlock, broken); err == nil {
		t.Errorf("a broken configuration is valid:\n%s", out)
	}
}

// build builds the binary under test.
func build(t *testing.T) string {
	t.Helper()
	interlock := filepath.Join(t.TempDir(), "interlock")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", interlock, "../cmd/interlock")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return interlock
}

// validate runs `interlock validate` on a snippet.
func validate(t *testing.T, interlock string, s snippet) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "interlock."+s.language)
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := interlockValidate(t, interlock, file); err != nil {
		t.Errorf("%s:%d: interlock validate: %v\n%s", s.page, s.line, err, out)
	}
}

func interlockValidate(t *testing.T, interlock, file string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), interlock, "validate", "-c", file)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	return cmd.CombinedOutput()
}

// exists checks that the command and the flags of a line are known, without
// running it.
func exists(t *testing.T, interlock string, s snippet, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	help, err := exec.CommandContext(t.Context(), interlock, words[0], "--help").CombinedOutput()
	if err != nil || bytes.Contains(help, []byte("unknown command")) || !bytes.Contains(help, []byte("interlock "+words[0])) {
		t.Errorf("%s:%d: no command %q: %v\n%s", s.page, s.line, words[0], err, help)
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") && !regexp.MustCompile(`(^|[\s,])`+regexp.QuoteMeta(word)+`\b`).Match(help) {
			t.Errorf("%s:%d: interlock %s has no %s:\n%s", s.page, s.line, words[0], word, help)
		}
	}
}

func snippets(text string) []snippet {
	var all []snippet
	var now *snippet
	note := ""
	n := 0
	for line := range strings.Lines(text) {
		n++
		trimmed := strings.TrimSpace(line)
		switch {
		case now == nil && strings.HasPrefix(trimmed, "<!--"):
			note = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(trimmed, "<!--"), "-->"))
		case now == nil && strings.HasPrefix(trimmed, "```"):
			now = &snippet{line: n, language: strings.TrimPrefix(trimmed, "```"), note: note}
		case now != nil && trimmed == "```":
			all = append(all, *now)
			now, note = nil, ""
		case now != nil:
			now.text += line
		case trimmed != "":
			note = ""
		}
	}
	return all
}
