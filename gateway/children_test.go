package gateway

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// child adds an upstream that runs as a real process to cfg: this test binary
// as a fake server.
func child(t *testing.T, cfg *config.Config, name string, env map[string]string) *upstream.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	u := upstream.Defaults()
	u.Name, u.Command, u.Env = name, self, map[string]string{upstreamtest.Mode: "ok", "GORACE": "atexit_sleep_ms=0"}
	maps.Copy(u.Env, env)
	cfg.Upstreams = append(cfg.Upstreams, u)
	return &cfg.Upstreams[len(cfg.Upstreams)-1]
}

// One trace leads from the client's context through the gateway into a child
// process, which sees it in params._meta.
func TestTraceReachesTheChild(t *testing.T) {
	collector := telemetrytest.New(t)
	cfg := settings(t)
	child(t, cfg, "kid", nil)
	tc := telemetry.Defaults()
	tc.OTLP.Endpoint = collector.URL
	tel, err := telemetry.Start(t.Context(), tc, telemetry.Resource{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	r := startWith(t, cfg, Options{Telemetry: tel}).running()
	c := r.connect(`{}`)
	const trace, parent = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	got := c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"x":1.0,"traceparent":"00-` + trace + `-` + parent + `-01","tracestate":"a=b"},"name":"kid__echo","arguments":{}}}`)
	seen := got.result(t)["structuredContent"].(map[string]any)["_meta"].(map[string]any)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	const tree = "SERVER tools/call kid__echo\n  CLIENT tools/call echo\n"
	if got := collector.Tree(trace); got != tree {
		t.Errorf("the trace is\n%s", collector.All())
	}
	server, client := collector.One("SERVER", "tools/call kid__echo"), collector.One("CLIENT", "tools/call echo")
	if server.Parent != parent {
		t.Errorf("the SERVER span is below %s", server.Parent)
	}
	want := "00-" + trace + "-" + client.ID + "-01"
	if seen["traceparent"] != want || seen["tracestate"] != "a=b" || seen["x"] != 1.0 {
		t.Errorf("the child saw _meta %v, want traceparent %s", seen, want)
	}
}

// Without an exporter the client's own context passes untouched.
func TestTraceContextPassesUntouched(t *testing.T) {
	cfg := settings(t)
	child(t, cfg, "kid", nil)
	r := startWith(t, cfg, Options{}).running()
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"
	got := r.connect(`{}`).post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"kid__echo","_meta":{"traceparent":"` + parent + `"}}}`)
	if !strings.Contains(got.body, `"_meta":{"traceparent":"`+parent+`"}`) {
		t.Errorf("got %s", got.body)
	}
}

// kills is how often F3 kills its server: INTERLOCK_SOAK asks for the long run.
func kills() int {
	if os.Getenv("INTERLOCK_SOAK") != "" {
		return 200
	}
	return 15
}

// F3: a server that is killed again and again during calls, 50 in flight from
// clients that all use the same ids. Every call is answered once, with its own
// nonce; what was answered ran exactly once, and what was not ran at most once,
// never if the answer says so.
func TestKilledDuringCalls(t *testing.T) {
	nonces := filepath.Join(t.TempDir(), "nonces")
	cfg := settings(t)
	u := child(t, cfg, "kid", map[string]string{upstreamtest.NonceFile: nonces})
	u.Restart = upstream.RestartConfig{Policy: upstream.Always, Delay: time.Millisecond, MaxDelay: 5 * time.Millisecond, Stable: time.Millisecond}
	r := startWith(t, cfg, Options{}).running()

	type outcome struct{ nonce, executed string }
	var mu sync.Mutex
	var outcomes []outcome
	var stop atomic.Bool
	var load sync.WaitGroup
	for n := range 50 {
		c := r.connect(`{}`)
		load.Go(func() {
			for i := 0; !stop.Load(); i++ {
				nonce := fmt.Sprintf("%d.%d", n, i)
				got := c.post(calls(strconv.Itoa(i), "kid__nonce", `{"nonce":"`+nonce+`"}`))
				o := outcome{nonce, "yes"}
				if !strings.Contains(got.body, `"id":`+strconv.Itoa(i)+",") {
					t.Errorf("call %s got another's answer: %d %s", nonce, got.status, got.body)
				}
				switch {
				case strings.Contains(got.body, `"executed":"no"`):
					o.executed = "no"
				case strings.Contains(got.body, `"executed":"unknown"`):
					o.executed = "unknown"
				case !strings.Contains(got.body, `"nonce":"`+nonce+`"`):
					t.Errorf("call %s got %s", nonce, got.body)
				}
				mu.Lock()
				outcomes = append(outcomes, o)
				mu.Unlock()
			}
		})
	}
	kid := r.set.Upstream("kid")
	answered := func() int { mu.Lock(); defer mu.Unlock(); return len(outcomes) }
	for range kills() {
		before := answered()
		var gen uint64
		for { // until it runs and has calls again
			st := kid.Status()
			if st.State == upstream.Running && answered() > before+20 {
				gen = st.Generation
				p, err := os.FindProcess(st.PID)
				if err == nil {
					_ = p.Kill()
				}
				break
			}
			waitABit(t)
		}
		for kid.Status().Generation == gen {
			waitABit(t)
		}
	}
	stop.Store(true)
	load.Wait()

	ran := map[string]int{}
	f, err := os.Open(nonces)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		nonce, _, _ := strings.Cut(s.Text(), " ")
		ran[nonce]++
	}
	count := map[string]int{}
	for _, o := range outcomes {
		count[o.executed]++
		switch n := ran[o.nonce]; {
		case n > 1:
			t.Errorf("%s ran %d times", o.nonce, n)
		case o.executed == "yes" && n != 1:
			t.Errorf("%s was answered and ran %d times", o.nonce, n)
		case o.executed == "no" && n != 0:
			t.Errorf("%s was said not to have run, and ran", o.nonce)
		}
	}
	t.Logf("%d kills, %d calls: %v", kills(), len(outcomes), count)
	if count["yes"] == 0 || count["unknown"] == 0 {
		t.Errorf("the kills met no calls: %v", count)
	}
}

// waitABit yields to the gateway: it blocks until something of it changes.
func waitABit(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(time.Millisecond):
	case <-t.Context().Done():
		t.FailNow()
	}
}

// hold begins a call that the child has, and that it answers once another calls
// release. What comes of it is the next event.
func (c *client) hold(ctx context.Context, id string) <-chan jsonrpc.Event {
	c.r.t.Helper()
	body := `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"kid__hold","_meta":{"progressToken":1}}}`
	events := c.events(ctx, c.request(ctx, "POST", body))
	if p := c.next(events); !strings.Contains(p, "notifications/progress") {
		c.r.t.Fatalf("want progress, got %s", p)
	}
	return events
}

// F36: what a cancelled call of one client still asks is given to no other.
func TestCancelledCallsAskNobody(t *testing.T) {
	cfg := settings(t)
	child(t, cfg, "kid", nil)
	r := startWith(t, cfg, Options{}).running()
	one, two := r.connect(`{"elicitation":{}}`), r.connect(`{"elicitation":{}}`)
	// Two clients in flight on one process: nobody can tell whose the question is.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	held := two.hold(ctx, "1")
	got := one.do(one.request(ctx, "POST", calls("1", "kid__elicit", `{}`)))
	if !strings.Contains(got.body, `"error"`) || strings.Contains(got.body, `"method":"elicitation/create"`) {
		t.Errorf("an ambiguous question was relayed: %s", got.body)
	}
	one.post(calls("4", "kid__release", `{}`))
	if a := two.next(held); !strings.Contains(a, `"result"`) {
		t.Errorf("it went to the other client: %s", a)
	}
	// Alone it is asked; what it asked for a call that is cancelled is taken back.
	events := one.events(ctx, one.request(ctx, "POST", calls("2", "kid__elicit", `{}`)))
	if q := one.next(events); !strings.Contains(q, `"method":"elicitation/create"`) {
		t.Fatalf("alone it got %s", q)
	}
	one.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":2}}`)
	for range events {
	}
	// A cancelled call that still runs: the other's question is not asked.
	held = one.hold(ctx, "3")
	one.post(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":3}}`)
	for range held {
	}
	if got := two.post(calls("3", "kid__elicit", `{}`)); !strings.Contains(got.body, "did not relay") {
		t.Errorf("with a cancelled call of another client on the link: %s", got.body)
	}
}
