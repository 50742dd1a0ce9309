package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
)

// newResource describes this gateway to whom it exports. The error is one of
// OTEL_RESOURCE_ATTRIBUTES, which the SDK would print, twice, and go on without.
func newResource(ctx context.Context, service, version string) (*resource.Resource, error) {
	if err := checkResource(); err != nil {
		return nil, err
	}
	// Of what was found the variables come last, so that they win. The process's
	// arguments and owner are left out: they may be secret.
	r, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", service), attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES must be name=value,name=value with values URL-encoded: %w", err)
	}
	return resource.NewWithAttributes(r.SchemaURL(), readable(r.Attributes())...), nil
}

// checkResource finds a value that cannot be decoded, which the SDK would print and
// take as it is.
func checkResource() error {
	const name = "OTEL_RESOURCE_ATTRIBUTES"
	for i, pair := range strings.Split(variable(name), ",") {
		_, value, _ := strings.Cut(pair, "=")
		if _, err := url.PathUnescape(value); err != nil {
			return fmt.Errorf("%s must be name=value,name=value with values URL-encoded: part %d is not", name, i+1)
		}
	}
	return nil
}

// readable makes keys and values valid UTF-8: with one that is not, nothing at
// all could be exported.
func readable(attributes []attribute.KeyValue) []attribute.KeyValue {
	for i, kv := range attributes {
		kv.Key = attribute.Key(strings.ToValidUTF8(string(kv.Key), "\ufffd"))
		if kv.Value.Type() == attribute.STRING {
			kv.Value = attribute.StringValue(strings.ToValidUTF8(kv.Value.AsString(), "\ufffd"))
		}
		attributes[i] = kv
	}
	return attributes
}
