package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain makes the test's own program the servers of the stories.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-serve" {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// Each attack works without what is made to stop it, and not with it.
func TestStories(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "interlock")
	if err := build(t.Context(), binary, os.Stderr); err != nil {
		t.Fatal(err)
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := run(t.Context(), []string{"-interlock", binary, s.name}, &out, os.Stderr); err != nil {
				t.Errorf("%v\n%s", err, out.String())
			}
			if got := out.String(); strings.Count(got, "the attack works") != 1 || strings.Count(got, "stopped") != 1 {
				t.Errorf("printed:\n%s", got)
			}
		})
	}
}
