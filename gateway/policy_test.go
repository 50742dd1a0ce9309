package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// governed returns cfg with policies of those names; what they are is up to
// Options.makePolicies.
func governed(cfg *config.Config, names ...string) *config.Config {
	next := *cfg
	next.Policies = nil
	for _, name := range names {
		next.Policies = append(next.Policies, builtin.Config{Name: name})
	}
	return &next
}

// these has a configuration have those of the steps that it names.
func these(steps ...policy.Step) func([]builtin.Config, policy.Env, *builtin.Made) (*builtin.Made, error) {
	return func(all []builtin.Config, _ policy.Env, _ *builtin.Made) (*builtin.Made, error) {
		made := new(builtin.Made)
		for _, c := range all {
			at := slices.IndexFunc(steps, func(s policy.Step) bool { return s.Name == c.Name })
			if at < 0 {
				return nil, fmt.Errorf("policy %s: its file is not there", c.Name)
			}
			made.Steps = append(made.Steps, steps[at])
		}
		return made, nil
	}
}

// warden refuses calls whose target, or whose answer, has its word.
type warden struct {
	target, answer string
	seen           *policy.Call
}

func (w *warden) Before(_ context.Context, c *policy.Call) error {
	w.seen = c
	if w.target != "" && c.Target == w.target {
		return &policy.Denial{Reason: "not on my watch"}
	}
	return nil
}

func (w *warden) After(_ context.Context, _ *policy.Call, a *policy.Answer) error {
	if w.answer != "" && strings.Contains(string(a.Result()), w.answer) {
		return &policy.Denial{Reason: "keep that to yourself"}
	}
	return nil
}

// What the chain refuses does not reach the upstream, or its answer the client.
func TestChainIsConsulted(t *testing.T) {
	d := new(linktest.Dialer)
	d.Server("a").Tools, d.Server("a").OnRequest = []string{"echo", "no"}, echo
	cfg := settings(t, "a")
	w := &warden{target: "no", answer: "secret"}
	r := startWith(t, governed(cfg, "warden"), Options{Dialer: d, makePolicies: these(policy.Step{Name: "warden", Policy: w})})
	r.dialer = d
	r.running()
	c := r.connect(`{}`)
	if got := c.post(calls("1", "a__echo", `{}`)).result(t); got["isError"] != nil {
		t.Errorf("an allowed call: %v", got)
	}
	if w.seen.Upstream != "a" || w.seen.Target != "echo" || w.seen.Exposed != "a__echo" || w.seen.Method != "tools/call" || w.seen.Session == "" {
		t.Errorf("the policy saw %+v", w.seen)
	}
	before := d.Server("a").Asked("tools/call")
	if got := c.post(calls("2", "a__no", `{}`)).body; !strings.Contains(got, "not on my watch") || !strings.Contains(got, `"reason":"denied"`) || !strings.Contains(got, `"executed":"no"`) {
		t.Errorf("a refused call: %s", got)
	}
	if n := d.Server("a").Asked("tools/call"); n != before {
		t.Error("a refused call reached the upstream")
	}
	got := c.post(calls("3", "a__echo", `{"x":"secret"}`)).body
	if !strings.Contains(got, "keep that to yourself") || !strings.Contains(got, `"executed":"yes"`) || strings.Contains(got, "secret") {
		t.Errorf("a refused answer: %s", got)
	}
}
