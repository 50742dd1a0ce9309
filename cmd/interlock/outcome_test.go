package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/interlock-mcp/interlock/gateway/admin"
)

func TestOutcomeLines(t *testing.T) {
	for _, tt := range []struct {
		verb string
		o    admin.Outcome
		want []string
	}{
		{"start", admin.Outcome{Name: "a", OK: true, Done: true, State: "running", With: []string{"b", "c"}}, []string{"a  running after 1.50s", "  with it: b, c"}},
		{"stop", admin.Outcome{Name: "a", OK: true, State: "running", Left: []string{"web"}}, []string{"a  stop ordered, now running", "  running without it: web"}},
		{"remove", admin.Outcome{Name: "a", OK: true, Done: true, Notes: []string{"the file has it"}}, []string{"a  removed after 1.50s", "  the file has it"}},
		{"remove", admin.Outcome{Name: "a", OK: true}, []string{"a  remove ordered"}},
		{"add", admin.Outcome{Name: "a", OK: true, Done: true, Notes: []string{"it is disabled"}}, []string{"a  added after 1.50s", "  it is disabled"}},
		{"add", admin.Outcome{Name: "a", Error: &admin.Fault{Code: "start_failed", Detail: "no luck"}}, []string{"a  added, not started: no luck [start_failed]"}},
		{"add", admin.Outcome{Name: "a", Error: &admin.Fault{Code: "exists", Detail: "it is there"}}, []string{"a  not added: it is there [exists]"}},
		{
			"restart",
			admin.Outcome{Name: "a", Error: &admin.Fault{Code: "start_failed", Detail: "no\nluck", Mend: "try again"}},
			[]string{"a  not restarted: no luck [start_failed]", "  try again"},
		},
	} {
		if diff := cmp.Diff(tt.want, on(0, func(s *screen) { s.outcome(tt.verb, tt.o, 1500*time.Millisecond) })); diff != "" {
			t.Error(diff)
		}
	}
}

func TestPlanLines(t *testing.T) {
	p := &admin.Plan{
		Added: []string{"new"}, Removed: []string{"old"}, Restarted: []string{"moved"}, Changed: []string{"tuned", "named"}, Kept: []string{"same"},
		Keys:       map[string][]string{"moved": {"args", "env"}, "tuned": {"call_timeout"}},
		ToolsAdded: []string{"new__go"}, ToolsRemoved: []string{"old__go"}, NeedRestart: []string{"server.listen"},
	}
	want := strings.Split(`a reload would do this:
  added: new
  removed: old
  restarted: moved (args, env)
  changed: tuned (call_timeout), named
  kept: same
  tools added: new__go
  tools removed: old__go
  applies after a restart of the gateway: server.listen`, "\n")
	if diff := cmp.Diff(want, on(0, func(s *screen) { s.plan(p) })); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"reloaded", "  no server is concerned"}, on(0, func(s *screen) { s.plan(&admin.Plan{Applied: true}) })); diff != "" {
		t.Error(diff)
	}
}

func TestStages(t *testing.T) {
	s := stages{}
	for _, e := range []admin.Event{
		{Kind: "state", Upstream: "a", To: "starting"},
		{Kind: "start_stage", Upstream: "a", Stage: "spawn"},
		{Kind: "start_stage", Upstream: "b", Stage: "dependencies"},
		{Kind: "reloaded"},
		{Kind: "start_stage", Upstream: "c", Stage: "list"},
		{Kind: "state", Upstream: "c", To: "running"},
		{Kind: "start_stage", Upstream: "a", Stage: "handshake"},
	} {
		s.heard(e)
	}
	if got := s.text(); got != "a: handshake, b: dependencies" {
		t.Errorf("got %q", got)
	}
}

// An order that is not answered in time is given up, and one that is interrupted
// stands: both are said.
func TestOrderGivenUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(context.CancelFunc)
		p    patience
		want string
	}{
		{"interrupted", func(cancel context.CancelFunc) { cancel() }, patience{wait: true, timeout: time.Hour}, "interrupted"},
		{"in time", func(context.CancelFunc) {}, patience{wait: true, timeout: time.Millisecond - late}, "no outcome in time"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := plainApp()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			tt.end(cancel)
			err := a.order(ctx, nil, "start", &tt.p, asTable, func(ctx context.Context, _ func(admin.Outcome)) ([]admin.Outcome, error) {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			})
			f := new(failure)
			if !errors.As(err, &f) || f.Error() != tt.want || !strings.Contains(f.mend, "the order stands") || f.code != exitFailed {
				t.Errorf("got %v, %+v", err, f)
			}
		})
	}
}

func TestAddition(t *testing.T) {
	dir := t.TempDir()
	vscode := filepath.Join(dir, "mcp.json")
	put(t, vscode, `{"inputs": [], "servers": {"z": {"command": "z"}, "a": {"url": "http://a"}}}`)
	native := filepath.Join(dir, "native.json")
	put(t, native, `{"upstreams": {"z": {"command": "z"}}}`)
	for _, tt := range []struct {
		name string
		args []string
		dash int
		f    addFlags
		want admin.Addition
	}{
		{
			"a command",
			[]string{"one", "npx", "-y", "x"},
			1,
			addFlags{env: []string{"A=b=c"}, cwd: "/srv", dependsOn: []string{"db"}, onDemand: true},
			admin.Addition{Upstreams: json.RawMessage(`{"one":{"args":["-y","x"],"command":"npx","cwd":"/srv","depends_on":["db"],"env":{"A":"b=c"},"start":"on_demand"}}`)},
		},
		{
			"a URL",
			[]string{"far"},
			-1,
			addFlags{url: "https://x/sse", headers: []string{"Authorization=Bearer ${T}"}, transport: "sse"},
			admin.Addition{Upstreams: json.RawMessage(`{"far":{"headers":{"Authorization":"Bearer ${T}"},"transport":"sse","url":"https://x/sse"}}`)},
		},
		{"a file of VS Code", nil, -1, addFlags{file: vscode}, admin.Addition{MCPServers: json.RawMessage(`{"z": {"command": "z"}, "a": {"url": "http://a"}}`)}},
		{"a native file", nil, -1, addFlags{file: native}, admin.Addition{Upstreams: json.RawMessage(`{"z": {"command": "z"}}`)}},
	} {
		got, err := plainApp().addition(tt.args, tt.dash, &tt.f)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(&tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

// A shell that asks a gateway which does not answer is not kept waiting.
func TestCompletionGivesUp(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "mute.sock"))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	met := make(chan struct{})
	go func() {
		c, err := l.Accept()
		if err == nil {
			close(met)
			defer c.Close()
			_, _ = c.Read(make([]byte, 1<<16))
			_, _ = c.Read(make([]byte, 1)) // until it gives up
		}
	}()
	var out bytes.Buffer
	if code := run([]string{"__complete", "stop", "--admin", "unix:" + l.Addr().String(), ""}, nil, &out, new(bytes.Buffer)); code != 0 || strings.TrimSpace(out.String()) != ":4" {
		t.Errorf("exit code %d: %s", code, &out)
	}
	awaited(t, met, "a question of the shell")
}
