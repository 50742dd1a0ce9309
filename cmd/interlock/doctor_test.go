//go:build !windows

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// examined runs interlock doctor in a folder with that configuration.
func examined(t *testing.T, file string, args ...string) (diagnosis, int) {
	t.Helper()
	var stderr bytes.Buffer
	p := launch(t, map[string]string{"interlock.yaml": file}, &stderr, append([]string{"doctor", "-o", "json"}, args...)...)
	code := p.wait()
	var told diagnosis
	if err := json.Unmarshal([]byte(strings.Join(p.seen, "\n")), &told); err != nil {
		t.Fatalf("%v: %s%s", err, strings.Join(p.seen, "\n"), &stderr)
	}
	return told, code
}

// codes are those of the findings about an upstream, "" for no upstream, but for
// notes, and limits of the machine that the test happens to run on.
func (d *diagnosis) codes(name string) []string {
	var out []string
	for _, f := range d.Findings {
		if f.Upstream == name && f.Severity != isNote && !strings.HasPrefix(f.Code, "limit_") {
			out = append(out, f.Code)
		}
	}
	return out
}

func (d *diagnosis) of(code string) *finding {
	if i := slices.IndexFunc(d.Findings, func(f finding) bool { return f.Code == code }); i >= 0 {
		return &d.Findings[i]
	}
	return new(finding)
}

const demoClock = "command: interlock, args: [__demo, clock]"

// Each upstream has its own illness, and one has none.
func TestDoctorFindsEach(t *testing.T) {
	says := func(status int) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(s.Close)
		return s.URL + "/mcp"
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secure.Close)
	nobody := addrtest.Free(t)
	told, code := examined(t, fmt.Sprintf(`server: {listen: '127.0.0.1:0'}
upstreams:
  well: {%s}
  gone: {command: no-such-program}
  nowhere: {command: sh, cwd: /no/such/folder}
  wants: {command: sh, args: ["-c", "echo 'Error: GADGET_API_KEY is required' >&2; exit 3"]}
  hung: {command: sleep, args: ["60"], start_timeout: 300ms, protocol: legacy}
  after: {%s, depends_on: [wants]}
  locked: {url: '%s'}
  barred: {url: '%s'}
  down: {url: 'http://%s/mcp'}
  strange: {url: '%s/mcp'}
  other: {url: '%s'}
  twin: {%s, prefix: same}
  twin2: {%s, prefix: same}
  long: {%s, tools: {rename: {now: what-time-it-is-now-in-any-time-zone-of-the-world}}}
`, demoClock, demoClock, says(401), says(403), nobody, secure.URL, says(404), demoClock, demoClock, demoClock))
	if code != exitUnhealthy || told.Healthy {
		t.Errorf("exit code %d, healthy %v", code, told.Healthy)
	}
	for name, want := range map[string][]string{
		"":        nil,
		"well":    nil,
		"gone":    {"command_missing"},
		"nowhere": {"cwd_missing"},
		"wants":   {"start_failed", "variable_wanted"},
		"hung":    {"start_timeout"},
		"after":   nil, // a note: what it needs failed
		"locked":  {"needs_auth"},
		"barred":  {"auth_refused"},
		"down":    {"upstream_unreachable"},
		"strange": {"tls_failed"},
		"other":   {"start_failed"},
		"twin2":   {"name_collision", "name_collision", "name_collision"},
	} {
		if diff := cmp.Diff(want, told.codes(name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if f := told.of("dependency_failed"); f.Upstream != "after" || !strings.Contains(f.Text, "wants") {
		t.Errorf("got %+v", f)
	}
	if f := told.of("variable_wanted"); !strings.Contains(f.Mend, `env: {GADGET_API_KEY: "${GADGET_API_KEY}"}`) {
		t.Errorf("got %+v", f)
	}
	if f := told.of("start_failed"); len(f.Stderr) == 0 || !strings.Contains(f.Mend, "sh -c 'echo") {
		t.Errorf("got %+v", f)
	}
	if f := told.of("name_too_long"); f.Upstream != "long" {
		t.Errorf("got %+v", f)
	}
	for _, s := range told.Starts {
		if s.Name == "well" && (!s.OK || s.Protocol == "" || s.Tools != 3 || s.stage("spawn") <= 0 || s.stage("handshake") <= 0 || s.Took <= 0) {
			t.Errorf("got %+v", s)
		}
	}
	for _, f := range told.Findings {
		if f.Severity != isNote && (f.Text == "" || f.Mend == "") {
			t.Errorf("%s of %q does not say what to do: %+v", f.Code, f.Upstream, f)
		}
	}
}

// A server that ignores server/discover costs its gateway a second at the first
// start; doctor measures what the key saves.
func TestDoctorMeasuresTheEra(t *testing.T) {
	// It starts no other programs: what they take would be part of what is measured.
	const mute = `while read -r l; do
  id=$${l#*'"id":'}; id=$${id%%[!0-9]*}
  case $l in *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-06-18","capabilities":{},"serverInfo":{"name":"mute","version":"1"}}}';; esac
done`
	quoted, err := json.Marshal(mute)
	if err != nil {
		t.Fatal(err)
	}
	file := "server: {listen: '127.0.0.1:0'}\nupstreams:\n  mute: {command: sh, args: [-c, " + string(quoted) + "]}\n  quick: {" + demoClock + "}\n"
	told, code := examined(t, file)
	for range 5 { // a busy machine may hide what is saved
		if told.of("protocol_worth_setting").Code == "" {
			told, code = examined(t, file)
		}
	}
	if f := told.of("protocol_worth_setting"); f.Upstream != "mute" || !strings.Contains(f.Mend, "protocol: legacy") {
		t.Errorf("got %+v", told.Findings)
	}
	if diff := cmp.Diff([]string{"offers_nothing"}, told.codes("mute")); diff != "" || code != 0 {
		t.Errorf("exit code %d: %s", code, diff)
	}
	if f := told.of("era"); f.Text != "it speaks 2025-06-18" {
		t.Errorf("got %+v", f)
	}
}

func TestDoctorLooksAtTheMachine(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dead := t.TempDir()
	sock, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dead, "admin.sock"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	sock.SetUnlinkOnClose(false)
	_ = sock.Close()
	notDir := filepath.Join(dead, "file")
	put(t, notDir, "")
	for _, tt := range []struct {
		name, file string
		want       []string
		code       int
	}{
		{"nothing", "server: {listen: '127.0.0.1:0'}", nil, 0},
		{"a taken port", "server: {listen: '" + l.Addr().String() + "'}", []string{"port_taken"}, 4},
		{"a dead socket", "server: {listen: '127.0.0.1:0'}\nstate_dir: " + dead, []string{"socket_dead"}, 0},
		{"a state_dir that is a file", "server: {listen: '127.0.0.1:0'}\nadmin: {listen: '127.0.0.1:0'}\nstate_dir: " + notDir, []string{"state_dir_unwritable"}, 4},
		{"a long path", "server: {listen: '127.0.0.1:0'}\nstate_dir: " + filepath.Join(dead, strings.Repeat("x", 100)), []string{"socket_path_too_long"}, 4},
		{"a fault and a variable", "server: {lissen: '127.0.0.1:0', name: \"${NOT_SET_ANYWHERE}\"}", []string{"config_invalid", "variable_unset"}, 4},
		{"a warning", "server: {listen: '127.0.0.1:0'}\nmcpServers: {'a b': {command: sh, disabled: true}}", []string{"config_warning"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			told, code := examined(t, tt.file+"\n", "--no-start")
			if diff := cmp.Diff(tt.want, told.codes("")); diff != "" || code != tt.code {
				t.Errorf("exit code %d, want %d: %s%+v", code, tt.code, diff, told.Findings)
			}
		})
	}
}

func TestDoctorKnowsLimits(t *testing.T) {
	d := &doctor{cfg: &config.Config{Upstreams: []upstream.Config{{Name: "a", Enabled: true, Command: "sh", Isolation: upstream.PerSession, Limits: upstream.Limits{Processes: 64}}}}}
	d.cfg.Server.MaxSessions = 1 << 40
	d.files()
	if f := d.told.of("limit_files"); !strings.Contains(f.Mend, "ulimit -n") {
		t.Errorf("got %+v", d.told.Findings)
	}
	put(t, filepath.Join(t.TempDir(), "x"), "")
	file := filepath.Join(t.TempDir(), "interlock.yaml")
	put(t, file, "")
	d.told = diagnosis{Files: []string{file}}
	d.clock(time.Now())
	if len(d.told.Findings) != 0 {
		t.Errorf("the clock is right: %+v", d.told.Findings)
	}
	d.clock(time.Now().AddDate(-10, 0, 0))
	if d.told.of("clock_wrong").Text == "" {
		t.Error("a clock of ten years ago is not found")
	}
	if why := unwatchable([]string{file}); why != "" {
		t.Logf("this machine: %s", why)
	}
}

// Every ailment that the code names is in the table, and none is there for
// nothing.
func TestAilments(t *testing.T) {
	var source strings.Builder
	files, err := filepath.Glob("doctor*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f == "doctor_codes.go" || strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	seen := map[string]bool{}
	for _, a := range ailments {
		if seen[a.Code] || !strings.HasSuffix(a.Means, ".") || a.Severity != isError && a.Severity != isWarning && a.Severity != isNote {
			t.Errorf("%+v", a)
		}
		seen[a.Code] = true
		if !strings.Contains(source.String(), `"`+a.Code+`"`) {
			t.Errorf("nothing finds %s", a.Code)
		}
	}
	for _, field := range strings.Split(source.String(), `Code: "`)[1:] {
		code, _, _ := strings.Cut(field, `"`)
		if !seen[code] {
			t.Errorf("%s is not in the table", code)
		}
	}
}

func TestDoctorTalksOfTheGateway(t *testing.T) {
	for _, tt := range []struct {
		u    admin.Upstream
		want string
	}{
		{admin.Upstream{State: "error", LastFailure: &admin.Failure{Stage: "spawn"}}, "upstream_error"},
		{admin.Upstream{State: "error", Exhausted: true}, "upstream_exhausted"},
		{admin.Upstream{State: "error", LastFailure: &admin.Failure{Stage: "dependency", Message: "files failed"}}, "dependency_failed"},
		{admin.Upstream{State: "stopped"}, "upstream_stopped"},
		{admin.Upstream{State: "unknown", Health: "degraded"}, "upstream_degraded"},
		{admin.Upstream{State: "running", Health: "healthy", SkippedLines: 3}, "stdout_noise"},
	} {
		d := new(doctor)
		d.running(tt.u)
		if len(d.told.Findings) != 1 || d.told.Findings[0].Code != tt.want || d.told.Findings[0].Text == "" {
			t.Errorf("%+v: got %+v, want %s", tt.u, d.told.Findings, tt.want)
		}
	}
	d := new(doctor)
	d.running(admin.Upstream{State: "running", Health: "healthy"})
	if len(d.told.Findings) != 0 {
		t.Errorf("got %+v", d.told.Findings)
	}
}

func TestDoctorKnowsDownloads(t *testing.T) {
	for _, tt := range []struct {
		u    upstream.Config
		want string
	}{
		{upstream.Config{Command: "/usr/bin/npx", Args: []string{"-y", "x"}}, "npx"},
		{upstream.Config{Command: "npx.cmd"}, "npx"},
		{upstream.Config{Command: "uvx"}, "uvx"},
		{upstream.Config{Command: "docker", Args: []string{"run", "x"}}, "docker run"},
		{upstream.Config{Command: "node", Args: []string{"x.js"}}, ""},
		{upstream.Config{Command: "npm", Args: []string{"start"}}, ""},
	} {
		if got := downloader(&tt.u); got != tt.want {
			t.Errorf("%v: got %q, want %q", tt.u.Command, got, tt.want)
		}
	}
	d := &doctor{cfg: new(config.Config)}
	u := &upstream.Config{Name: "a", Command: "npx", StartTimeout: 2 * time.Minute}
	d.succeeded(u, trial{Took: 4, Tools: 1})
	u.Command = "slow-server"
	d.succeeded(u, trial{Took: 14, Tools: 1, Stages: []admin.Stage{{Name: "spawn", Took: 1}, {Name: "handshake", Took: 13}}})
	if f := d.told.of("start_downloads"); !strings.Contains(f.Text, "npx looks for its package") {
		t.Errorf("got %+v", d.told.Findings)
	}
	if f := d.told.of("start_slow"); !strings.Contains(f.Text, "handshake") {
		t.Errorf("got %+v", d.told.Findings)
	}
}
