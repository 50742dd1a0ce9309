package telemetrytest

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"testing"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	coltraces "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func send(t *testing.T, c *Collector, path string, m proto.Message) int {
	t.Helper()
	raw, err := proto.Marshal(m)
	if err != nil {
		t.Error(err)
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(raw)
	_ = z.Close()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.URL+path, &b)
	if err != nil {
		t.Error(err)
		return 0
	}
	req.Header.Set("Content-Encoding", "gzip")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Error(err)
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func span(id, parent byte, name string, kind traces.Span_SpanKind) *traces.Span {
	s := &traces.Span{TraceId: bytes.Repeat([]byte{9}, 16), SpanId: bytes.Repeat([]byte{id}, 8), Name: name, Kind: kind, StartTimeUnixNano: uint64(id)}
	if parent != 0 {
		s.ParentSpanId = bytes.Repeat([]byte{parent}, 8)
	}
	return s
}

// What was sent is found by name, below its parent and at the end of a link.
func TestTree(t *testing.T) {
	c := New(t).TakeAnyName()
	text := func(s string) *common.AnyValue {
		return &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: s}}
	}
	root := span(1, 0, "call", traces.Span_SPAN_KIND_SERVER)
	below := span(3, 1, "ask", traces.Span_SPAN_KIND_CLIENT)
	below.Attributes = []*common.KeyValue{{Key: "error.type", Value: text("timeout")}}
	below.Status = &traces.Status{Code: traces.Status_STATUS_CODE_ERROR, Message: "late"}
	below.Links = []*traces.Span_Link{{
		TraceId: root.TraceId, SpanId: bytes.Repeat([]byte{2}, 8),
		Attributes: []*common.KeyValue{{Key: "interlock.link", Value: text("waited_for")}},
	}}
	other := span(2, 1, "a policy", traces.Span_SPAN_KIND_INTERNAL)
	lost := span(4, 7, "its parent is elsewhere", traces.Span_SPAN_KIND_SERVER)
	status := send(t, c, "/v1/traces", &coltraces.ExportTraceServiceRequest{ResourceSpans: []*traces.ResourceSpans{{
		ScopeSpans: []*traces.ScopeSpans{{Spans: []*traces.Span{below, root, other, lost}}},
	}}})
	if status != http.StatusOK || len(c.Traces()) != 1 {
		t.Fatalf("%d, %v", status, c.Traces())
	}
	const want = "SERVER call\n  INTERNAL a policy\n  CLIENT ask !timeout\nSERVER its parent is elsewhere\n"
	if got := c.All(); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	ask := c.Child(c.One("SERVER", "call"), "ask")
	if !ask.Failed || ask.Message != "late" || ask.Attr("error.type") != "timeout" || ask.Attr("none") != "" {
		t.Errorf("%+v", ask)
	}
	links := ask.Linked("waited_for")
	if len(links) != 1 || c.Linked(links[0]) == nil || c.Linked(links[0]).Name != "a policy" || len(ask.Linked("caused")) != 0 {
		t.Errorf("links %v", links)
	}
}

// A signal that is refused is not kept, and is waited for until it is not.
func TestAnswer(t *testing.T) {
	c := New(t)
	c.Answer("/v1/logs", http.StatusNotFound)
	request := &collogs.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{}}}
	if got := send(t, c, "/v1/logs", request); got != http.StatusNotFound || len(c.Logs()) != 0 {
		t.Errorf("%d, %v", got, c.Logs())
	}
	c.Answer("/v1/logs", http.StatusOK)
	sent := make(chan struct{})
	go func() { defer close(sent); send(t, c, "/v1/logs", request) }()
	c.Wait("logs", func() bool { return len(c.Logs()) == 1 })
	<-sent
	if n := len(c.Requests()); n != 2 {
		t.Errorf("%d requests", n)
	}
}
