package telemetry

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
)

// A decision that did something is a span below the request's; all are counted.
func TestPolicyDecided(t *testing.T) {
	r := newReceiver(t)
	tel, spans := traced(t, r, nil)
	handler := tel.MetricsHandler()
	server := tel.Server(&Operation{Method: "tools/call", Target: "x", TargetKind: Tool})
	ctx := NewContext(t.Context(), server)
	began := time.Now()
	for _, d := range []PolicyDecision{
		{Policy: "rules", Phase: "before", Effect: "allow", Passed: true},
		{Policy: "rules", Phase: "before", Effect: "allow", Passed: true},
		{Policy: "rate", Phase: "before", Effect: "deny", Reason: "too often \xff", DryRun: true, Passed: true, Began: began, Took: 3 * time.Millisecond},
		{Policy: "broken", Phase: "after", Effect: "error", Reason: "the policy could not decide"},
	} {
		tel.PolicyDecided(ctx, d)
	}
	tel.PluginRestarted("broken")
	server.End(Outcome{})
	all := spans()
	denied := all["policy rate"]
	if len(all) != 3 || denied == nil || all["policy broken"] == nil {
		t.Fatalf("spans %v", all)
	}
	if string(denied.ParentSpanId) != string(all["tools/call x"].SpanId) || denied.EndTimeUnixNano-denied.StartTimeUnixNano != 3_000_000 {
		t.Errorf("the span is %v", denied)
	}
	if diff := cmp.Diff(map[string]string{
		"interlock.policy.name": "rate", "interlock.policy.phase": "before", "interlock.policy.effect": "deny",
		"interlock.policy.reason": "too often \ufffd", "interlock.policy.dry_run": "true",
	}, attrs(denied.Attributes)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if denied.Status.GetCode() == traces.Status_STATUS_CODE_ERROR || all["policy broken"].Status.GetCode() != traces.Status_STATUS_CODE_ERROR {
		t.Error("that a policy could not decide is the error, not that it refused")
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	b, _ := io.ReadAll(w.Body)
	for _, want := range []string{
		`interlock_policy_decisions_total{effect="allow",phase="before",policy="rules"} 2`,
		`interlock_policy_decisions_total{effect="deny",phase="before",policy="rate"} 1`,
		`interlock_policy_decisions_total{effect="error",phase="after",policy="broken"} 1`,
		`interlock_policy_duration_seconds_count{phase="before",policy="rules"} 2`,
		`interlock_policy_duration_seconds_bucket{phase="before",policy="rate",le="0.005"} 1`,
		`interlock_plugin_restarts_total{policy="broken"} 1`,
	} {
		if !strings.Contains(string(b), want+"\n") {
			t.Errorf("no line %s", want)
		}
	}
	var none *Telemetry
	none.PolicyDecided(ctx, PolicyDecision{})
	none.PluginRestarted("x")
}
