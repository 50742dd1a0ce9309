package upstream

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

const (
	discovered  = `{"supportedVersions":["2025-11-25","2026-07-28"],"capabilities":{"tools":{}},"instructions":"do","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}}}`
	initialized = `{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s"}}`
	unknown     = `{"code":-32601,"message":"what?"}`
)

func TestGreet(t *testing.T) {
	status := func(code int) error {
		return &TransportError{Executed: ExecutedUnknown, Reason: "http_status", Status: code, Err: errors.New("status")}
	}
	silent := func(ctx context.Context) error { <-ctx.Done(); return context.Cause(ctx) }
	type answers map[string]any // a string, an error, or a func that blocks
	for _, c := range []struct {
		name     string
		protocol Protocol
		known    int32
		answers  answers
		version  string // agreed on
		fault    string // or this error
		asked    string
		took     time.Duration
		after    int32 // what is remembered
	}{
		{"modern", AutoProtocol, unknownEra, answers{"d": discovered}, latestModern, "", "d", 0, modernEra},
		{"legacy by error", AutoProtocol, unknownEra, answers{"d": unknown, "i": initialized}, latestLegacy, "", "d i", 0, legacyEra},
		{"legacy by another error", AutoProtocol, unknownEra, answers{"d": `{"code":-32602,"message":"no session"}`, "i": initialized}, latestLegacy, "", "d i", 0, legacyEra},
		{"legacy by an empty result", AutoProtocol, unknownEra, answers{"d": `{}`, "i": initialized}, latestLegacy, "", "d i", 0, legacyEra},
		{"lists legacy revisions only", AutoProtocol, unknownEra, answers{"d": `{"supportedVersions":["2025-06-18","2025-11-25"]}`, "i": initialized}, latestLegacy, "", "d i", 0, legacyEra},
		{"refuses the revision, names legacy ones", AutoProtocol, unknownEra, answers{"d": `{"code":-32022,"message":"m","data":{"supported":["2025-11-25"]}}`, "i": initialized}, latestLegacy, "", "d i", 0, legacyEra},
		{"refuses what it names", AutoProtocol, unknownEra, answers{"d": `{"code":-32022,"message":"m","data":{"supported":["2026-07-28"]}}`}, "", "and refused it", "d d", 0, unknownEra},
		{"from the future", AutoProtocol, unknownEra, answers{"d": `{"supportedVersions":["2031-01-01"]}`}, "", `speaks the revisions ["2031-01-01"]`, "d", 0, unknownEra},
		{"a modern error", AutoProtocol, unknownEra, answers{"d": `{"code":-32021,"message":"needs more"}`}, "", "-32021", "d", 0, unknownEra},
		{"silent to the question", AutoProtocol, unknownEra, answers{"d": silent, "i": initialized}, latestLegacy, "", "d i", time.Second + lateAnswer, legacyEra},
		{"HTTP 400", AutoProtocol, unknownEra, answers{"d": status(400), "i": initialized}, latestLegacy, "", "d i", 0, legacyEra},
		{"HTTP 404", AutoProtocol, unknownEra, answers{"d": status(404), "i": initialized}, latestLegacy, "", "d i", 0, legacyEra},
		{"HTTP 502 tells nothing", AutoProtocol, unknownEra, answers{"d": status(502)}, "", "status", "d", 0, unknownEra},
		{"no way there", AutoProtocol, unknownEra, answers{"d": &TransportError{Reason: "dial", Err: errors.New("refused")}}, "", "refused", "d", 0, unknownEra},
		{"known to be legacy", AutoProtocol, legacyEra, answers{"i": initialized}, latestLegacy, "", "i", 0, legacyEra},
		{"known to be modern", AutoProtocol, modernEra, answers{"d": discovered}, latestModern, "", "d", 0, modernEra},
		{"was legacy, is modern", AutoProtocol, legacyEra, answers{"i": unknown, "d": discovered}, latestModern, "", "i d", 0, modernEra},
		{"was legacy, refuses", AutoProtocol, legacyEra, answers{"i": unknown, "d": unknown}, "", "initialize: the server answered with error -32601", "i d", 0, legacyEra},
		{"was modern, is legacy", AutoProtocol, modernEra, answers{"d": unknown, "i": initialized}, latestLegacy, "", "d i", 0, legacyEra},
		{"legacy by configuration", LegacyProtocol, modernEra, answers{"i": initialized}, latestLegacy, "", "i", 0, legacyEra},
		{"legacy by configuration, and nothing else", LegacyProtocol, unknownEra, answers{"i": unknown}, "", "-32601", "i", 0, unknownEra},
		{"modern by configuration", ModernProtocol, unknownEra, answers{"d": unknown}, "", "server/discover: it does not speak 2026-07-28", "d", 0, unknownEra},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var asked []string
				w := newFakeWay(func(ctx context.Context, method, _ string) (string, error) {
					short := map[string]string{"server/discover": "d", "initialize": "i"}[method]
					mu.Lock()
					asked = append(asked, short)
					mu.Unlock()
					switch a := c.answers[short].(type) {
					case string:
						return a, nil
					case error:
						return "", a
					case func(context.Context) error:
						return "", a(ctx)
					}
					t.Errorf("asked %s", method)
					return "{}", nil
				})
				conf := Defaults()
				conf.Protocol = c.protocol
				d := &Dial{Config: &conf, Era: new(Era)}
				d.Era.known.Store(c.known)
				begun := time.Now()
				h, err := greet(t.Context(), d, stdioProbeLimit, w, w)
				if c.fault != "" {
					var start *StartError
					if !errors.As(err, &start) || start.Stage != "handshake" || !strings.Contains(err.Error(), c.fault) {
						t.Errorf("error %v, want %s", err, c.fault)
					}
				} else if err != nil || h.Version != c.version {
					t.Errorf("%+v, %v; want revision %s", h, err, c.version)
				}
				if got := strings.Join(asked, " "); got != c.asked {
					t.Errorf("asked %s, want %s", got, c.asked)
				}
				if took := time.Since(begun); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
				if got := d.Era.known.Load(); got != c.after {
					t.Errorf("remembered %d, want %d", got, c.after)
				}
			})
		})
	}
}

// TestEndsAlways: a server that ends whatever it is asked is not started twice
// for each attempt, nor taken for a legacy one.
func TestEndsAlways(t *testing.T) {
	pids := t.TempDir() + "/pids"
	d := fakeDial(t, "exit3", upstreamtest.PIDFile, pids)
	d.Config.Protocol = AutoProtocol
	d.Era = new(Era)
	for i, want := range []struct {
		processes int
		after     int32
	}{{2, unknownEra}, {3, legacyEra}, {4, unknownEra}, {5, legacyEra}} {
		if _, err := dialStdio(t.Context(), d, testReaper()); err == nil {
			t.Fatal("it was reached")
		}
		b, err := os.ReadFile(pids)
		if n := bytes.Count(b, []byte("\n")); err != nil || n != want.processes || d.Era.known.Load() != want.after {
			t.Errorf("attempt %d: %d processes so far, remembered %d; want %+v, %v", i, n, d.Era.known.Load(), want, err)
		}
	}
}

// TestGreetSlowServers: a server that is slow to begin is not taken for a legacy
// one for ever.
func TestGreetSlowServers(t *testing.T) {
	for _, c := range []struct {
		name     string
		discover string
		one      bool // way for both eras
		version  string
		late     bool
		after    int32
	}{
		{"modern, over HTTP", discovered, false, latestModern, false, modernEra},
		{"modern, a process", discovered, true, "", true, modernEra},
		{"legacy, a process", unknown, true, latestLegacy, false, legacyEra},
	} {
		synctest.Test(t, func(t *testing.T) {
			up := time.Now().Add(5 * time.Second)
			script := func(_ context.Context, method, _ string) (string, error) {
				if wait := time.Until(up); wait > 0 {
					<-time.After(wait)
				}
				if method == "initialize" {
					return initialized, nil
				}
				return c.discover, nil
			}
			modern := newFakeWay(script)
			legacy := modern
			if !c.one {
				legacy = newFakeWay(script)
			}
			conf := Defaults()
			d := &Dial{Config: &conf, Era: new(Era)}
			h, err := greet(t.Context(), d, stdioProbeLimit, modern, legacy)
			if errors.Is(err, errLateModern) != c.late || !c.late && (err != nil || h.Version != c.version) || d.Era.known.Load() != c.after {
				t.Errorf("%s: %+v, %v, remembered %d", c.name, h, err, d.Era.known.Load())
			}
		})
	}
}

// TestStartedAgainWhenLate: such a process is started again, as what it is.
func TestStartedAgainWhenLate(t *testing.T) {
	file := t.TempDir() + "/read"
	d := fakeDial(t, "")
	d.Config.Env = map[string]string{testPeer: latePeer, oddFile: file, "GORACE": "atexit_sleep_ms=0"}
	d.Config.Protocol = AutoProtocol
	l, err := dialStdio(t.Context(), d, testReaper())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	b, _ := os.ReadFile(file)
	if !l.Hello().Modern() || strings.Count(string(b), `"server/discover"`) != 2 || strings.Count(string(b), `"initialize"`) != 1 {
		t.Errorf("%+v, read %s", l.Hello(), b)
	}
}

func TestDiscoverReadsTheServer(t *testing.T) {
	w := newFakeWay(func(context.Context, string, string) (string, error) { return discovered, nil })
	c := Defaults()
	h, err := discover(t.Context(), w, &Dial{Config: &c, ClientInfo: []byte(`{"name":"gw"}`)})
	if err != nil {
		t.Fatal(err)
	}
	want := &Hello{Version: latestModern, Capabilities: []byte(`{"tools":{}}`), ServerInfo: []byte(`{"name":"s"}`), Instructions: "do"}
	if diff := cmp.Diff(want, h); diff != "" {
		t.Errorf("hello (-want +got):\n%s", diff)
	}
	body := `{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"gw"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{"form":{},"url":{}},"sampling":{"tools":{}}}}}}`
	if got := w.bodies()[0]; got != body {
		t.Errorf("sent %s", got)
	}
}

// TestEndsOnProbe: some servers end when the first message is not initialize.
func TestEndsOnProbe(t *testing.T) {
	pids := t.TempDir() + "/pids"
	d := fakeDial(t, "exitonprobe", upstreamtest.PIDFile, pids)
	d.Config.Protocol = AutoProtocol
	d.Era = new(Era)
	if l := startFake(t, d); l.Hello().Version != latestLegacy || d.Era.known.Load() != legacyEra {
		t.Errorf("hello %+v", l.Hello())
	}
	startFake(t, d)
	b, err := os.ReadFile(pids)
	if n := bytes.Count(b, []byte("\n")); err != nil || n != 3 {
		t.Errorf("%d processes for two links, want 3: one ended on the question, once; %v", n, err)
	}
}
