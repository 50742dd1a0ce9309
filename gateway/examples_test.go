package gateway

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// builds is how an example says what of it is to be built first.
var builds = regexp.MustCompile(`(?m)^#\s+go build -o (examples/\S+) (\./examples/\S+)$`)

// Each example of a policy is a configuration that is valid, starts, and decides on
// calls. The servers in them are scripted.
func TestPolicyExamples(t *testing.T) {
	const folder = "../examples/policies"
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no examples in %s: %v", folder, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			// A copy, since what is built or written is beside the file.
			root := t.TempDir()
			copied := filepath.Join(root, "examples", "policies", filepath.Base(file))
			if err := os.MkdirAll(filepath.Dir(copied), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied, text, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, b := range builds.FindAllStringSubmatch(string(text), -1) {
				if testing.Short() {
					t.Skip("builds a program")
				}
				cmd := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(root, b[1]), b[2])
				cmd.Dir = ".."
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", cmd.Args, out)
				}
			}
			cfg, err := config.Load(config.LoadOptions{
				Files: []string{copied}, Environ: append(os.Environ(), "INTERLOCK_STATE_DIR="+filepath.Join(root, "state")),
				LookPath: func(string) (string, error) { return "/bin/true", nil },
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(cfg.Policies) == 0 {
				t.Fatal("it has no policy")
			}
			for _, p := range cfg.Policies {
				if p.Plugin != nil { // a machine that is busy takes longer
					p.Plugin.Timeout, p.Plugin.StartTimeout, p.Plugin.Health.Timeout = time.Minute, time.Minute, time.Minute
				}
			}
			d := new(linktest.Dialer)
			for _, u := range cfg.Upstreams {
				d.Server(u.Name).Tools, d.Server(u.Name).OnRequest = []string{"do"}, echo
			}
			r := startWith(t, cfg, Options{Dialer: d}).running()
			c := r.connect(`{}`)
			for _, u := range cfg.Upstreams {
				got := c.post(calls("1", u.NamePrefix()+"__do", `{}`))
				if got.status != 200 || strings.Contains(got.body, "could not decide") {
					t.Errorf("a call of %s: %d %s", u.Name, got.status, got.body)
				}
			}
			all := r.Policies()
			if len(all) != len(cfg.Policies) {
				t.Errorf("%d policies of %d", len(all), len(cfg.Policies))
			}
			for _, p := range all {
				if p.Kind == "" || p.Decisions["error"] > 0 {
					t.Errorf("policy %+v", p)
				}
			}
		})
	}
}
