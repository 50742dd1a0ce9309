package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// mark notes that a policy was asked about a call.
type mark struct {
	ruler
	id    int64
	open  atomic.Int64
	wrong *atomic.Int64 // how often it was asked when it was closed, or closed while asked
}

func (m *mark) Before(ctx context.Context, c *policy.Call) error {
	m.open.Add(1)
	if m.closed.Load() > 0 {
		m.wrong.Add(1)
	}
	var by []int64
	if had, ok := c.Kept("by").([]int64); ok {
		by = had
	}
	c.Keep("by", append(by, m.id))
	c.SetArguments(fmt.Appendf(nil, `{"by":%d}`, m.id))
	return m.ruler.Before(ctx, c)
}

func (m *mark) Done(c *policy.Call) {
	if by, ok := c.Kept("by").([]int64); !ok || len(by) != 1 || by[0] != m.id {
		m.wrong.Add(1)
	}
	m.open.Add(-1)
	m.ruler.Done(c)
}

func (m *mark) Close() error {
	if m.open.Load() != 0 {
		m.wrong.Add(1)
	}
	return m.ruler.Close()
}

// While the chain is replaced again and again under 64 clients each call is decided
// on by exactly one policy, none fails, and each policy is closed once, after its
// last call.
func TestChainsAreSwappedUnderCalls(t *testing.T) {
	d := dialer("do")
	d.Server("a").OnRequest = echo
	var wrong atomic.Int64
	var all []*mark
	cfg := settings(t, "a")
	r := startWith(t, governed(cfg, "p0"), Options{Dialer: d, makePolicies: func(c []builtin.Config, _ policy.Env, _ *builtin.Made) (*builtin.Made, error) {
		m := &mark{id: int64(len(all)), wrong: &wrong}
		all = append(all, m)
		return &builtin.Made{Steps: []policy.Step{{Name: c[0].Name, Policy: m}}}, nil
	}}).running()
	stop, made := make(chan struct{}), atomic.Int64{}
	var clients sync.WaitGroup
	for range 64 {
		c := r.connect(`{}`)
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got := c.post(calls("1", "a__do", `{}`)).body
				made.Add(1)
				if !strings.Contains(got, `{\"by\":`) || strings.Contains(got, "isError") {
					t.Errorf("undecided, or lost: %s", got)
					return
				}
			}
		})
	}
	for i := range 100 {
		before := made.Load()
		if _, err := r.Apply(t.Context(), governed(cfg, fmt.Sprintf("p%d", i+1))); err != nil {
			t.Fatal(err)
		}
		for made.Load() == before && !t.Failed() { // some calls under each
			r.Alive(t.Context())
		}
	}
	close(stop)
	clients.Wait()
	r.stop()
	asked := int64(0)
	for _, m := range all {
		asked += m.asked.Load()
		if m.closed.Load() != 1 {
			t.Errorf("policy %d of %d was closed %d times", m.id, len(all), m.closed.Load())
		}
	}
	if len(all) != 101 || asked != made.Load() || wrong.Load() != 0 {
		t.Errorf("%d chains, %d calls, decided on %d times, %d of them wrongly", len(all), made.Load(), asked, wrong.Load())
	}
	t.Logf("%d calls under %d chains", made.Load(), len(all))
}

// A policy that cannot be had changes nothing; one that stays as it was is the same;
// one that went is closed when the last call that it knows of is over.
func TestPoliciesOverReloads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer("do")
		d.Server("a").OnRequest = echo
		hold, held := make(chan struct{}), make(chan struct{})
		stays, goes := new(ruler), &ruler{before: func(_ context.Context, c *policy.Call) error {
			if strings.Contains(string(c.Arguments()), "hold") {
				close(held)
				<-hold
			}
			return nil
		}}
		cfg := settings(t, "a")
		r := startWith(t, governed(cfg, "stays", "goes"), Options{Dialer: d, makePolicies: these(step("stays", stays), step("goes", goes))}).running()
		old := r.connect(`{}`)
		answered := make(chan string, 1)
		go func() { answered <- old.post(calls("1", "a__do", `{"hold":1}`)).body }()
		<-held

		_, err := r.Apply(t.Context(), governed(cfg, "stays", "missing"))
		if e, ok := errors.AsType[*admin.Error](err); !ok || e.Code != admin.CodePolicyFailed || !strings.Contains(e.Detail, "policy missing: its file is not there") {
			t.Errorf("a policy that is not there: %v", err)
		}
		if names := r.rules.now.Load().chain.Names(); len(names) != 2 || names[1] != "goes" {
			t.Errorf("after a reload that was refused there are %v", names)
		}
		if _, err := r.Apply(t.Context(), governed(cfg, "stays")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		asked := goes.asked.Load()
		if got := r.connect(`{}`).post(calls("2", "a__do", "{}")).body; strings.Contains(got, "isError") || goes.asked.Load() != asked {
			t.Errorf("the policy that went is asked: %s", got)
		}
		if goes.closed.Load() != 0 {
			t.Error("it is closed while a call is with it")
		}
		close(hold)
		if got := <-answered; strings.Contains(got, "isError") {
			t.Errorf("the call from before: %s", got)
		}
		synctest.Wait()
		if goes.closed.Load() != 1 || stays.closed.Load() != 0 {
			t.Errorf("closed: %d that went, %d that stays", goes.closed.Load(), stays.closed.Load())
		}
		counts := r.Policies()
		if len(counts) != 1 || counts[0].Name != "stays" || counts[0].Decisions["allow"] < 4 {
			t.Errorf("policies %+v", counts)
		}
		r.stop()
		if stays.closed.Load() != 1 {
			t.Errorf("closed %d times at the end", stays.closed.Load())
		}
	})
}

// A gateway that cannot be made leaves no policy open.
func TestPoliciesOfAGatewayThatIsNot(t *testing.T) {
	rule := new(ruler)
	cfg := settings(t, "a")
	cfg.Upstreams[0].DependsOn = []upstream.Dependency{{On: "a", Condition: upstream.ConditionRunning}}
	if _, err := New(governed(cfg, "rule"), Options{Dialer: new(linktest.Dialer), makePolicies: these(step("rule", rule))}); err == nil {
		t.Fatal("an upstream that depends on itself is taken")
	}
	if rule.closed.Load() != 1 {
		t.Errorf("closed %d times", rule.closed.Load())
	}
}

// A plan says what becomes of the policies.
func TestPlanOfPolicies(t *testing.T) {
	of := func(names ...string) []builtin.Config { return governed(settings(t), names...).Policies }
	strict := of("a", "b")
	strict[1].DryRun = true
	for name, c := range map[string]struct {
		before, after           []builtin.Config
		added, removed, changed []string
	}{
		"none":      {},
		"the same":  {before: of("a", "b"), after: of("a", "b")},
		"one more":  {before: of("a"), after: of("b", "a"), added: []string{"b"}},
		"one less":  {before: of("a", "b"), after: of("b"), removed: []string{"a"}},
		"the order": {before: of("a", "b", "c"), after: of("c", "a", "b"), changed: []string{"a", "b"}},
		"a key":     {before: of("a", "b"), after: strict, changed: []string{"b"}},
	} {
		added, removed, changed := comparePolicies(c.before, c.after)
		if !slices.Equal(added, c.added) || !slices.Equal(removed, c.removed) || !slices.Equal(changed, c.changed) {
			t.Errorf("%s: added %v, removed %v, changed %v", name, added, removed, changed)
		}
	}
}

// The log is told once a minute of a policy that cannot decide, and how often it
// could not.
func TestFailingPoliciesAreToldOnceAMinute(t *testing.T) {
	var s score
	now := time.Now()
	for i, c := range []struct {
		after  time.Duration
		unsaid int
		ok     bool
	}{{0, 0, true}, {time.Second, 0, false}, {59 * time.Second, 0, false}, {time.Minute, 2, true}, {61 * time.Second, 0, false}, {2 * time.Minute, 1, true}} {
		if unsaid, ok := s.warns(now.Add(c.after)); unsaid != c.unsaid || ok != c.ok {
			t.Errorf("%d: %d, %v", i, unsaid, ok)
		}
	}
}
