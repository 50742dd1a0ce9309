package gateway

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// Each request for an upstream is a line: who, what, what policies did and what came
// of it, without a value.
func TestAudit(t *testing.T) {
	tel, lines := auditing(t)
	d := new(linktest.Dialer)
	stocked(d, "a")
	rule := &ruler{
		before: func(_ context.Context, c *policy.Call) error {
			switch {
			case strings.Contains(string(c.Arguments()), "forbidden"):
				return &policy.Denial{Reason: "it has a word that is not spoken here"}
			case strings.Contains(string(c.Arguments()), "foul"):
				c.SetArguments([]byte(`{"w":"fine"}`))
			}
			return nil
		},
		after: func(_ context.Context, c *policy.Call, _ *policy.Answer) error {
			if strings.Contains(string(c.Arguments()), "told") {
				return &policy.Denial{Reason: "it says too much"}
			}
			return nil
		},
	}
	dry := &ruler{before: denies}
	cfg := settings(t, "a")
	r := startWith(t, governed(cfg, "rule", "dry"), Options{Dialer: d, Telemetry: tel, makePolicies: these(
		step("rule", rule), policy.Step{Name: "dry", Policy: dry, DryRun: true})}).running()
	c := r.connect(`{}`)
	dried := telemetry.AuditDecision{Policy: "dry", Phase: "before", Effect: "deny", Reason: "not on my watch", DryRun: true}
	of := func(phase, effect, reason string) telemetry.AuditDecision {
		return telemetry.AuditDecision{Policy: "rule", Phase: phase, Effect: effect, Reason: reason}
	}
	call := telemetry.AuditLine{Kind: "call", Method: "tools/call", Upstream: "a", Target: "do", Exposed: "a__do", Effect: "allow"}
	with := func(f func(*telemetry.AuditLine)) telemetry.AuditLine { l := call; f(&l); return l }
	for _, q := range []struct {
		body string
		want telemetry.AuditLine
	}{
		{calls("1", "a__do", `{"w":"s3cret"}`), with(func(l *telemetry.AuditLine) {
			l.Executed, l.Decisions = "yes", []telemetry.AuditDecision{dried}
		})},
		{calls("2", "a__do", `{"w":"forbidden"}`), with(func(l *telemetry.AuditLine) {
			l.Executed, l.Error, l.Effect, l.Policy, l.Reason = "no", "denied", "deny", "rule", "it has a word that is not spoken here"
			l.Decisions = []telemetry.AuditDecision{of("before", "deny", "it has a word that is not spoken here")}
		})},
		{calls("3", "a__do", `{"w":"foul"}`), with(func(l *telemetry.AuditLine) {
			l.Executed, l.Effect, l.Policy = "yes", "change", "rule"
			l.Decisions = []telemetry.AuditDecision{of("before", "change", ""), dried}
		})},
		{calls("4", "a__do", `{"w":"told"}`), with(func(l *telemetry.AuditLine) {
			l.Executed, l.Error, l.Effect, l.Policy, l.Reason = "yes", "denied", "deny", "rule", "it says too much"
			l.Decisions = []telemetry.AuditDecision{dried, of("after", "deny", "it says too much")}
		})},
		{calls("5", "a__nothing", `{}`), telemetry.AuditLine{
			Kind: "call", Method: "tools/call", Exposed: `a__nothing`, Executed: "no", Error: "-32602",
		}},
		{`{"jsonrpc":"2.0","id":6,"method":"resources/subscribe","params":{"uri":"file:///x"}}`, telemetry.AuditLine{
			Kind: "call", Method: "resources/subscribe", Upstream: "a", Target: "file:///x", Exposed: "file:///x", Effect: "allow",
			Executed: "yes", Decisions: []telemetry.AuditDecision{dried},
		}},
	} {
		before := len(lines())
		answer := c.post(q.body)
		all := lines()
		if len(all) != before+1 {
			t.Errorf("%s: %d lines", q.body, len(all)-before)
			continue
		}
		got := all[before]
		if got.Time.IsZero() || got.Seconds <= 0 || got.RequestBytes != len(q.body) || got.AnswerBytes != len(answer.body) ||
			got.Session == "" || got.Client == "" || (got.Upstream != "") != strings.HasPrefix(got.Definition, "sha256:") {
			t.Errorf("%s: %+v", q.body, got)
		}
		if diff := cmp.Diff(q.want, got, cmpopts.IgnoreFields(telemetry.AuditLine{}, "Time", "Seconds", "RequestBytes", "AnswerBytes", "Session", "Client", "Definition")); diff != "" {
			t.Errorf("%s: -want +got\n%s", q.body, diff)
		}
	}
	raw, err := json.Marshal(lines())
	if err != nil {
		t.Fatal(err)
	}
	for _, value := range []string{"s3cret", "forbidden", "foul"} {
		if strings.Contains(string(raw), value) {
			t.Errorf("the audit has the value %q", value)
		}
	}
	before := len(lines())
	c.post(`{"jsonrpc":"2.0","id":7,"method":"tools/list"}`)
	if len(lines()) != before {
		t.Error("a list is a line")
	}
}

// What operators do is in it as well: calls, orders, reloads.
func TestAuditOfOperators(t *testing.T) {
	tel, lines := auditing(t)
	d := dialer("do")
	d.Server("a").OnRequest = echo
	cfg := settings(t, "a")
	r := startWith(t, cfg, Options{Dialer: d, Telemetry: tel, makePolicies: these()}).running()
	if _, err := r.Call(t.Context(), "a__do", nil); err != nil {
		t.Fatal(err)
	}
	r.Restart(t.Context(), admin.Order{Names: []string{"a"}, Wait: true})
	if _, err := r.Apply(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	_, _ = r.Apply(t.Context(), governed(cfg, "missing"))
	var got []string
	for _, l := range lines() {
		got = append(got, strings.Join([]string{l.Kind, l.Issuer, l.Principal, l.Name, l.Client, l.Action, l.Upstream, l.Effect, l.Error}, "|"))
	}
	want := []string{
		"call|interlock|operator|operator|the program||a|allow|",
		"action|||the program||restart|a|allow|",
		"reload|||the program||reload||allow|",
		"reload|||the program||reload||error|policy_failed",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// Of a call that is kept open both requests are lines, and the second says what
// policies did to the answer.
func TestAuditOfAParkedCall(t *testing.T) {
	tel, lines := auditing(t)
	f, _ := asks(t, formQuestion)
	d := dialer("do")
	s := d.Server("a")
	s.OnRequest = askingTool(f)
	rule := &ruler{after: func(context.Context, *policy.Call, *policy.Answer) error {
		return &policy.Denial{Reason: "it says too much"}
	}}
	r := startWith(t, governed(settings(t, "a"), "rule"), Options{Dialer: d, Telemetry: tel, makePolicies: these(step("rule", rule))}).running()
	c := r.caller(`{"elicitation":{}}`)
	_, state := c.tool("a__do", "").required(t)
	c.tool("a__do", retry(state, `{"1":{"action":"accept"}}`))
	all := lines()
	if len(all) != 2 || all[0].Effect != "allow" || all[0].Executed != "unknown" || all[0].Session != "" ||
		all[1].Effect != "deny" || all[1].Executed != "yes" || all[1].Policy != "rule" {
		t.Errorf("lines %+v", all)
	}
}
