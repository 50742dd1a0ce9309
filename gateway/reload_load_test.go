package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// reloads is how often F31 reloads.
const reloads = 500

// broken are the faults of a file, one of which every second reload has.
var broken = []struct{ add, code string }{
	{"\n  x: [", admin.CodeInvalidConfig},
	{"\n  x: {comand: y}", admin.CodeInvalidConfig},
	{"\n  x: {command: y, url: 'http://127.0.0.1:1/mcp'}", admin.CodeInvalidConfig},
	{"\n  x: {command: y, depends_on: [nobody]}", admin.CodeInvalidConfig},
	{"\n  x: {command: y, depends_on: [z]}\n  z: {command: y, depends_on: [x]}", admin.CodeInvalidConfig},
	{"\n  x: {command: '${INTERLOCK_TEST_MISSING:?set it}'}", admin.CodeInvalidConfig},
	{"\n  x: {command: y, call_timeout: 5}", admin.CodeInvalidConfig},
	{"\n  x: {command: y, limits: {queue: -1}}", admin.CodeInvalidConfig},
	{"\n  steady0: {command: y}", admin.CodeInvalidConfig},
	{"\n  x y: {command: y}", admin.CodeInvalidConfig},
}

// F31: 500 reloads of a file that changes, half of them invalid, under the load of
// clients. No call to an upstream that did not change fails, none of its processes
// is another, and an invalid file changes nothing.
func TestFileReloadsUnderLoad(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file, state := filepath.Join(t.TempDir(), "interlock.yaml"), t.TempDir()
	kid := func(name, more string) string {
		return fmt.Sprintf("\n  %s: {command: %q, env: {%s: ok, GORACE: atexit_sleep_ms=0}%s}", name, self, upstreamtest.Mode, more)
	}
	// What is valid: keys that apply live change each time, and now and then one
	// that restarts an upstream, one that comes and goes, the order, and comments.
	valid := func(i int) string {
		kids := []string{kid("steady0", ""), kid("steady1", ", depends_on: [steady0]"), kid("live", fmt.Sprintf(", call_timeout: %ds, limits: {queue: %d}", 60+i, 100+i))}
		kids = append(kids, kid("restarted", fmt.Sprintf(", args: ['%d']", i/100)))
		if i/50%2 == 1 {
			kids = append(kids, kid("comes", ""))
		}
		if i%3 == 0 {
			kids[0], kids[1] = kids[1], kids[0]
		}
		return fmt.Sprintf("# %d\nstate_dir: %q\nupstreams:", i, state) + strings.Join(kids, "")
	}
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	load := func() (*config.Config, error) { return config.Load(config.LoadOptions{Files: []string{file}}) }
	write(valid(0))
	cfg, err := load()
	if err != nil {
		t.Fatal(err)
	}
	r := startWith(t, cfg, Options{Load: load}).running()
	pids := make(map[string]upstream.Status)
	for _, name := range []string{"steady0", "steady1", "live"} {
		pids[name] = r.set.Upstream(name).Status()
	}

	stop, made := make(chan struct{}), atomic.Int64{}
	var clients sync.WaitGroup
	for n := range 4 {
		c := r.connect(`{}`)
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				nonce := fmt.Sprintf("%d.%d", n, i)
				name := []string{"steady0", "steady1", "live"}[i%3]
				got := c.post(calls("1", name+"__echo", `{"nonce":"`+nonce+`"}`))
				if made.Add(1); got.status != 200 || strings.Contains(got.body, "isError") || !strings.Contains(got.body, nonce) {
					t.Errorf("during reloads, %s: %d %s", name, got.status, got.body)
					return
				}
			}
		})
	}
	for i := range reloads {
		before := r.cfg.Load()
		if i%2 == 0 {
			write(valid(i))
			if _, err := r.Reload(t.Context()); err != nil {
				t.Fatalf("reload %d: %v", i, err)
			}
			if i%100 == 0 { // two restarts that come before the first stop is over are one
				r.until(func() bool { return r.set.Upstream("restarted").Status().Generation > uint64(i/100) })
			}
			continue
		}
		bad := broken[i/2%len(broken)]
		write(valid(i) + bad.add)
		_, err := r.Reload(t.Context())
		if e, ok := errors.AsType[*admin.Error](err); !ok || e.Code != bad.code || len(e.Errors) == 0 || r.cfg.Load() != before {
			t.Errorf("reload %d, with%s: %v", i, bad.add, err)
		}
	}
	close(stop)
	clients.Wait()
	for name, was := range pids {
		if s := r.set.Upstream(name).Status(); s.PID != was.PID || s.Generation != was.Generation || s.State != upstream.Running {
			t.Errorf("%s was process %d, generation %d, and is process %d, generation %d, %s", name, was.PID, was.Generation, s.PID, s.Generation, s.State)
		}
	}
	if s := r.set.Upstream("restarted").Status(); s.Generation < 5 {
		t.Errorf("what a reload restarts is of generation %d", s.Generation)
	}
	t.Logf("%d calls during %d reloads", made.Load(), reloads)
}
