package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// F30: whatever the collector does, each call is answered. With INTERLOCK_SOAK the
// slowest of a hundred may take 2 ms more than with a collector that is well: calls of
// one and of the other take turns.
func TestSickCollector(t *testing.T) {
	soak := os.Getenv("INTERLOCK_SOAK") != ""
	rounds, each := 1, 300
	if soak {
		rounds, each = 20, 500
	}
	let := make(chan struct{})
	kinds := map[string]http.HandlerFunc{
		"well": func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) },
		"hung": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			select {
			case <-let:
			case <-r.Context().Done():
			}
		},
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			answer := time.NewTimer(time.Second)
			defer answer.Stop()
			select {
			case <-answer.C:
			case <-r.Context().Done():
			}
		},
		"refusing": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		},
		"cutting": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"down":    nil,
	}
	calls := make(map[string]func() time.Duration)
	for kind, does := range kinds {
		if kind == "down" {
			calls[kind] = callsBeside(t, "http://"+addrtest.Free(t))
			continue
		}
		server := httptest.NewUnstartedServer(does)
		server.Config.ErrorLog = nil
		server.Start()
		t.Cleanup(server.Close)
		calls[kind] = callsBeside(t, server.URL)
	}
	t.Cleanup(func() { close(let) })
	took := make(map[string][]time.Duration)
	for range rounds {
		for kind, call := range calls {
			for range each {
				took[kind] = append(took[kind], call())
			}
		}
	}
	if !soak {
		return
	}
	p99 := func(kind string) time.Duration {
		slices.Sort(took[kind])
		return took[kind][len(took[kind])*99/100]
	}
	for kind := range kinds {
		more := p99(kind) - p99("well")
		t.Logf("%-10s p99 %v, %v more", kind, p99(kind), more)
		if more > 2*time.Millisecond {
			t.Errorf("beside a collector that is %s the slowest of a hundred takes %v more, want 2 ms at most", kind, more)
		}
	}
}

// callsBeside returns what calls a tool of a gateway that exports every call, and says
// how long that took.
func callsBeside(t *testing.T, endpoint string) func() time.Duration {
	t.Helper()
	c := telemetry.Defaults()
	c.OTLP.Endpoint = endpoint
	tel, err := telemetry.Start(t.Context(), c, telemetry.Resource{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_ = tel.Shutdown(ctx)
	})
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{"echo"}
	r := startWith(t, settings(t, "a"), Options{Dialer: d, Telemetry: tel}).running()
	client, n := r.connect("{}"), 0
	return func() time.Duration {
		n++
		body := calls(strconv.Itoa(n), "a__echo", "{}")
		began := time.Now()
		if a := client.post(body); a.status != http.StatusOK || !strings.Contains(a.body, `"result"`) {
			t.Fatalf("status %d: %s", a.status, a.body)
		}
		return time.Since(began)
	}
}
