package telemetry

import (
	"encoding/hex"
	"testing"

	"github.com/google/go-cmp/cmp"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
)

const (
	clients = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	headers = "00-11111111111111111111111111111111-2222222222222222-01"
)

func TestSpans(t *testing.T) {
	r := newReceiver(t)
	tel, spans := traced(t, r, nil)
	if !tel.Exporting() {
		t.Fatal("not enabled")
	}
	server := tel.Server(&Operation{
		Method: "tools/call", Target: "files__read", TargetKind: Tool, RequestID: `"7"`, SessionID: "s1", ProtocolVersion: "2025-11-25",
		Transport: "tcp", ServerAddress: "127.0.0.1", ServerPort: 7777, ClientAddress: "127.0.0.2",
		TraceParent: clients, TraceState: "v=1", Baggage: "user=7", HeaderTraceParent: headers,
	})
	client := tel.Client(server, &Operation{
		Method: "tools/call", Target: "read", TargetKind: Tool, RequestID: "12", Transport: "pipe", Upstream: "files",
	})
	parent, state, bag := client.Inject()
	client.Event("retry", String("reason", "reset"))
	start := tel.Internal(SpanStart{Name: "upstream start", Attrs: []Attr{String("upstream", "files")}})
	client.Link(start.Ref(), String("why", "spawn"))
	start.End(Outcome{})
	client.End(Outcome{RPCCode: -32602, Message: "bad \xff"})
	client.End(Outcome{}) // does nothing
	server.Set(String("interlock.executed", "no"))
	server.End(Outcome{ToolError: true})
	read := tel.Server(&Operation{Method: "resources/read", URI: "file:///a", HeaderTraceParent: headers})
	read.End(Outcome{RPCCode: -32002})
	odd := tel.Server(&Operation{Method: "no/such", Target: "x", TraceParent: "00-junk"})
	odd.End(Outcome{RPCCode: -32601})

	all := spans()
	s, c := all["tools/call files__read"], all["tools/call read"]
	if s == nil || c == nil || all["upstream start"] == nil || all["resources/read"] == nil || all["_other"] == nil || len(all) != 5 {
		t.Fatalf("spans %v", all)
	}
	if d := cmp.Diff(map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.tool.name": "files__read", "gen_ai.operation.name": "execute_tool", "jsonrpc.request.id": `"7"`,
		"mcp.session.id": "s1", "mcp.protocol.version": "2025-11-25", "network.transport": "tcp", "server.address": "127.0.0.1",
		"server.port": "7.777µs", "client.address": "127.0.0.2", "error.type": "tool_error", "interlock.executed": "no",
	}, attrs(s.Attributes)); d != "" {
		t.Error("server (-want +got)", d)
	}
	if d := cmp.Diff(map[string]string{
		"mcp.method.name": "tools/call", "gen_ai.tool.name": "read", "gen_ai.operation.name": "execute_tool", "jsonrpc.request.id": "12",
		"network.transport": "pipe", "interlock.upstream": "files", "error.type": "-32602", "rpc.response.status_code": "-32602",
	}, attrs(c.Attributes)); d != "" {
		t.Error("client (-want +got)", d)
	}
	if s.Kind != traces.Span_SPAN_KIND_SERVER || c.Kind != traces.Span_SPAN_KIND_CLIENT || all["upstream start"].Kind != traces.Span_SPAN_KIND_INTERNAL {
		t.Error("kinds", s.Kind, c.Kind)
	}
	if s.Status.Code != traces.Status_STATUS_CODE_ERROR || c.Status.Code != traces.Status_STATUS_CODE_ERROR || c.Status.Message != "bad \ufffd" {
		t.Error("status", s.Status, c.Status)
	}
	if got := hex.EncodeToString(s.TraceId) + hex.EncodeToString(s.ParentSpanId); got != "0af7651916cd43dd8448eb211c80319cb7ad6b7169203331" {
		t.Error("the parent is not the client's:", got)
	}
	if len(s.Links) != 1 || hex.EncodeToString(s.Links[0].SpanId) != "2222222222222222" {
		t.Error("the header is no link:", s.Links)
	}
	if string(c.ParentSpanId) != string(s.SpanId) {
		t.Error("the client's span is no child of the server's")
	}
	if want := "00-" + hex.EncodeToString(c.TraceId) + "-" + hex.EncodeToString(c.SpanId) + "-01"; parent != want || state != "v=1" || bag != "user=7" {
		t.Errorf("injected %q %q %q, want %q", parent, state, bag, want)
	}
	if len(c.Events) != 1 || c.Events[0].Name != "retry" || attrs(c.Events[0].Attributes)["reason"] != "reset" {
		t.Error("events", c.Events)
	}
	if len(c.Links) != 1 || string(c.Links[0].SpanId) != string(all["upstream start"].SpanId) || attrs(c.Links[0].Attributes)["why"] != "spawn" {
		t.Error("links", c.Links)
	}
	if rr := all["resources/read"]; hex.EncodeToString(rr.ParentSpanId) != "2222222222222222" || len(rr.Links) != 0 {
		t.Error("a header alone is no parent:", rr)
	}
	if o := all["_other"]; len(o.ParentSpanId) != 0 || attrs(o.Attributes)["mcp.method.name"] != "no/such" {
		t.Error("an unknown method:", o)
	}
}

func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		outcome        Outcome
		server, client string // error.type on each side
	}{
		{Outcome{}, "", ""},
		{Outcome{RPCCode: -32700}, "", "-32700"},
		{Outcome{RPCCode: -32600}, "", "-32600"},
		{Outcome{RPCCode: -32601}, "", "-32601"},
		{Outcome{RPCCode: -32602}, "", "-32602"},
		{Outcome{RPCCode: -32002}, "", "-32002"},
		{Outcome{RPCCode: -32602, ErrorType: "x"}, "", "x"},
		{Outcome{RPCCode: -32603}, "-32603", "-32603"},
		{Outcome{RPCCode: -32599}, "-32599", "-32599"},
		{Outcome{RPCCode: -33001, ErrorType: "timeout"}, "timeout", "timeout"},
		{Outcome{ToolError: true}, "tool_error", "tool_error"},
	} {
		if got := tc.outcome.errorType(true); got != tc.server {
			t.Errorf("%+v on the server's side: want %q, got %q", tc.outcome, tc.server, got)
		}
		if got := tc.outcome.errorType(false); got != tc.client {
			t.Errorf("%+v on the client's side: want %q, got %q", tc.outcome, tc.client, got)
		}
	}
}

// A client that does not sample is followed, and its trace goes on all the same.
func TestSampling(t *testing.T) {
	r := newReceiver(t)
	tel, spans := traced(t, r, func(c *Config) { c.Traces.Sample, c.Traces.Keep = 0, 0 })
	root := tel.Server(&Operation{Method: "ping"})
	root.End(Outcome{})
	kept := tel.Server(&Operation{Method: "tools/list", TraceParent: clients})
	kept.End(Outcome{})
	if p, _, _ := kept.Inject(); p[:35] != clients[:35] || p[53:] != "01" {
		t.Errorf("injected %s", p)
	}
	dropped := tel.Server(&Operation{Method: "prompts/list", TraceParent: clients[:53] + "00"})
	dropped.Event("x")
	dropped.End(Outcome{RPCCode: 1})
	if p, _, _ := dropped.Inject(); p[:35] != clients[:35] || p[53:] != "00" {
		t.Errorf("injected %s", p)
	}
	if !dropped.Ref().IsZero() {
		t.Error("a span that is not exported can be linked to")
	}
	if all := spans(); len(all) != 1 || all["tools/list"] == nil {
		t.Errorf("spans %v", all)
	}
}

// Baggage that no header could carry goes no further.
func TestBaggage(t *testing.T) {
	r := newReceiver(t)
	tel, _ := traced(t, r, nil)
	for in, want := range map[string]string{"a=1,b=2;p=3": "a=1,b=2;p=3", "a=1\r\nx: y": "", "": "", "junk": ""} {
		s := tel.Server(&Operation{Method: "ping", HeaderBaggage: in})
		s.End(Outcome{})
		if _, _, got := s.Inject(); got != want {
			t.Errorf("%q: got %q", in, got)
		}
	}
}
