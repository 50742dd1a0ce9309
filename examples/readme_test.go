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

// snippet is a fenced block of README.md. Note is the HTML comment before it,
// which says what it is when it is not a configuration.
type snippet struct {
	line                 int
	language, note, text string
}

// TestReadme runs what README.md shows: configurations pass `interlock
// validate`, and commands and their flags exist.
func TestReadme(t *testing.T) {
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	interlock := filepath.Join(dir, "interlock")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", interlock, "../cmd/interlock")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}

	configs, commands := 0, 0
	for _, s := range snippets(string(raw)) {
		switch s.language {
		case "yaml":
			configs++
			validate(t, interlock, dir, s)
		case "json":
			if !json.Valid([]byte(s.text)) {
				t.Errorf("README.md:%d: is not JSON", s.line)
			}
			if s.note == "" {
				configs++
				validate(t, interlock, dir, s)
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
	if configs < 3 || commands < 5 {
		t.Errorf("found %d configurations and %d commands: does the test still read the README?", configs, commands)
	}
}

// validate runs `interlock validate` on a snippet.
func validate(t *testing.T, interlock, dir string, s snippet) {
	t.Helper()
	file := filepath.Join(dir, "interlock."+s.language)
	if err := os.WriteFile(file, []byte(s.text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), interlock, "validate", "-c", file)
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("README.md:%d: interlock validate: %v\n%s", s.line, err, out)
	}
}

// exists checks that the command and the flags of a line are known, without
// running it.
func exists(t *testing.T, interlock string, s snippet, line string) {
	t.Helper()
	line, _, _ = strings.Cut(line, "#")
	words := strings.Fields(line)
	help, err := exec.CommandContext(t.Context(), interlock, words[0], "--help").CombinedOutput()
	if err != nil || bytes.Contains(help, []byte("unknown command")) || !bytes.Contains(help, []byte("interlock "+words[0])) {
		t.Errorf("README.md:%d: no command %q: %v\n%s", s.line, words[0], err, help)
	}
	for _, word := range words[1:] {
		if strings.HasPrefix(word, "-") && !regexp.MustCompile(`(^|[\s,])`+regexp.QuoteMeta(word)+`\b`).Match(help) {
			t.Errorf("README.md:%d: interlock %s has no %s:\n%s", s.line, words[0], word, help)
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
