package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/upstream"
)

func names(cfg *Config) []string {
	var out []string
	for _, u := range cfg.Upstreams {
		out = append(out, u.Name)
	}
	return out
}

func TestEmptyFileHasTheDefaults(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "server:\nupstreams:\n"} {
		cfg := good(t, "c.yaml", text)
		if diff := cmp.Diff(Defaults().Server, cfg.Server); diff != "" {
			t.Errorf("%q: -want +got\n%s", text, diff)
		}
		if !filepath.IsAbs(cfg.StateDir) || len(cfg.Upstreams) != 0 {
			t.Errorf("%q: state_dir %q, upstreams %v", text, cfg.StateDir, cfg.Upstreams)
		}
	}
}

// TestContract reads the keys of the contract, whose values are the defaults.
func TestContract(t *testing.T) {
	cfg, err := Load(options("testdata/good", []string{"TOKEN=t"}, "contract.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	if diff := cmp.Diff(want.Server, cfg.Server, cmp.Comparer(func(a, b []string) bool { return slices.Equal(a, b) })); diff != "" {
		t.Errorf("server: -want +got\n%s", diff)
	}
	if diff := cmp.Diff(want.Names, cfg.Names); diff != "" {
		t.Errorf("names: -want +got\n%s", diff)
	}
	issues := cfg.Upstream("issues")
	if got := issues.Headers["Authorization"]; got != "Bearer t" {
		t.Errorf("Authorization %q", got)
	}
	if want := []upstream.Dependency{{On: "files", Condition: upstream.ConditionRunning}}; !slices.Equal(issues.DependsOn, want) {
		t.Errorf("depends_on %v, want %v", issues.DependsOn, want)
	}
}

func TestAlerts(t *testing.T) {
	cfg := good(t, "c.yaml", `
alerts:
  webhooks:
    - url: https://h.example/${S}
      events: [error, recovered]
      min_down: 90s
      headers: {Authorization: "Bearer ${S}"}
    - {url: "http://127.0.0.1:9000/", timeout: 3s}
`, "S=s3cret")
	want := alert.Config{Webhooks: []alert.Webhook{
		{URL: "https://h.example/s3cret", Events: []alert.Event{alert.Error, alert.Recovered}, MinDown: 90 * time.Second, Headers: map[string]alert.Secret{"Authorization": "Bearer s3cret"}},
		{URL: "http://127.0.0.1:9000/", Timeout: 3 * time.Second},
	}}
	if diff := cmp.Diff(want, cfg.Alerts); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	shown, err := json.Marshal(cfg.Tree()["alerts"])
	if err != nil {
		t.Fatal(err)
	}
	const redacted = `{"webhooks":[{"events":["error","recovered"],"headers":{"Authorization":"***"},"insecure_http":false,"min_down":"1m30s","timeout":"0s","url":"https://h.example/***"},` +
		`{"insecure_http":false,"min_down":"0s","timeout":"3s","url":"http://127.0.0.1:9000/"}]}`
	if string(shown) != redacted {
		t.Errorf("shown as %s", shown)
	}
}

func TestOrderIsThatOfTheFile(t *testing.T) {
	cfg := good(t, "c.yaml", "mcpServers: {z: {command: x}, b: {command: x}}\nupstreams: {y: {command: x}, a.b: {command: x}}\n")
	if got, want := names(cfg), []string{"z", "b", "y", "a.b"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := cfg.Upstreams[3].NamePrefix(); got != "a-b" {
		t.Errorf("the prefix of a.b is %q", got)
	}
	cfg = good(t, "c.toml", "[upstreams.z]\ncommand='x'\n[upstreams.b]\ncommand='x'\n[upstreams.a]\ncommand='x'\n")
	if got, want := names(cfg), []string{"z", "b", "a"}; !slices.Equal(got, want) {
		t.Errorf("TOML: got %v, want %v", got, want)
	}
}

func TestFilesMergeInOrder(t *testing.T) {
	dir := files(t, map[string]string{
		"one.yaml":      "include: sub/base.yaml\nserver: {name: one, max_sessions: 1}\nupstreams:\n  b: {command: x, args: [1, 2], env: {A: a, B: b}}\n",
		"sub/base.yaml": "server: {name: base, path: /base, list_wait: 1s}\nupstreams: {a: {command: base, cwd: here}}\n",
		"two.json":      `{"server": {"max_sessions": 2}, "upstreams": {"b": {"args": ["3"], "env": {"B": "c"}}, "c": {"url": "https://x.example"}}}`,
	})
	cfg, err := Load(options(dir, []string{"INTERLOCK_SERVER__LIST_WAIT=9s", "INTERLOCK_UPSTREAMS__B__PASS_ENV=X, Y", "INTERLOCK_OTHER=1"}, "one.yaml", "two.json"))
	if err != nil {
		t.Fatal(err)
	}
	if s := cfg.Server; s.Name != "one" || s.Path != "/base" || s.MaxSessions != 2 || s.ListWait != 9*time.Second {
		t.Errorf("server %+v", s)
	}
	if got, want := names(cfg), []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("upstreams %v, want %v", got, want)
	}
	b := cfg.Upstream("b")
	if b.Command != "x" || !slices.Equal(b.Args, []string{"3"}) || b.Env["A"] != "a" || b.Env["B"] != "c" || !slices.Equal(b.PassEnv, []string{"X", "Y"}) {
		t.Errorf("b %+v", b)
	}
	if got, want := cfg.Upstream("a").Cwd, filepath.Join(dir, "sub", "here"); got != want {
		t.Errorf("cwd %q, want %q: relative to its own file", got, want)
	}
	want := []string{filepath.Join(dir, "one.yaml"), filepath.Join(dir, "sub", "base.yaml"), filepath.Join(dir, "two.json")}
	if !slices.Equal(cfg.Sources, want) {
		t.Errorf("sources %v, want %v", cfg.Sources, want)
	}
}

func TestFaultsOfMergedFilesNameTheirFile(t *testing.T) {
	dir := files(t, map[string]string{
		"one.yaml": "include: [sub/base.yaml, gone.yaml]\nupstreams: {a: {comand: x}}\n",
		"sub/base.yaml": "upstreams:\n  a: {command: x, call_timeout: -1s}\n" +
			"include: ../one.yaml\n",
	})
	got := faults(t, options(dir, []string{"INTERLOCK_SERVER__LISTN=x", "INTERLOCK_SERVER__MAX_SESSIONS=many"}, "one.yaml"))
	want := []string{
		`one.yaml:1:26: cannot read "gone.yaml": no such file or directory`,
		`one.yaml:2:17: unknown key "comand" (did you mean "command"?)`,
		`sub/base.yaml:2:33: "call_timeout" must not be negative`,
		`sub/base.yaml:3:10: the file includes itself: one.yaml`,
		`INTERLOCK_SERVER__LISTN: unknown key "listn" (did you mean "listen"?)`,
		`INTERLOCK_SERVER__MAX_SESSIONS: "max_sessions" must be a whole number, not ***`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestDefaultsAreUnderEachUpstream(t *testing.T) {
	cfg := good(t, "c.yaml", "defaults: {call_timeout: 1m, env: {A: a}, limits: {queue: 7}, restart: \"no\"}\n"+
		"upstreams:\n  a: {command: x, call_timeout: 2m, env: {B: b}}\n  b: {command: x, limits: {in_flight: 3}}\n")
	a, b := cfg.Upstream("a"), cfg.Upstream("b")
	if a.CallTimeout != 2*time.Minute || b.CallTimeout != time.Minute || a.Env["A"] != "a" || a.Env["B"] != "b" || b.Env["B"] != "" {
		t.Errorf("a %+v\nb %+v", a, b)
	}
	if b.Limits.Queue != 7 || b.Limits.InFlight != 3 || b.Limits.QueueTimeout != 5*time.Second || a.Restart.Policy != upstream.Never {
		t.Errorf("b %+v", b)
	}
}

// TestEnvironmentNamesUpstreams has a name that a variable cannot spell.
func TestEnvironmentNamesUpstreams(t *testing.T) {
	cfg := good(t, "c.yaml", "upstreams: {My-db.x: {command: x}}\n", "INTERLOCK_UPSTREAMS__MY_DB_X__CWD=/srv")
	if got := cfg.Upstreams[0].Cwd; got != "/srv" || len(cfg.Upstreams) != 1 {
		t.Errorf("cwd %q of %v", got, names(cfg))
	}
}

func TestAliases(t *testing.T) {
	cfg, err := Load(options("testdata/good", nil, "aliases.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var policies []upstream.RestartPolicy
	for _, u := range cfg.Upstreams {
		policies = append(policies, u.Restart.Policy)
	}
	if want := []upstream.RestartPolicy{upstream.Never, upstream.Always, upstream.OnFailure}; !slices.Equal(policies, want) {
		t.Errorf("policies %v, want %v", policies, want)
	}
	want := []upstream.Dependency{{On: "database", Condition: upstream.ConditionStarted}, {On: "auth", Condition: upstream.ConditionRunning, Restart: true}}
	if got := cfg.Upstream("api").DependsOn; !slices.Equal(got, want) {
		t.Errorf("depends_on %v, want %v", got, want)
	}
	if got := cfg.Upstream("database").Cwd; got != "/srv" {
		t.Errorf("cwd %q", got)
	}
}

func TestPrefix(t *testing.T) {
	cfg := good(t, "c.yaml", "upstreams: {a: {command: x, prefix: \"\"}, b: {command: x}, c: {command: x, prefix: other}}\n")
	for i, want := range []string{"", "b", "other"} {
		if got := cfg.Upstreams[i].NamePrefix(); got != want {
			t.Errorf("%s: %q, want %q", cfg.Upstreams[i].Name, got, want)
		}
	}
}

func TestYAMLAnchors(t *testing.T) {
	cfg := good(t, "c.yaml", "upstreams:\n  a: &a {command: x, env: {A: a}, tags: [one]}\n  b:\n    <<: *a\n    command: y\n")
	b := cfg.Upstream("b")
	if b.Command != "y" || b.Env["A"] != "a" || !slices.Equal(b.Tags, []string{"one"}) {
		t.Errorf("b %+v", b)
	}
}

func TestScalars(t *testing.T) {
	cfg := good(t, "c.yaml", "server: {max_body: 8 MiB, max_sessions: 0x10}\nupstreams:\n  a:\n    command: x\n    args: [-p, 8080, 1.10, true, \"${N}\"]\n    enabled: ${YES}\n    limits: {in_flight: \"${N}\"}\n    breaker: {ratio: \"0.${N}\"}\n    idle_stop: 0\n    max_message: ${SIZE}\n",
		"N=5", "YES=true", "SIZE=2MiB")
	a := cfg.Upstream("a")
	if want := []string{"-p", "8080", "1.10", "true", "5"}; !slices.Equal(a.Args, want) {
		t.Errorf("args %v, want %v", a.Args, want)
	}
	if cfg.Server.MaxBody != 8<<20 || cfg.Server.MaxSessions != 16 || a.Limits.InFlight != 5 || a.Breaker.Ratio != 0.5 || a.MaxMessage != 2<<20 {
		t.Errorf("%+v %+v", cfg.Server, a)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "65536": 65536, "4MiB": 4 << 20, "4 MiB": 4 << 20, "1.5KiB": 1536, "2GiB": 2 << 30, "1kB": 1000, "1MB": 1e6, "16M": 16 << 20, "7B": 7,
	} {
		if got, ok := parseSize(text); !ok || got != want {
			t.Errorf("%s: %d %v, want %d", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "MiB", "4 mib", "NaN", "1e300", "4MiBs", "0x10MiB MiB"} {
		if got, ok := parseSize(text); ok {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestDiscover(t *testing.T) {
	dir := files(t, map[string]string{"interlock.json": "{}", "interlock.toml": "", "conf/interlock/interlock.yaml": ""})
	o := options(dir, []string{"XDG_CONFIG_HOME=" + filepath.Join(dir, "conf"), "AppData=" + filepath.Join(dir, "conf")})
	for _, want := range []string{"interlock.json", "interlock.toml", filepath.Join("conf", "interlock", "interlock.yaml")} {
		if runtime.GOOS == "darwin" && want[0] == 'c' {
			continue // its config folder is below HOME
		}
		cfg, err := Load(o)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Sources[0]; got != filepath.Join(dir, want) {
			t.Errorf("found %s, want %s", got, want)
		}
		if err := os.Remove(cfg.Sources[0]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStartOnDemand(t *testing.T) {
	cfg := good(t, "c.yaml", "defaults: {idle_stop: 9m}\nupstreams:\n  a: {command: go, start: on_demand, idle_stop: 5m}\n  b: {command: go, idle_stop: 5m}\n  c: {command: go}\n")
	if a := cfg.Upstreams[0]; a.Start != upstream.OnDemand || a.IdleStop != 5*time.Minute {
		t.Errorf("start %q, idle_stop %v", a.Start, a.IdleStop)
	}
	const want = `c.yaml:4:31: "idle_stop" does nothing without start: on_demand (add start: on_demand, or remove it)`
	if len(cfg.Warnings) != 1 || cfg.Warnings[0].String() != want {
		t.Errorf("warnings %v, want %s", cfg.Warnings, want)
	}
}

func TestCommandNotFoundIsAWarning(t *testing.T) {
	o := options(files(t, map[string]string{"c.yaml": "upstreams:\n  a: {command: nonesuch}\n  b: {command: nonesuch, enabled: false}\n"}), nil, "c.yaml")
	o.LookPath = func(string) (string, error) { return "", os.ErrNotExist }
	cfg, err := Load(o)
	if err != nil {
		t.Fatal(err)
	}
	if len(cfg.Warnings) != 1 || cfg.Warnings[0].String() != `c.yaml:2:16: command "nonesuch" is not found (install it, or write its full path)` {
		t.Errorf("warnings %v", cfg.Warnings)
	}
}
