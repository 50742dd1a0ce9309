package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
)

var (
	seriesLine  = regexp.MustCompile(`^(\w+)\{(.*)\} (\S+)`)
	seriesLabel = regexp.MustCompile(`(\w+)="((?:[^"\\]|\\.)*)"`)
)

// durations are the series of a histogram: for each what its labels say, without
// those of its bucket, how many there are and how many seconds in all.
func durations(t *testing.T, tel *telemetry.Telemetry, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	counts, sums := make(map[string]float64), make(map[string]float64)
	for line := range strings.Lines(w.Body.String()) {
		m := seriesLine.FindStringSubmatch(line)
		if m == nil || m[1] != name+"_count" && m[1] != name+"_sum" {
			continue
		}
		var labels []string
		for _, l := range seriesLabel.FindAllStringSubmatch(m[2], -1) {
			if l[2] != "" && !strings.HasPrefix(l[1], "otel_scope") {
				labels = append(labels, l[2])
			}
		}
		slices.Sort(labels)
		v, err := strconv.ParseFloat(m[3], 64)
		if err != nil {
			t.Fatal(err)
		}
		if key := strings.Join(labels, " "); strings.HasSuffix(m[1], "_sum") {
			sums[key] += v
		} else {
			counts[key] += v
		}
	}
	var all []string
	for key, n := range counts {
		if n > 0 {
			all = append(all, fmt.Sprintf("%s: %v in %.0f s", key, n, sums[key]))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

const (
	serverSessions = "mcp_server_session_duration_seconds"
	clientSessions = "mcp_client_session_duration_seconds"
)

// counting starts a telemetry that counts and exports nothing.
func counting(t *testing.T) *telemetry.Telemetry {
	t.Helper()
	tel, err := telemetry.Start(t.Context(), telemetry.Defaults(), telemetry.Resource{})
	if err != nil {
		t.Fatal(err)
	}
	tel.MetricsHandler()
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

// A client's session is counted once, when it ends, in whatever way.
func TestServerSessionsAreCounted(t *testing.T) {
	const initialize = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{}}}` + "\n"
	for _, c := range []struct {
		name string
		live func(r *rig)
		want string
	}{
		{"deleted", func(r *rig) {
			c := r.connect(`{}`)
			time.Sleep(5 * time.Second)
			c.do(c.request(r.t.Context(), http.MethodDelete, ""))
			c.do(c.request(r.t.Context(), http.MethodDelete, ""))
		}, "2025-11-25 tcp: 1 in 5 s"},
		{"idle", func(r *rig) {
			r.connect(`{}`)
			time.Sleep(r.cfg.Load().Server.SessionTimeout + keepAlive)
		}, "2025-11-25 tcp: 1 in 3615 s"},
		{"not over with the gateway", func(r *rig) {
			r.connect(`{}`)
			time.Sleep(5 * time.Second)
			r.stop()
		}, ""},
		{"made room, came back, and was deleted", func(r *rig) {
			c := r.connect(`{}`)
			time.Sleep(5 * time.Second)
			for range r.cfg.Load().Server.MaxSessions {
				r.connect(`{}`)
			}
			if r.sessions.find(c.session) != nil {
				r.t.Error("it made no room")
			}
			time.Sleep(5 * time.Second)
			c.do(c.request(r.t.Context(), http.MethodDelete, ""))
		}, "2025-11-25 tcp: 1 in 10 s"},
		{"stdio", func(r *rig) {
			in, out := io.Pipe()
			go func() { _, _ = io.WriteString(out, initialize); time.Sleep(7 * time.Second); out.Close() }()
			if err := r.ServeStdio(r.t.Context(), in, io.Discard); err != nil {
				r.t.Error(err)
			}
		}, "2025-06-18 pipe: 1 in 7 s"},
		{"stdio, until the gateway ended", func(r *rig) {
			in, out := io.Pipe()
			over := make(chan struct{})
			go func() { defer close(over); _ = r.ServeStdio(r.t.Context(), in, io.Discard) }()
			_, _ = io.WriteString(out, initialize)
			time.Sleep(7 * time.Second)
			r.stop()
			out.Close()
			<-over
		}, "2025-06-18 pipe: 1 in 7 s"},
		{"stdio that does not read", func(r *rig) {
			in, out := io.Pipe()
			ctx, cancel := context.WithCancelCause(r.t.Context())
			go func() { _, _ = io.WriteString(out, initialize); time.Sleep(time.Second); cancel(errStuck); out.Close() }()
			_ = r.ServeStdio(ctx, in, io.Discard)
		}, "2025-06-18 pipe timeout: 1 in 1 s"},
		{"stdio that is closed", func(r *rig) {
			in, out := io.Pipe()
			closed, w := io.Pipe()
			closed.Close()
			go func() { _, _ = io.WriteString(out, initialize) }()
			_ = r.ServeStdio(r.t.Context(), in, w)
			out.Close()
		}, "2025-06-18 _OTHER pipe: 1 in 0 s"},
		{"no session on stdio", func(r *rig) {
			_ = r.ServeStdio(r.t.Context(), strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"ping"}`), io.Discard)
		}, ""},
		{"the older transport", func(r *rig) {
			ctx, cancel := context.WithCancel(r.t.Context())
			c := &client{r: r, path: "/sse"}
			events := c.events(ctx, c.request(ctx, http.MethodGet, ""))
			c.path = c.next(events)
			c.do(c.request(r.t.Context(), http.MethodPost, strings.TrimSpace(initialize)))
			c.next(events)
			time.Sleep(9 * time.Second)
			cancel()
		}, "2025-06-18 tcp: 1 in 9 s"},
		{"none of 2026-07-28", func(r *rig) {
			r.caller(`{}`).call("tools/list", `{}`)
			time.Sleep(r.cfg.Load().Server.SessionTimeout + keepAlive)
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := settings(t, "a")
			cfg.Server.MaxSessions = 3
			synctest.Test(t, func(t *testing.T) {
				tel := counting(t)
				r := startWith(t, cfg, Options{Dialer: dialer("do"), Telemetry: tel}).running()
				c.live(r)
				synctest.Wait()
				if got := durations(t, tel, serverSessions); got != c.want {
					t.Errorf("counted %q, want %q", got, c.want)
				}
			})
		})
	}
}

// A session with an upstream is counted with its transport and what ended it.
func TestClientSessionsAreCounted(t *testing.T) {
	cfg := settings(t, "a", "web=http")
	synctest.Test(t, func(t *testing.T) {
		tel := counting(t)
		d := dialer("do")
		d.Server("web").Version = "2025-03-26"
		r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel}).running()
		time.Sleep(time.Minute)
		d.Server("a").Last().Lose()
		time.Sleep(time.Minute)
		r.stop()
		const want = "2025-03-26 tcp web: 1 in 120 s; 2025-11-25 a exit pipe: 1 in 60 s; 2025-11-25 a pipe: 1 in 60 s"
		if got := durations(t, tel, clientSessions); got != want {
			t.Errorf("counted %q, want %q", got, want)
		}
	})
}
