package telemetry

import (
	"context"
	"io"
	"os"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	resources "go.opentelemetry.io/proto/otlp/resource/v1"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// uploader sends spans with a client of OpenTelemetry's, which sees to retries, TLS
// and headers.
type uploader struct {
	client   otlptrace.Client
	resource *resources.Resource
	scope    *common.InstrumentationScope
	trouble  *trouble
}

// upload sends n spans, each a field of a message ScopeSpans. It blocks until the
// collector has them, or no more tries are due, or ctx is over.
func (u *uploader) upload(ctx context.Context, spans []byte, n int) (err error) {
	u.trouble.export(n, func() error {
		scope := &traces.ScopeSpans{Scope: u.scope}
		// They are encoded already: as fields that the message does not know they go
		// out as they are, and what is sent is the same.
		scope.ProtoReflect().SetUnknown(spans)
		err = u.client.UploadTraces(ctx, []*traces.ResourceSpans{{Resource: u.resource, ScopeSpans: []*traces.ScopeSpans{scope}}})
		return err
	})
	return err
}

func (u *uploader) close(ctx context.Context) error { return u.client.Stop(ctx) }

// newUploader returns what exports spans as c and the variables say, nil if nothing
// does. It does not wait for the collector.
func newUploader(ctx context.Context, c OTLP, res *resource.Resource, r Resource) (*uploader, error) {
	to, err := targetOf(signalTraces, c)
	if err != nil {
		return nil, err
	}
	var client otlptrace.Client
	switch {
	case to.to == nowhere:
		return nil, nil
	case to.to == toConsole:
		client = console{os.Stderr} //nolint:forbidigo // asked for by name, by an environment variable
	case to.protocol == GRPC:
		client = otlptracegrpc.NewClient(options(to, otlptracegrpc.WithEndpointURL, otlptracegrpc.WithHeaders)...)
	default:
		client = otlptracehttp.NewClient(options(to, otlptracehttp.WithEndpointURL, otlptracehttp.WithHeaders)...)
	}
	if err := client.Start(ctx); err != nil {
		return nil, err
	}
	return &uploader{
		client: client, resource: messageOf(res), trouble: &trouble{signal: signalTraces, log: r.Log},
		scope: &common.InstrumentationScope{Name: scope, Version: r.Version},
	}, nil
}

// messageOf is the resource as it is sent.
func messageOf(res *resource.Resource) *resources.Resource {
	m := new(resources.Resource)
	for _, kv := range res.Attributes() {
		v := &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: clean(kv.Value.String())}}
		switch kv.Value.Type() {
		case attribute.INT64:
			v.Value = &common.AnyValue_IntValue{IntValue: kv.Value.AsInt64()}
		case attribute.BOOL:
			v.Value = &common.AnyValue_BoolValue{BoolValue: kv.Value.AsBool()}
		}
		m.Attributes = append(m.Attributes, &common.KeyValue{Key: string(kv.Key), Value: v})
	}
	return m
}

// console writes the spans as lines of JSON.
type console struct{ w io.Writer }

func (console) Start(context.Context) error { return nil }
func (console) Stop(context.Context) error  { return nil }

// UploadTraces implements otlptrace.Client.
func (c console) UploadTraces(_ context.Context, all []*traces.ResourceSpans) error {
	raw, err := proto.Marshal(&traces.TracesData{ResourceSpans: all})
	if err != nil {
		return err
	}
	known := new(traces.TracesData) // and nothing in it is unknown
	if err := proto.Unmarshal(raw, known); err != nil {
		return err
	}
	b, err := protojson.Marshal(known)
	if err != nil {
		return err
	}
	_, err = c.w.Write(append(b, '\n'))
	return err
}
