package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestCases puts the cases in policies/cases through the configurations of the same
// names.
func TestCases(t *testing.T) {
	interlock := build(t)
	files, err := filepath.Glob("policies/cases/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, cases := range files {
		cmd := exec.CommandContext(t.Context(), interlock, "policy", "test", "-c", filepath.Join("policies", filepath.Base(cases)), cases)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", cases, err, out)
		}
	}
}
