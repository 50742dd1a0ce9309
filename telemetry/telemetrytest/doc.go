// Package telemetrytest is an OTLP collector over HTTP in the process of a test:
// it keeps what is sent to it and gives spans by name, as trees and with their
// links. It knows nothing of package telemetry, which tests itself with it.
//
// The collector owns the goroutines of its server, which end with the test. A
// test in a synctest bubble makes it outside of the bubble: its connections are
// closed after each request, so that none keeps the bubble's clock from going on.
package telemetrytest
