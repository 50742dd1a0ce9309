package config

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVariables(t *testing.T) {
	dir := files(t, map[string]string{"secret": "s3cret\r\n", "sub/other": "o"})
	env := []string{"A=a", "EMPTY=", "B=b$A${A}"}
	for _, tt := range []struct{ in, want string }{
		{"${A}", "a"},
		{"x${A}y${A}", "xaya"},
		{"${env:A}", "a"},
		{"${EMPTY}", ""},
		{"${EMPTY:-d}", "d"},
		{"${GONE:-d e}", "d e"},
		{"${GONE:-}", ""},
		{"${GONE:-${A}}", "a"},
		{"${GONE:-${GONE:-${A}}}", "a"},
		{"${A:-d}", "a"},
		{"${A:?why}", "a"},
		{"${B}", "b$A${A}"}, // a value is not expanded again
		{"${file:secret}", "s3cret"},
		{"${file:sub/other}", "o"},
		{"${file:" + filepath.Join(dir, "secret") + "}", "s3cret"},
		{"${keyring:known}", "from-keyring"},
		{"$$", "$"},
		{"$${A}", "${A}"},
		{"$$$${A}", "$${A}"},
		{"$A 5$ $", "$A 5$ $"},
		{"a: {b}", "a: {b}"},
	} {
		text := "upstreams: {a: {command: x, args: ['" + tt.in + "']}}"
		if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := Load(options(dir, env, "c.yaml"))
		if err != nil {
			t.Errorf("%s: %v", tt.in, err)
			continue
		}
		if got := cfg.Upstreams[0].Args[0]; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestBadVariables(t *testing.T) {
	const forms = "${VAR}, ${VAR:-default}, ${VAR:?message}, ${env:VAR}, ${file:path} or ${keyring:name}; write $${ for a literal ${"
	for _, tt := range []struct{ in, want string }{
		{"${GONE}", "variable GONE is not set (set it, or give a default: ${GONE:-...})"},
		{"${env:GONE}", "variable GONE is not set (set it, or give a default: ${GONE:-...})"},
		{"${EMPTY:?say why}", "variable EMPTY: say why (set it where interlock is started)"},
		{"${GONE:?}", "variable GONE: is not set (set it where interlock is started)"},
		{"${GONE:-${GONE}}", "variable GONE is not set (set it, or give a default: ${GONE:-...})"},
		{"${A", "a ${ without its } (write $${ for a literal ${)"},
		{"${}", "${} is not a form of variable (" + forms + ")"},
		{"${A-B}", "${A-B} is not a form of variable (" + forms + ")"},
		{"${vault:x}", "${vault:x} is not a form of variable (" + forms + ")"},
		{"${input:key}", "the client asks a person for ${input:key}, which interlock cannot (use a variable such as ${TOKEN})"},
		{"${file:gone}", `cannot read "gone": no such file or directory`},
		{"${file:}", "${file:} names no file"},
		{"${keyring:gone}", `keyring entry "gone": not there`},
		{"${userHome}", "variable userHome is not set (set it, or give a default: ${userHome:-...})"}, // only in clients' blocks
	} {
		text := "upstreams:\n  a:\n    command: x\n    args: ['" + tt.in + "']\n"
		got := faults(t, options(files(t, map[string]string{"c.yaml": text}), []string{"A=a", "EMPTY="}, "c.yaml"))
		if diff := cmp.Diff([]string{"c.yaml:4:12: " + tt.want}, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", tt.in, diff)
		}
	}
}

// TestVariablesAreScalars has a value that would be YAML if it were expanded
// before parsing.
func TestVariablesAreScalars(t *testing.T) {
	cfg := good(t, "c.yaml", "upstreams: {a: {command: x, args: [\"${EVIL}\"]}}", `EVIL=x"], env: {A: b}, tags: ["y`)
	if got := cfg.Upstreams[0]; len(got.Args) != 1 || len(got.Env) != 0 || len(got.Tags) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestSecretFileThatAllMayRead(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("files have no mode there")
	}
	dir := files(t, map[string]string{
		"c.yaml": "upstreams: {a: {command: x, env: {K: \"${file:secret}\"}}}\n",
		"d.yaml": "insecure_files: true\n", "secret": "s3cret",
	})
	if got := faults(t, options(dir, nil, "c.yaml")); got != nil {
		t.Errorf("mode 0600: %v", got)
	}
	if err := os.Chmod(filepath.Join(dir, "secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{`c.yaml:1:38: "secret" can be read by every user of this machine (chmod o-r, or set insecure_files: true)`}
	if diff := cmp.Diff(want, faults(t, options(dir, nil, "c.yaml"))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	cfg, err := Load(options(dir, nil, "c.yaml", "d.yaml"))
	if err != nil {
		t.Fatalf("insecure_files: %v", err)
	}
	if got := strings.Join(cfg.Sources, " "); !strings.Contains(got, filepath.Join(dir, "secret")) {
		t.Errorf("sources %s lack the file of the secret", got)
	}
}

func TestInsecureSwitches(t *testing.T) {
	good(t, "c.yaml", "server: {listen: \"0.0.0.0:7777\", insecure_listen: true}\n")
	good(t, "c.yaml", "upstreams: {a: {url: \"http://x.example/\", headers: {Authorization: x}, insecure_http: true}}\n")
	good(t, "c.yaml", "upstreams: {a: {url: \"http://localhost:1/\", headers: {Authorization: x}}}\n")
	good(t, "c.yaml", "server: {listen: \"[::1]:7777\"}\n")
}
