package telemetry

import (
	"cmp"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/semconv/v1.41.0/mcpconv"
	"go.opentelemetry.io/otel/semconv/v1.41.0/processconv"
)

// exposed is what /metrics shows, as Prometheus' own parser reads it.
func exposed(t *testing.T, tel *Telemetry) map[string]*dto.MetricFamily {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	all, err := p.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// everything has each metric counted once at least.
func everything(t *testing.T, tel *Telemetry) {
	t.Helper()
	tel.MetricsHandler()
	share := 0.5
	tel.Supervise(func() Supervision {
		return Supervision{Sessions: 3, Upstreams: []Supervised{{
			Name: "files", State: "running", Breaker: "closed", Restarts: 1, Passed: 2, Availability: &share, Queued: 4, Tools: 5,
		}}}
	})
	began := time.Now().Add(-time.Minute)
	tel.Watch(func() Process {
		return Process{User: 2 * time.Second, System: time.Second, Memory: 6, Virtual: 7, Threads: 8, Descriptors: 9, Handles: 10, Began: began}
	})
	op := Operation{Method: "tools/call", Target: "read", TargetKind: Tool, Transport: "tcp", ServerAddress: "example.com", ServerPort: 443, Upstream: "files"}
	tel.ServerMeter(op).Count(time.Second, Outcome{}, nil)
	tel.ClientMeter(op).Count(time.Second, Outcome{RPCCode: -32000}, nil)
	op = Operation{Method: "prompts/get", Target: "ask", TargetKind: Prompt, Transport: "pipe", Upstream: "files"}
	tel.ServerMeter(op).Count(time.Second, Outcome{ErrorType: "timeout", RPCCode: -32001}, nil)
	tel.ClientMeter(op).Count(time.Second, Outcome{}, nil)
	tel.ServerSession(Session{Duration: time.Hour, Transport: "tcp", ProtocolVersion: "2025-11-25", ErrorType: "timeout"})
	tel.ClientSession(Session{Duration: time.Hour, Transport: "tcp", ProtocolVersion: "2025-11-25", ErrorType: "timeout", Upstream: "files"})
	tel.CallRejected("queue_full")
	tel.AlertSent("down", "logged")
	tel.SignIn("files", SignInDone)
	tel.TokenRenewal("files", RenewalFailed)
	tel.PolicyDecided(t.Context(), PolicyDecision{Policy: "p", Phase: "before", Effect: allowed, Took: time.Microsecond})
	tel.PluginRestarted("p")
}

// elsewhere are metrics that are not there on every machine, or at once.
var elsewhere = []string{"go.memory.limit", "interlock.telemetry.dropped"}

// What is shown is what Instruments lists, with its kind, its unit and its
// attributes.
func TestInstruments(t *testing.T) {
	tel, err := Start(t.Context(), Defaults(), Resource{Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	everything(t, tel)
	all := exposed(t, tel)
	listed := make(map[string]bool)
	for _, i := range Instruments() {
		listed[i.Prometheus] = true
		f := all[i.Prometheus]
		if f == nil {
			if !slices.Contains(elsewhere, i.Name) {
				t.Errorf("%s is not shown", i.Prometheus)
			}
			continue
		}
		kind := map[string]dto.MetricType{
			kindCounter: dto.MetricType_COUNTER, kindHistogram: dto.MetricType_HISTOGRAM, kindGauge: dto.MetricType_GAUGE, kindUpDown: dto.MetricType_GAUGE,
		}[i.Kind]
		if f.GetType() != kind {
			t.Errorf("%s is a %s, and listed as %s", i.Prometheus, f.GetType(), i.Kind)
		}
		if f.GetHelp() != i.Tells && !strings.HasPrefix(i.Name, "go.") {
			t.Errorf("%s: %q, listed %q", i.Prometheus, f.GetHelp(), i.Tells)
		}
		var labels []string
		for _, m := range f.Metric {
			for _, l := range m.Label {
				labels = append(labels, l.GetName())
			}
		}
		slices.Sort(labels)
		var want []string
		for _, a := range i.Attributes {
			want = append(want, strings.ReplaceAll(a, ".", "_"))
		}
		slices.Sort(want)
		if got := slices.Compact(labels); !slices.Equal(got, want) {
			t.Errorf("%s has %v, listed %v", i.Prometheus, got, want)
		}
	}
	for name := range all {
		if !listed[name] && (strings.HasPrefix(name, "mcp_") || strings.HasPrefix(name, "interlock_")) {
			t.Errorf("%s is shown and not listed", name)
		}
	}
	// What every dashboard knows, and who it is.
	for _, name := range []string{"go_goroutines", "process_start_time_seconds", "target_info"} {
		if all[name] == nil {
			t.Errorf("%s is not shown", name)
		}
	}
}

// The conventions' names are those of the release we follow.
func TestConventions(t *testing.T) {
	type named interface {
		Name() string
		Unit() string
	}
	for _, x := range []struct {
		ours   Instrument
		theirs named
	}{
		{serverDuration, mcpconv.ServerOperationDuration{}},
		{clientDuration, mcpconv.ClientOperationDuration{}},
		{serverSession, mcpconv.ServerSessionDuration{}},
		{clientSession, mcpconv.ClientSessionDuration{}},
		{processCPU, processconv.CPUTime{}},
		{processMemory, processconv.MemoryUsage{}},
		{processVirtual, processconv.MemoryVirtual{}},
		{processThreads, processconv.ThreadCount{}},
		{processFiles, processconv.UnixFileDescriptorCount{}},
		{processHandles, processconv.WindowsHandleCount{}},
		{processUptime, processconv.Uptime{}},
	} {
		if x.ours.Name != x.theirs.Name() || x.ours.Unit != x.theirs.Unit() {
			t.Errorf("%s (%s) is %s (%s)", x.ours.Name, x.ours.Unit, x.theirs.Name(), x.theirs.Unit())
		}
	}
	if !slices.IsSortedFunc(buckets, cmp.Compare) || len(buckets) != 14 {
		t.Error(buckets)
	}
}
