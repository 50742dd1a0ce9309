package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzLoad holds that no file makes Load panic, that what it returns is an
// *Errors whose places are in the file, and that what it accepts it accepts
// again.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/good/*", "testdata/bad/*.yaml", "testdata/clients/*"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			f.Fatalf("%s: %v %v", pattern, found, err)
		}
		for _, name := range found {
			data, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			kind := strings.Index("yaml json toml", strings.TrimPrefix(filepath.Ext(name), ".")) / 5
			f.Add(data, byte(max(0, kind)))
		}
	}
	f.Add([]byte("a: &x {b: *x}\n<<: *x\n? [a]: b\n"), byte(0))
	f.Add([]byte("[[upstreams.a]]\n[upstreams.a.b]\nx.y.z = {a.b = 1}\n"), byte(2))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, kind byte) {
		if strings.Contains(string(data), "file:") || strings.Contains(string(data), "include") {
			return // it reads other files
		}
		name := []string{"c.yaml", "c.json", "c.toml"}[kind%3]
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		o := options(dir, []string{"A=b", "TOKEN=x"}, name)
		_, err := Load(o)
		if err == nil {
			return
		}
		var e *Errors
		if !errors.As(err, &e) || len(e.Problems) == 0 {
			t.Fatalf("not *Errors: %v", err)
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range e.Problems {
			if p.Text == "" || p.File == "" || p.Line < 0 || p.Line > lines+1 || p.Line > 0 && p.Col < 1 {
				t.Errorf("a problem without its place: %+v", p)
			}
			if strings.Contains(p.Text, "cannot be decoded") {
				t.Errorf("the check and the types disagree: %s", p)
			}
		}
		var out strings.Builder
		e.Render(&out, false)
	})
}
