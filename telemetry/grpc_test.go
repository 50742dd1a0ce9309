package telemetry

import (
	"context"
	"net"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// grpcReceiver is an OTLP collector over gRPC that hands over what it gets.
type grpcReceiver struct {
	collector.UnimplementedTraceServiceServer
	got chan received // capacity 1: one export is expected
}

type received struct {
	key   []string
	spans int
}

func (r *grpcReceiver) Export(ctx context.Context, in *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	r.got <- received{md.Get("x-key"), len(in.ResourceSpans[0].ScopeSpans[0].Spans)}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestGRPC(t *testing.T) {
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000") // both spans in one export: that of the end
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &grpcReceiver{got: make(chan received, 1)}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	defer func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	c := Defaults()
	c.OTLP = OTLP{Endpoint: "http://" + l.Addr().String(), Protocol: GRPC, Headers: map[string]Secret{"x-key": "k1"}}
	tel, err := Start(t.Context(), c, Resource{})
	if err != nil {
		t.Fatal(err)
	}
	call(tel)
	if err := tel.Patient().Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-r.got:
		if got.spans != 2 || len(got.key) != 1 || got.key[0] != "k1" {
			t.Errorf("got %+v", got)
		}
	default:
		t.Error("nothing was exported")
	}
}
