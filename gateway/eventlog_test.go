package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	logs "go.opentelemetry.io/proto/otlp/logs/v1"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// exported are the log records that came, by the name of their event.
func exported(c *telemetrytest.Collector) map[string][]*logs.LogRecord {
	all := make(map[string][]*logs.LogRecord)
	for _, rl := range c.Logs() {
		for _, sl := range rl.ScopeLogs {
			for _, r := range sl.LogRecords {
				all[r.EventName] = append(all[r.EventName], r)
			}
		}
	}
	return all
}

// logged is the text attribute of that name.
func logged(r *logs.LogRecord, name string) string {
	for _, kv := range r.Attributes {
		if kv.Key == name {
			return kv.Value.GetStringValue()
		}
	}
	return ""
}

// refuser cannot decide.
type refuser struct{ scrubber }

func (refuser) Before(context.Context, *policy.Call) error { return errors.New("broken") }

// What happens is exported as events: with a line of the log or without one, and what
// belongs to a call with its trace and span.
func TestEventsAreExported(t *testing.T) {
	c := telemetrytest.New(t)
	tel, end := startTelemetry(t, c, func(tc *telemetry.Config) { tc.Logs.Level = "debug" })
	defer end()
	var out bytes.Buffer
	d := new(linktest.Dialer)
	d.Server("a").Tools, d.Server("a").OnRequest = []string{"echo"}, echo
	d.Server("b").OnDial = func(context.Context, int, *upstream.Dial) error { return errors.New("no way") }
	cfg := governed(settings(t, "a", "b"), "refuser")
	o := Options{
		Dialer: d, Telemetry: tel, makePolicies: these(policy.Step{Name: "refuser", Policy: refuser{}}),
		Log: tel.Logger(telemetry.NewLogger(telemetry.Config{Logs: telemetry.Logs{Level: "debug", Format: "text"}}, &out, false)),
	}
	r := startWith(t, cfg, o)
	r.until(func() bool { return r.set.Upstream("a").Status().State == upstream.Running }).until(r.errored("b"))
	r.connect(`{}`).post(calls("1", "a__echo", `{}`))
	at := time.Now()
	r.raise(alert.Alert{Event: alert.Exhausted, Upstream: "b", State: "error", Stage: "spawn", Reason: "no way", At: at, Text: "it is over"})
	r.happened(admin.Event{Kind: "breaker", Upstream: "b", From: string(upstream.BreakerClosed), To: string(upstream.BreakerOpen)})
	r.stop()
	end()

	got := exported(c)
	for name, upstream := range map[string]string{
		"interlock.upstream.state": "a", "interlock.upstream.start_stage": "a", "interlock.breaker.opened": "b", "interlock.alert.exhausted": "b",
		"interlock.policy.failed": "",
	} {
		if len(got[name]) == 0 {
			t.Errorf("no %s", name)
			continue
		}
		found := false
		for _, r := range got[name] {
			found = found || logged(r, "upstream") == upstream
		}
		if !found {
			t.Errorf("%s is of nobody: %v", name, got[name])
		}
	}
	if b := got["interlock.breaker.opened"]; len(b) > 0 && time.Since(time.Unix(0, int64(b[len(b)-1].TimeUnixNano))) > time.Hour {
		t.Errorf("an event without a time: %v", b)
	}
	alerts := got["interlock.alert.exhausted"]
	var span *telemetrytest.Span
	var server *telemetrytest.Span
	for _, s := range c.Spans() {
		if s.Name == telemetry.SpanAlert && len(s.Event(telemetry.EventAlert+"exhausted")) > 0 {
			span = s
		}
		if s.Kind == "SERVER" && s.Name == "tools/call a__echo" {
			server = s
		}
	}
	if r := alerts[len(alerts)-1]; span == nil || fmt.Sprintf("%x", r.TraceId) != span.Trace || logged(r, "stage") != "spawn" || r.SeverityText != "WARN" ||
		r.TimeUnixNano != uint64(at.UnixNano()) || r.Body.GetStringValue() != "it is over" {
		t.Errorf("%v of %+v", r, span)
	}
	if r := got["interlock.policy.failed"][0]; server == nil || fmt.Sprintf("%x", r.TraceId) != server.Trace || fmt.Sprintf("%x", r.SpanId) != server.ID {
		t.Errorf("%v is not of %+v", r, server)
	}
	for _, none := range []string{"event.name", "it is over", "exported"} {
		if bytes.Contains(out.Bytes(), []byte(none)) {
			t.Errorf("stderr has %s: %s", none, out.String())
		}
	}
	if !bytes.Contains(out.Bytes(), []byte(`msg="policy could not decide" policy=refuser`)) || !bytes.Contains(out.Bytes(), []byte("trace_id="+server.Trace)) {
		t.Errorf("stderr: %s", out.String())
	}
}
