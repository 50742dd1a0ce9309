//go:build !windows

package main

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
)

// The whole log reaches a collector, up to the end of the last server, with the level
// that is configured and not the one of the terminal.
func TestLogIsCollected(t *testing.T) {
	c := telemetrytest.New(t)
	var stderr bytes.Buffer
	config := strings.Replace(quiet, "logs: {level: warn}", "logs: {level: info}", 1)
	p := launchWith(t, []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.URL, "OTEL_SERVICE_NAME=mine"}, map[string]string{"interlock.yaml": config + clock}, &stderr, "serve")
	p.expect(`^1 of 1 server ready`)
	p.signal(syscall.SIGTERM)
	if code := p.wait(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var states []string
	lines, events := 0, 0
	for _, rl := range c.Logs() {
		for _, kv := range rl.Resource.Attributes {
			if kv.Key == "service.name" && kv.Value.GetStringValue() != "mine" {
				t.Errorf("of %s", kv.Value.GetStringValue())
			}
		}
		for _, sl := range rl.ScopeLogs {
			for _, r := range sl.LogRecords {
				if lines++; r.EventName != "interlock.upstream.state" {
					events++
					continue
				}
				for _, kv := range r.Attributes {
					if kv.Key == "to" {
						states = append(states, kv.Value.GetStringValue())
					}
				}
			}
		}
	}
	if got := strings.Join(states, " "); got != "starting running stopping stopped" {
		t.Errorf("states %q of %d lines", got, lines)
	}
	if n := strings.Count(stderr.String(), `"msg":"upstream state"`); n != 4 {
		t.Errorf("%d states on stderr: %s", n, stderr.String())
	}
	if events == 0 {
		t.Error("the end of the gateway is no event")
	}
}
