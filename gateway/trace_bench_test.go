package gateway

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/interlock-mcp/interlock/telemetry"
)

// BenchmarkTraced is BenchmarkPost with metrics, and with traces: none, those that
// are not sampled, those that are, and a client's own. A collector in the same
// process takes them, so that a batch's way out counts too.
func BenchmarkTraced(b *testing.B) {
	for _, c := range []struct {
		name        string
		keep        int
		export      bool
		sample      float64
		traceparent string
	}{
		{name: "nothing"},
		{name: "default", keep: 200},
		{name: "not sampled", keep: 200, export: true},
		{name: "sampled", keep: 200, export: true, sample: 1},
		{name: "client's", keep: 200, export: true, traceparent: `"_meta":{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"},`},
	} {
		b.Run(c.name, func(b *testing.B) {
			collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/x-protobuf")
			}))
			defer collector.Close()
			cfg := telemetry.Defaults()
			cfg.Traces.Keep, cfg.Traces.Sample = c.keep, c.sample
			if c.export {
				cfg.OTLP.Endpoint, cfg.OTLP.Signals = collector.URL, []string{"traces"}
			}
			tel, err := telemetry.Start(b.Context(), cfg, telemetry.Resource{})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = tel.Shutdown(context.Background()) }()
			tel.MetricsHandler()
			h := benchHandler(b, tel)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, benchRequest("", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`))
			benchPosts(b, h, benchRequest(w.Header().Get(headerSession), ""), []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{`+c.traceparent+`"name":"a__echo","arguments":{"message":"hello"}}}`))
		})
	}
}
