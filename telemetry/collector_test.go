package telemetry

import (
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) {
	// The tests set what they need.
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			_ = os.Unsetenv(name)
		}
	}
	_ = os.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "60000") // as Patient
	goleak.VerifyTestMain(m)
}

// receiver is an OTLP collector over HTTP that looks at spans alone.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex // guards what follows
	requests []*http.Request
	spans    []*traces.Span
	resource map[string]string
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{resource: make(map[string]string)}
	r.Server = httptest.NewServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	var body io.Reader = req.Body
	if req.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		body = z
	}
	b, err := io.ReadAll(body)
	if req.URL.Path == "/v1/metrics" || req.URL.Path == "/v1/logs" {
		_, _ = io.Copy(io.Discard, body)
		return
	}
	var in collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(b, &in)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req)
	for _, rs := range in.ResourceSpans {
		for _, kv := range rs.Resource.Attributes {
			r.resource[kv.Key] = kv.Value.GetStringValue()
		}
		for _, ss := range rs.ScopeSpans {
			r.spans = append(r.spans, ss.Spans...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// traced starts a telemetry that exports to r. The function it returns ends it
// and gives the spans by name.
func traced(t *testing.T, r *receiver, change func(*Config)) (*Telemetry, func() map[string]*traces.Span) {
	t.Helper()
	c := Defaults()
	c.OTLP.Endpoint = r.URL
	if change != nil {
		change(&c)
	}
	tel, err := Start(t.Context(), c, Resource{Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	end := func() {
		once.Do(func() {
			if err := tel.Patient().Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(end)
	return tel, func() map[string]*traces.Span {
		end()
		r.mu.Lock()
		defer r.mu.Unlock()
		all := make(map[string]*traces.Span)
		for _, s := range r.spans {
			all[s.Name] = s
		}
		return all
	}
}

func attrs(kvs []*common.KeyValue) map[string]string {
	all := make(map[string]string)
	for _, kv := range kvs {
		all[kv.Key] = kv.Value.GetStringValue()
		if i, ok := kv.Value.Value.(*common.AnyValue_IntValue); ok {
			all[kv.Key] = time.Duration(i.IntValue).String()
		}
		if b, ok := kv.Value.Value.(*common.AnyValue_BoolValue); ok {
			all[kv.Key] = strconv.FormatBool(b.BoolValue)
		}
	}
	return all
}
