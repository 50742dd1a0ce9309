package rehearse

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/access"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/policy/flow"
	"github.com/interlock-mcp/interlock/policy/pin"
	"github.com/interlock-mcp/interlock/policy/rate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func house(rules ...access.Rule) []builtin.Config {
	return []builtin.Config{{Name: "house", Access: &access.Config{Rules: rules}}}
}

func TestRun(t *testing.T) {
	no := false
	everything := access.Rule{Allow: "true"}
	for name, c := range map[string]struct {
		policies []builtin.Config
		Case
		want string // effect, who
	}{
		"allowed":              {house(everything), Case{Call: Call{Tool: "x"}}, "allow"},
		"denied by a rule":     {house(everything, access.Rule{Name: "no", Deny: "true"}), Case{Call: Call{Tool: "x"}}, "deny house rule no"},
		"undecided":            {house(access.Rule{Allow: "args.a == 1"}), Case{Call: Call{Tool: "x"}}, "error house rule "},
		"who":                  {house(access.Rule{Allow: `principal.issuer == "i" && principal.groups == ["a", "b"] && principal.scopes == ["s"] && session == "1" && profile == "p"`}), Case{Call: Call{Tool: "x", Principal: Principal{Issuer: "i", Groups: []string{"a"}}, Groups: []string{"b"}, Scopes: []string{"s"}, Session: "1", Profile: "p"}}, "allow"},
		"nobody":               {house(access.Rule{Allow: `principal.anonymous`}), Case{Call: Call{Tool: "x"}}, "allow"},
		"tags of the file":     {house(access.Rule{Allow: `upstream.tags == ["known"]`}), Case{Call: Call{Tool: "x"}}, "allow"},
		"tags of the case":     {house(access.Rule{Allow: `upstream.tags == ["own"]`}), Case{Call: Call{Tool: "x", Tags: []string{"own"}}}, "allow"},
		"annotations":          {house(access.Rule{Allow: `tool.annotations.readOnlyHint`}), Case{Call: Call{Tool: "x", Annotations: map[string]any{"readOnlyHint": true}}}, "allow"},
		"not trusted":          {house(access.Rule{Allow: `tool.annotations.readOnlyHint`}), Case{Call: Call{Tool: "x", Annotations: map[string]any{"readOnlyHint": true}, Trusted: &no}}, "deny house rule "},
		"exposed":              {house(access.Rule{Allow: `tool.name == "x" && tool.exposed == "u__x"`}), Case{Call: Call{Tool: "x"}}, "allow"},
		"a prompt":             {house(access.Rule{Allow: `method == "prompts/get" && target == "p" && args.a == 1`}), Case{Call: Call{Prompt: "p", Args: map[string]any{"a": 1}}}, "allow"},
		"a resource":           {house(access.Rule{Allow: `method == "resources/read" && target == "file:///x" && args.uri == target`}), Case{Call: Call{URI: "file:///x"}}, "allow"},
		"another method":       {house(access.Rule{Allow: `method == "completion/complete" && args.a == 1`}), Case{Call: Call{Method: "completion/complete", Args: map[string]any{"a": 1}}}, "allow"},
		"a message":            {house(access.Rule{Deny: `args.a == 1 && tool.name == "x"`, Methods: []string{"notifications/*"}}), Case{Call: Call{Method: "notifications/message", Tool: "x", Args: map[string]any{"a": 1}}}, "deny house rule "},
		"of a flow":            {[]builtin.Config{{Flow: new(flow.Config)}}, Case{Call: Call{Tool: "x", Tags: []string{"egress"}}, After: []Call{{Upstream: "u", Tool: "x", Tags: []string{"private", "untrusted"}}}}, "deny flow rule "},
		"dry run":              {[]builtin.Config{{DryRun: true, Access: house(access.Rule{Deny: "true"})[0].Access}}, Case{Call: Call{Tool: "x"}}, "allow"},
		"of a rate, the first": {[]builtin.Config{{Rate: &rate.Config{Limits: []rate.Limit{{Rate: "1/h", Burst: 1}}}}}, Case{Call: Call{Tool: "x"}}, "allow"},
		"of a rate, the next":  {[]builtin.Config{{Rate: &rate.Config{Limits: []rate.Limit{{Rate: "1/h", Burst: 1}}}}}, Case{Call: Call{Tool: "x"}, After: []Call{{Upstream: "u", Tool: "x"}}}, "deny rate rule "},
	} {
		t.Run(name, func(t *testing.T) {
			c.Upstream, c.Expect = "u", Allow
			if err := c.Validate(); err != nil {
				t.Fatal(err)
			}
			if err := builtin.Validate(c.policies); err != nil {
				t.Fatal(err)
			}
			got, err := Run(t.Context(), c.policies, map[string]Upstream{"u": {Tags: []string{"known"}, Trusted: true}}, &c.Case)
			if err != nil {
				t.Fatal(err)
			}
			what := string(got.Effect)
			if got.Effect != Allow {
				what += fmt.Sprintf(" %s rule %s", got.Policy, got.Rule)
			}
			if what != c.want {
				t.Errorf("%s (%+v), want %s", what, got, c.want)
			}
		})
	}
}

func TestDifferences(t *testing.T) {
	args := map[string]any{"n": uint64(9007199254740993)}
	got := &Outcome{Effect: Deny, Policy: "a", Rule: "r", Reason: "for good"}
	for name, c := range map[string]struct {
		Case
		*Outcome
		want string
	}{
		"as expected":      {Case{Expect: Deny, Policy: "a", Rule: "r", Reason: "good"}, got, ""},
		"another effect":   {Case{Expect: Failed}, got, "want error, got deny"},
		"another policy":   {Case{Expect: Deny, Policy: "b", Rule: "s"}, got, "want policy b, got a\nwant rule s, got r"},
		"no rule":          {Case{Expect: Deny, Rule: "s"}, &Outcome{Effect: Deny}, "want rule s, got none"},
		"another reason":   {Case{Expect: Deny, Reason: "bad"}, got, `want a reason with "bad", got "for good"`},
		"nothing changed":  {Case{Expect: Allow, Call: Call{Args: args}, Change: args}, &Outcome{Effect: Allow}, ""},
		"another change":   {Case{Expect: Allow, Call: Call{Args: args}, Change: args}, &Outcome{Effect: Allow, Change: []byte(`{"n":9007199254740992}`)}, `want arguments {"n":9007199254740993}, got {"n":9007199254740992}`},
		"a changed answer": {Case{Expect: Allow, ChangeAnswer: map[string]any{"a": "***"}}, &Outcome{Effect: Allow, ChangeAnswer: []byte(`{ "a": "***" }`)}, ""},
	} {
		if got := strings.Join(c.Differences(c.Outcome), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestInside(t *testing.T) {
	inside, others := Inside(append(house(), builtin.Config{Name: "locks", Pin: new(pin.Config)}))
	if len(inside) != 1 || strings.Join(others, " ") != "locks" {
		t.Errorf("%d inside, the others are %q", len(inside), others)
	}
}

// hider hides everything.
type hider struct{}

func (*hider) Before(context.Context, *policy.Call) error                { return nil }
func (*hider) After(context.Context, *policy.Call, *policy.Answer) error { return nil }
func (*hider) Vet(all []*policy.Definition) []policy.Verdict {
	return []policy.Verdict{{Definition: all[0], Effect: policy.Hide, Reason: "it is odd"}}
}

// What is hidden cannot be called, but in a dry run.
func TestHidden(t *testing.T) {
	for _, dry := range []bool{false, true} {
		got, err := try(t.Context(), []policy.Step{{Name: "screen", Policy: new(hider), DryRun: dry}}, nil, &Call{Upstream: "u", Tool: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if dry != (got.Effect == Allow) || !dry && (got.Policy != "screen" || got.Reason != "hidden: it is odd") {
			t.Errorf("dry run %v: %+v", dry, got)
		}
	}
}

func TestElsewhere(t *testing.T) {
	_, err := Run(t.Context(), house(access.Rule{Allow: "true"}), map[string]Upstream{"u": {}}, &Case{Call: Call{Upstream: "v", Tool: "x"}})
	if err == nil || !strings.Contains(err.Error(), `no upstream "v"`) {
		t.Errorf("of an upstream that is not there: %v", err)
	}
}
