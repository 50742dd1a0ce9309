// Package telemetry is the OpenTelemetry SDK, the Prometheus registry and the
// logger: the only package that knows them. It takes plain strings and none of
// the gateway's types.
//
// Start makes a Telemetry, which owns the exporter's one goroutine; Shutdown
// ends it. No global state is set, so any number may live in one process. When
// nothing is exported, operations cost next to nothing and the client's own
// trace context passes untouched. A collector that is down costs spans, never a
// call.
package telemetry
