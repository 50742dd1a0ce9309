// Package observability has configurations with which Interlock's traces, metrics
// and logs are seen in Jaeger, an OpenTelemetry Collector, Prometheus and Grafana
// (README.md says how), and the tests that hold them to what a gateway sends. Jaeger
// itself is run by `make e2e-jaeger`, with the file that is here.
package observability
