package telemetry_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel"

	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
)

// hostile are names as a server could choose them to break an output or its
// reader: lines and labels of its own in the exposition, texts of any size, what
// is no text at all.
var hostile = []string{
	"", "a\nb", "a\r\nmcp_forged_total 1", "\"", `\`, `\n`, `x"} 1` + "\nforged{a=\"b", `",__name__="forged`, "__name__", "{}", "#", "# TYPE forged counter",
	"a\x00b", "\xff\xfe", "a\xc3", "\u2028", "e\u0301", "é", "\u202eevil", strings.Repeat("long", 1<<18), strings.Repeat("long", 1<<18) + "er",
	strings.Repeat("\xff", 1<<20), strings.Repeat("é", 200), "_other", "_OTHER", "le", "quantile", "otel.metric.overflow", "=1+2", "<script>", "# {trace_id=\"x\"} 1",
}

// counted are the series of the calls of tools by tool, as one output tells them.
type counted map[string]uint64

const shown = "mcp_client_operation_duration_seconds"

// scrape reads what Prometheus is shown with the parser of Prometheus.
func scrape(t *testing.T, tel *telemetry.Telemetry) counted {
	t.Helper()
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatal(w.Code)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	all, err := p.TextToMetricFamilies(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	out := make(counted)
	for name, f := range all {
		if strings.Contains(name, "forged") {
			t.Errorf("a name made the metric %s", name)
		}
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if len(l.GetValue()) > 256 || !utf8.ValidString(l.GetValue()) || strings.HasPrefix(l.GetName(), "__") {
					t.Errorf("%s has a label %s of %d bytes: %.50q", name, l.GetName(), len(l.GetValue()), l.GetValue())
				}
				if name == shown && l.GetName() == "gen_ai_tool_name" {
					out[l.GetValue()] += m.GetHistogram().GetSampleCount()
				}
			}
		}
	}
	return out
}

// pushed reads what the collector got.
func pushed(c *telemetrytest.Collector) counted {
	out := make(counted)
	for _, p := range byName(c.Metrics())["mcp.client.operation.duration"].GetHistogram().GetDataPoints() {
		for _, kv := range p.Attributes {
			if kv.Key == "gen_ai.tool.name" {
				out[kv.Value.GetStringValue()] += p.Count
			}
		}
	}
	return out
}

func (c counted) sum() (n uint64) {
	for _, x := range c {
		n += x
	}
	return n
}

// Names of tools, codes of errors, reasons: whatever a server says of itself and
// a client asks for, both outputs can be read, and say the same.
func TestHostileNames(t *testing.T) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { t.Errorf("the SDK would print %v", err) }))
	t.Cleanup(func() { otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {})) })
	t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "__name__=x,a.b=1,a_b=2,bad=%ff%fe,quote=%22,%ff=1")
	c := telemetrytest.New(t)
	tel, end := pushing(t, c.URL, func(c *telemetry.Config) { c.OTLP.Signals = []string{"metrics"} }, nil)
	n := uint64(0)
	for _, name := range hostile {
		op := telemetry.Operation{
			Method: "tools/call", Target: name, TargetKind: telemetry.Tool, Transport: "pipe", Upstream: name, ServerAddress: name, ServerPort: 80,
		}
		tel.ClientMeter(op).Count(time.Second, telemetry.Outcome{ErrorType: name}, nil)
		if name != "" {
			n++
		}
		op.Method, op.TargetKind = name, telemetry.Prompt
		tel.ServerMeter(op).Count(time.Second, telemetry.Outcome{Message: name}, nil)
		tel.ClientSession(telemetry.Session{Upstream: name, ProtocolVersion: name, ErrorType: name, Transport: name})
		tel.ServerSession(telemetry.Session{ProtocolVersion: name})
		tel.PolicyDecided(t.Context(), telemetry.PolicyDecision{Policy: name, Phase: "before", Effect: "deny", Reason: name})
		tel.PluginRestarted(name)
	}
	all := make([]telemetry.Supervised, len(hostile))
	for i, name := range hostile {
		all[i] = telemetry.Supervised{Name: fmt.Sprint(i, name), State: name, Breaker: name}
	}
	tel.Supervise(func() telemetry.Supervision { return telemetry.Supervision{Upstreams: all} })
	got := scrape(t, tel)
	end()
	if got.sum() != n || pushed(c).sum() != n || len(got) != len(pushed(c)) {
		t.Errorf("%d calls, %d scraped, %d pushed in %d and %d series", n, got.sum(), pushed(c).sum(), len(got), len(pushed(c)))
	}
	for _, as := range []string{"application/openmetrics-text; version=1.0.0", "text/plain; version=0.0.4; escaping=allow-utf-8"} {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		r.Header.Set("Accept", as)
		w := httptest.NewRecorder()
		tel.MetricsHandler().ServeHTTP(w, r)
		b, _ := io.ReadAll(w.Body)
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "forged") || strings.HasPrefix(line, "mcp_forged") || strings.HasPrefix(line, "b\"") {
				t.Errorf("%s: a name made the line %s", as, line)
			}
		}
	}
}

// 10,000 tools are more than there may be series, and one call with a code of its
// own each is more than there may be codes: what is beyond is counted together,
// and nothing is lost.
func TestTenThousandTools(t *testing.T) {
	const tools = 10_000
	c := telemetrytest.New(t)
	tel, end := pushing(t, c.URL, func(c *telemetry.Config) { c.OTLP.Signals = []string{"metrics"} }, nil)
	count := func(i int, o telemetry.Outcome) {
		tel.ClientMeter(telemetry.Operation{
			Method: "tools/call", Target: fmt.Sprint("tool", i), TargetKind: telemetry.Tool, Transport: "pipe", Upstream: fmt.Sprint("u", i%10),
		}).Count(time.Second, o, nil)
	}
	for i := range tools { // codes first: they are not to take the place of tools
		count(0, telemetry.Outcome{RPCCode: i})
	}
	for i := range tools {
		count(i, telemetry.Outcome{})
		count(i, telemetry.Outcome{ToolError: true})
	}
	got := scrape(t, tel)
	end()
	for where, got := range map[string]counted{"scraped": got, "pushed": pushed(c)} {
		if got.sum() != 3*tools {
			t.Errorf("%s: %d calls", where, got.sum())
		}
		if n := len(got); n < 1500 || n > 4096 {
			t.Errorf("%s: %d tools are told", where, n)
		}
		if n := got["_other"]; n < tools || got["tool1"] != 2 {
			t.Errorf("%s: %d of others, %d of one", where, n, got["tool1"])
		}
	}
	points, codes := byName(c.Metrics())["mcp.client.operation.duration"].GetHistogram().GetDataPoints(), map[string]bool{}
	for _, p := range points {
		for _, kv := range p.Attributes {
			if kv.Key == "rpc.response.status_code" {
				codes[kv.Value.GetStringValue()] = true
			}
		}
	}
	// 4,096, and for each upstream the others that went well and that did not.
	if len(points) > 4096+10*2 || len(codes) > 64+10+1 {
		t.Errorf("%d series, %d codes", len(points), len(codes))
	}
}

// What the SDK counts is bounded, too: here by upstreams that come and go.
func TestSessionsOfManyUpstreams(t *testing.T) {
	c := telemetrytest.New(t)
	tel, end := pushing(t, c.URL, func(c *telemetry.Config) { c.OTLP.Signals = []string{"metrics"} }, nil)
	for i := range 10_000 {
		tel.ClientSession(telemetry.Session{Upstream: fmt.Sprint("u", i), Transport: "pipe", Duration: time.Second})
		tel.CallRejected(fmt.Sprint("r", i))
	}
	scrape(t, tel)
	end()
	got := byName(c.Metrics())
	if n := len(got["mcp.client.session.duration"].GetHistogram().DataPoints); n > 4096 {
		t.Errorf("%d series of sessions", n)
	}
	c2 := telemetrytest.New(t)
	tel, end = pushing(t, c2.URL, func(c *telemetry.Config) { c.OTLP.Signals = []string{"metrics"} }, nil)
	for i := range 100 {
		tel.ServerSession(telemetry.Session{ProtocolVersion: fmt.Sprint(i), Transport: "pipe"})
	}
	end()
	if n := len(byName(c2.Metrics())["mcp.server.session.duration"].GetHistogram().DataPoints); n != 1 {
		t.Errorf("%d series of revisions that are none", n)
	}
	if n := len(got["interlock.calls.rejected"].GetSum().DataPoints); n > 4096 {
		t.Errorf("%d series of refusals", n)
	}
}
