package telemetry

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// scrape returns what Prometheus would see of lines that begin with mcp_ and
// match.
func scrape(t *testing.T, tel *Telemetry, openMetrics bool, match string) []string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	if openMetrics {
		r.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	}
	w := httptest.NewRecorder()
	tel.MetricsHandler().ServeHTTP(w, r)
	b, err := io.ReadAll(w.Body)
	if err != nil || w.Code != 200 {
		t.Fatal(w.Code, err)
	}
	if !strings.Contains(string(b), "go_goroutines") {
		t.Error("no metrics of the Go runtime")
	}
	want := regexp.MustCompile(match)
	var lines []string
	for line := range strings.Lines(string(b)) {
		if strings.HasPrefix(line, "mcp_") && want.MatchString(line) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tel, err := Start(t.Context(), Defaults(), Resource{})
		if err != nil {
			t.Fatal(err)
		}
		tel.MetricsHandler()
		tel.ClientMeter(Operation{Method: "tools/call", Target: "read", TargetKind: Tool, Transport: "pipe", Upstream: "files"}).Count(250*time.Millisecond, Outcome{RPCCode: -32602}, nil)
		tel.ServerMeter(Operation{Method: "tools/call", Target: "files__read", TargetKind: Tool, Transport: "tcp", SessionID: "s1"}).Count(250*time.Millisecond, Outcome{RPCCode: -32602}, nil)
		tel.ServerMeter(Operation{Method: "x/" + strings.Repeat("y", 100), Transport: "tcp"}).Count(0, Outcome{RPCCode: -32601}, nil)
		tel.ServerSession(Session{Duration: time.Minute, Transport: "tcp", ProtocolVersion: "2025-11-25"})
		tel.ClientSession(Session{Duration: time.Hour, Transport: "pipe", ProtocolVersion: "2025-11-25", Upstream: "files", ErrorType: "exit"})
		var want []string
		for _, x := range []struct{ series, sum, count string }{
			{`client_operation_duration_seconds%{error_type="-32602",gen_ai_operation_name="execute_tool",gen_ai_tool_name="read",interlock_upstream="files",mcp_method_name="tools/call",network_transport="pipe",rpc_response_status_code="-32602"}`, "0.25", "1"},
			{`client_session_duration_seconds%{error_type="exit",interlock_upstream="files",mcp_protocol_version="2025-11-25",network_transport="pipe"}`, "3600", "1"},
			{`server_operation_duration_seconds%{mcp_method_name="_other",network_transport="tcp",rpc_response_status_code="-32601"}`, "0", "1"},
			{`server_operation_duration_seconds%{gen_ai_operation_name="execute_tool",gen_ai_tool_name="files__read",mcp_method_name="tools/call",network_transport="tcp",rpc_response_status_code="-32602"}`, "0.25", "1"},
			{`server_session_duration_seconds%{mcp_protocol_version="2025-11-25",network_transport="tcp"}`, "60", "1"},
		} {
			want = append(want, "mcp_"+strings.Replace(x.series, "%", "_sum", 1)+" "+x.sum, "mcp_"+strings.Replace(x.series, "%", "_count", 1)+" "+x.count)
		}
		got := scrape(t, tel, false, `_(sum|count)\{`)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s", strings.Join(got, "\n"))
		}
		var bounds []string
		for _, line := range scrape(t, tel, false, `^mcp_server_session_duration_seconds_bucket`) {
			bounds = append(bounds, regexp.MustCompile(`le="([^"]*)"`).FindStringSubmatch(line)[1])
		}
		if got := strings.Join(bounds, " "); got != "0.01 0.02 0.05 0.1 0.2 0.5 1 2 5 10 30 60 120 300 +Inf" {
			t.Error("buckets", got)
		}
	})
}

// Names that nobody ends do not fill the memory.
func TestSeriesAreBounded(t *testing.T) {
	tel, err := Start(t.Context(), Defaults(), Resource{})
	if err != nil {
		t.Fatal(err)
	}
	tel.MetricsHandler()
	for i := range maxSeries + 500 {
		tel.ClientMeter(Operation{Method: "tools/call", Target: fmt.Sprint("t", i), TargetKind: Tool, Upstream: "files"}).Count(time.Second, Outcome{RPCCode: i}, nil)
	}
	lines := scrape(t, tel, false, `^mcp_client_operation_duration_seconds_count`)
	if n := len(lines); n > maxSeries+2 {
		t.Errorf("%d series", n)
	}
	others := slices.DeleteFunc(lines, func(l string) bool { return !strings.Contains(l, `gen_ai_tool_name="_other"`) })
	if len(others) != 1 || !strings.HasSuffix(others[0], " 500") {
		t.Errorf("others: %q", others)
	}
}

func TestExemplars(t *testing.T) {
	r := newReceiver(t)
	tel, _ := traced(t, r, nil)
	tel.MetricsHandler()
	op := Operation{Method: "ping", TraceParent: clients}
	s := tel.Server(&op)
	s.End(Outcome{})
	tel.ServerMeter(op).Count(time.Millisecond, Outcome{}, s)
	if got := scrape(t, tel, true, `trace_id="0af7651916cd43dd8448eb211c80319c"`); len(got) != 1 {
		t.Errorf("exemplars: %q", got)
	}
}
