package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/gateway/redact"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/telemetry/telemetrytest"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// captured runs a gateway whose spans have arguments and results, in front of one server
// whose tool echo answers with answer.
func captured(t *testing.T, mode, answer string, change func(*config.Config) (*config.Config, Options)) *traced {
	t.Helper()
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{"echo"}
	d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		return json.RawMessage(answer), nil
	}
	cfg, o := settings(t, "a"), Options{}
	if change != nil {
		cfg, o = change(cfg)
	}
	cfg.Telemetry.Traces.Capture = mode
	o.Dialer = d
	return traces(t, cfg, o, nil)
}

// server is the span of the client's request.
func serverSpan(t *testing.T, c *telemetrytest.Collector) *telemetrytest.Span {
	t.Helper()
	for _, s := range c.Spans() {
		if s.Kind == "SERVER" && strings.HasPrefix(s.Name, "tools/call") {
			return s
		}
		if s.Attr(telemetry.AttrArguments)+s.Attr(telemetry.AttrResult) != "" {
			t.Errorf("%s has them", s.Name)
		}
	}
	t.Fatal("there is no span")
	return nil
}

const answerWithToken = `{"content":[{"type":"text","text":"{\"token\":\"s3cr3t\",\"n\":1}"}],"structuredContent":{"token":"s3cr3t","n":1}}`

func TestCapture(t *testing.T) {
	for _, tc := range []struct {
		name, mode        string
		arguments, result string
	}{
		{
			"redacted", telemetry.CaptureRedacted, `{"path":"/tmp/x","password":"***"}`,
			`{"content":[{"type":"text","text":"{\"token\":\"***\",\"n\":1}"}],"structuredContent":{"token":"***","n":1}}`,
		},
		{"none", telemetry.CaptureNone, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := captured(t, tc.mode, answerWithToken, nil)
			c := r.connect(`{}`)
			if got := c.post(calls("1", "a__echo", `{"path":"/tmp/x","password":"hunter2"}`)).body; !strings.Contains(got, "s3cr3t") {
				t.Errorf("what is sent on was touched: %s", got)
			}
			r.end()
			s := serverSpan(t, r.Collector)
			if got := s.Attr(telemetry.AttrArguments); got != tc.arguments {
				t.Error("arguments", got)
			}
			if got := s.Attr(telemetry.AttrResult); got != tc.result {
				t.Error("result", got)
			}
		})
	}
}

// A client of 2026-07-28 gets another answer, and that is what is told.
func TestCaptureForAModernClient(t *testing.T) {
	r := captured(t, telemetry.CaptureRedacted, answerWithToken, nil)
	r.caller(`{}`).call("tools/call", `{"name":"a__echo","arguments":{"a":1}}`)
	r.end()
	s := serverSpan(t, r.Collector)
	if got := s.Attr(telemetry.AttrResult); !strings.Contains(got, `"token":"***"`) || !strings.Contains(got, `"resultType":"complete"`) {
		t.Error("result", got)
	}
	if got := s.Attr(telemetry.AttrArguments); got != `{"a":1}` {
		t.Error("arguments", got)
	}
}

// A large result costs a span 4 KiB.
func TestCaptureIsBounded(t *testing.T) {
	r := captured(t, telemetry.CaptureRedacted, fmt.Sprintf(`{"content":[%s{"type":"text","text":"the end"}]}`,
		strings.Repeat(`{"type":"text","text":"lorem ipsum dolor sit amet"},`, 50_000)), nil)
	c := r.connect(`{}`)
	if got := c.post(calls("1", "a__echo", `{}`)).body; !strings.Contains(got, "the end") {
		t.Error("the answer is cut")
	}
	r.end()
	got := serverSpan(t, r.Collector).Attr(telemetry.AttrResult)
	if len(got) > redact.Limit || len(got) < redact.Limit-200 || !json.Valid([]byte(got)) {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// scrubber takes the word private out of arguments and answers, and refuses the word
// never.
type scrubber struct{}

func (scrubber) Before(_ context.Context, c *policy.Call) error {
	if strings.Contains(string(c.Arguments()), "never") {
		return &policy.Denial{Reason: "never"}
	}
	c.SetArguments([]byte(strings.ReplaceAll(string(c.Arguments()), "private", "public")))
	return nil
}

func (scrubber) After(_ context.Context, _ *policy.Call, a *policy.Answer) error {
	return a.Replace([]byte(strings.ReplaceAll(string(a.Result()), "private", "public")))
}

// What a policy takes out, or refuses, is in no span.
func TestCaptureIsWhatPoliciesLet(t *testing.T) {
	r := captured(t, telemetry.CaptureRedacted, `{"content":[{"type":"text","text":"private"}]}`, func(c *config.Config) (*config.Config, Options) {
		return governed(c, "scrubber"), Options{makePolicies: these(policy.Step{Name: "scrubber", Policy: scrubber{}})}
	})
	c := r.connect(`{}`)
	c.post(calls("1", "a__echo", `{"x":"private"}`))
	c.post(calls("2", "a__echo", `{"x":"never private"}`))
	r.end()
	seen := 0
	for _, s := range r.Spans() {
		all := fmt.Sprint(s.Attrs, s.Events)
		if strings.Contains(all, "private") || strings.Contains(all, "never private") {
			t.Errorf("%s: %s", s.Name, all)
		}
		if s.Attr(telemetry.AttrArguments) == `{"x":"public"}` && strings.Contains(s.Attr(telemetry.AttrResult), `"public"`) {
			seen++
		}
	}
	if seen != 1 {
		t.Errorf("%d spans have what was let pass", seen)
	}
}
