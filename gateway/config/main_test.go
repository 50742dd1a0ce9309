package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files writes files into a folder and returns it.
func files(t testing.TB, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func options(dir string, environ []string, names ...string) LoadOptions {
	return LoadOptions{
		Files: names, Dir: dir, Environ: append([]string{"HOME=" + dir}, environ...),
		LookPath: func(c string) (string, error) { return c, nil },
		Keyring: func(name string) (string, error) {
			if name == "known" {
				return "from-keyring", nil
			}
			return "", errors.New("not there")
		},
	}
}

// good loads one file that must be fine.
func good(t *testing.T, name, text string, environ ...string) *Config {
	t.Helper()
	cfg, err := Load(options(files(t, map[string]string{name: text}), environ, name))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// faults loads files and returns the errors, one a line.
func faults(t *testing.T, o LoadOptions) []string {
	t.Helper()
	_, err := Load(o)
	if err == nil {
		return nil
	}
	var e *Errors
	if !errors.As(err, &e) {
		t.Fatalf("not *Errors: %v", err)
	}
	return strings.Split(e.Error(), "\n")
}
