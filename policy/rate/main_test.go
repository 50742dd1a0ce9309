package rate

import (
	"context"
	"errors"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
	"github.com/interlock-mcp/interlock/policy/policytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func made(t testing.TB, c Config) *Policy {
	t.Helper()
	return policytest.New(t, &c, nil).(*Policy)
}

// call is one of agent to the tool of the upstream.
func call(agent, upstream, tool string) *policy.Call {
	p := new(policy.Principal)
	if agent != "" {
		p = &policy.Principal{Issuer: "test", Subject: agent}
	}
	return &policy.Call{Principal: p, Method: "tools/call", Upstream: upstream, Target: tool}
}

// refused returns the denial of an error, nil for none.
func refused(t *testing.T, err error) *policy.Denial {
	t.Helper()
	if err == nil {
		return nil
	}
	d, ok := errors.AsType[*policy.Denial](err)
	if !ok {
		t.Fatalf("error %v is no denial", err)
	}
	return d
}

func pass(t *testing.T, p *Policy, c *policy.Call) {
	t.Helper()
	if err := p.Before(t.Context(), c); err != nil {
		t.Fatalf("%v: %v", c.Principal, err)
	}
}

func refuse(t *testing.T, p *Policy, c *policy.Call) *policy.Denial {
	t.Helper()
	d := refused(t, p.Before(t.Context(), c))
	if d == nil {
		t.Fatalf("%v was let through", c.Principal)
	}
	return d
}

func TestValidate(t *testing.T) {
	faults := func(c Config) []string {
		var out []string
		if many, ok := c.Validate().(interface{ Unwrap() []error }); ok {
			for _, err := range many.Unwrap() {
				out = append(out, err.Error())
			}
		}
		return out
	}
	got := faults(Config{
		Limits: []Limit{
			{Per: []string{"user", "tool", "tool"}, Rate: "60", Burst: -1, Wait: -time.Second, Config: narrow.Config{Tools: []string{"["}}},
			{},
			{Rate: "0/s"},
		},
		Concurrency: []Share{
			{PerPrincipal: "most", Wait: new(-time.Second), Queue: new(-1)},
			{Total: -2},
			{Total: 2, PerPrincipal: "3", Config: narrow.Config{Upstreams: []string{""}}},
		},
	})
	want := []string{
		`limits.0.tools.0: must be a name or a pattern such as "read_*", not "["`,
		`limits.0.per.0: must be principal, upstream or tool, not "user"`,
		`limits.0.per.2: is there already: tool`,
		`limits.0.rate: must be a number above 0 for each s, m, h or d, such as 60/m, not "60"`,
		`limits.0.burst: must not be negative: -1`,
		`limits.0.wait: must not be negative: -1s`,
		`limits.1: has no rate`,
		`limits.2.rate: must be a number above 0 for each s, m, h or d, such as 60/m, not "0/s"`,
		`concurrency.0: has no total`,
		`concurrency.0.per_principal_share: must be fair or a whole number of at least 1, not "most"`,
		`concurrency.0.wait: must not be negative: -1s`,
		`concurrency.0.queue: must not be negative: -1`,
		`concurrency.1.total: must be at least 1: -2`,
		`concurrency.2.upstreams.0: must be a name or a pattern such as "read_*", not ""`,
		`concurrency.2.per_principal_share: must be at most the total, which is 2, not 3`,
	}
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("fault %d:\n got %s\nwant %s", i, g, w)
		}
	}
	if err := new(Config).Validate(); err == nil {
		t.Error("a section that limits nothing is fine")
	}
	for s, want := range map[string]float64{"5/s": 5, "60/m": 1, "1800/h": 0.5, "0.5/s": 0.5, "86400/d": 1, " 3 / s": 3} {
		if got, ok := parseRate(s); !ok || got != want {
			t.Errorf("%q is %v, want %v", s, got, want)
		}
	}
	for _, s := range []string{"", "/", "5/", "/s", "5/w", "x/s", "-1/s", "NaN/s", "Inf/s", "1e10/s"} {
		if got, ok := parseRate(s); ok {
			t.Errorf("%q is %v", s, got)
		}
	}
}

func BenchmarkBefore(b *testing.B) {
	config := Config{
		Limits:      []Limit{{Per: []string{"principal", "tool"}, Rate: "1000000000/s", Burst: 1 << 30}},
		Concurrency: []Share{{Total: 64}},
	}
	for name, steps := range map[string][]policy.Step{
		"nothing": nil,
		"limit":   {{Policy: made(b, Config{Limits: config.Limits})}},
		"both":    {{Policy: made(b, config)}},
	} {
		b.Run(name, func(b *testing.B) {
			chain := policy.NewChain(nil, steps...)
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				c := call("agent", "search", "find")
				chain.Enter()
				if err := chain.Before(ctx, c); err != nil {
					b.Fatal(err)
				}
				chain.Done(c)
			}
		})
	}
}
