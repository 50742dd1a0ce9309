package policy

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// scribe writes down when it is consulted, and does what it is told to.
type scribe struct {
	name          string
	before, after func(*Call) error
	log           *[]string
}

func (s *scribe) Before(_ context.Context, c *Call) error {
	*s.log = append(*s.log, "before "+s.name)
	if s.before == nil {
		return nil
	}
	return s.before(c)
}

func (s *scribe) After(_ context.Context, c *Call, _ *Answer) error {
	*s.log = append(*s.log, "after "+s.name)
	if s.after == nil {
		return nil
	}
	return s.after(c)
}

func (s *scribe) Done(*Call) { *s.log = append(*s.log, "done "+s.name) }

func request(t *testing.T, raw string) *Call {
	t.Helper()
	m, err := jsonrpc.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &Call{Principal: new(Principal), Message: &m}
}

const callRaw = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"a":1}}}`

func TestChain(t *testing.T) {
	no := func(*Call) error { return &Denial{Reason: "because"} }
	boom := func(*Call) error { panic("boom") }
	ill := func(*Call) error { return errors.New("ill") }
	all := []string{"before a", "before b", "before c", "after c", "after b", "after a", "done a", "done b", "done c"}
	for name, c := range map[string]struct {
		before, after func(*Call) error // of the policy in the middle
		step          Step
		want          []string
		effect        Effect
		refused       bool
	}{
		"passes":              {want: all, effect: Allow},
		"refused before":      {before: no, want: []string{"before a", "before b", "done a", "done b", "done c"}, effect: Deny, refused: true},
		"refused after":       {after: no, want: []string{"before a", "before b", "before c", "after c", "after b", "done a", "done b", "done c"}, effect: Deny, refused: true},
		"an error refuses":    {before: ill, want: []string{"before a", "before b", "done a", "done b", "done c"}, effect: Failed, refused: true},
		"a panic refuses":     {before: boom, want: []string{"before a", "before b", "done a", "done b", "done c"}, effect: Failed, refused: true},
		"an error may pass":   {before: ill, step: Step{OnError: Allow}, want: all, effect: Failed},
		"a dry run passes":    {before: no, step: Step{DryRun: true}, want: all, effect: Deny},
		"a denial never does": {before: no, step: Step{OnError: Allow}, want: []string{"before a", "before b", "done a", "done b", "done c"}, effect: Deny, refused: true},
	} {
		t.Run(name, func(t *testing.T) {
			var log []string
			var effect Effect
			c.step.Name, c.step.Policy = "b", &scribe{"b", c.before, c.after, &log}
			chain := NewChain(func(_ context.Context, _ *Call, d Decision) {
				if d.Policy == "b" && (effect == "" || effect == Allow) {
					effect = d.Effect
				}
			}, Step{Name: "a", Policy: &scribe{"a", nil, nil, &log}}, c.step, Step{Name: "c", Policy: &scribe{"c", nil, nil, &log}})
			call := request(t, callRaw)
			if !chain.Enter() {
				t.Fatal("the chain lets nobody in")
			}
			err := chain.Before(t.Context(), call)
			if err == nil {
				err = chain.After(t.Context(), call, &Answer{})
			}
			chain.Done(call)
			denial, ok := errors.AsType[*Denial](err)
			if ok != c.refused || ok && denial.Policy != "b" {
				t.Errorf("error %v, refused: %v, want %v", err, ok, c.refused)
			}
			if !slices.Equal(log, c.want) {
				t.Errorf("consulted %q, want %q", log, c.want)
			}
			if effect != c.effect {
				t.Errorf("effect %q, want %q", effect, c.effect)
			}
		})
	}
}

func TestEmptyChain(t *testing.T) {
	var none *Chain
	if !none.Empty() || !NewChain(nil).Empty() || !none.Enter() || none.Before(t.Context(), nil) != nil || none.After(t.Context(), nil, nil) != nil {
		t.Error("the empty chain stands in the way")
	}
	none.Done(nil)
}

// A chain is closed when the last call that entered it is over, and lets nobody in
// meanwhile.
func TestRetire(t *testing.T) {
	chain := NewChain(nil)
	closed := false
	if !chain.Enter() {
		t.Fatal("not let in")
	}
	chain.Retire(func() { closed = true })
	if closed || chain.Enter() {
		t.Errorf("with a call under way: closed %v, or somebody was let in", closed)
	}
	chain.Done(new(Call))
	if !closed {
		t.Error("not closed after the last call")
	}
}

// holder holds something for each call that it is asked about, and takes its time.
type holder struct {
	held atomic.Int32
	late chan struct{}
}

func (h *holder) Before(_ context.Context, c *Call) error {
	<-h.late
	h.held.Add(1)
	c.Keep(h, true)
	return nil
}

func (h *holder) After(context.Context, *Call, *Answer) error { return nil }

func (h *holder) Done(c *Call) {
	if c.Kept(h) != nil {
		h.held.Add(-1)
	}
}

// What a policy took for a call after nobody waited for it any more was never
// given back.
func TestLateFinisherLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &holder{late: make(chan struct{})}
		chain := NewChain(nil, Step{Name: "h", Policy: h, Timeout: time.Second})
		call := request(t, callRaw)
		chain.Enter()
		if err := chain.Before(t.Context(), call); err == nil {
			t.Error("a policy that is late lets a call pass")
		}
		chain.Done(call)
		close(h.late)
		synctest.Wait()
		if n := h.held.Load(); n != 0 {
			t.Errorf("it still holds something for %d calls", n)
		}
		next := request(t, callRaw)
		chain.Enter()
		if err := chain.Before(t.Context(), next); err != nil {
			t.Error(err)
		}
		if n := h.held.Load(); n != 1 {
			t.Errorf("it holds something for %d calls, want that of one that runs", n)
		}
		chain.Done(next)
		if n := h.held.Load(); n != 0 {
			t.Errorf("it holds something for %d calls after the last", n)
		}
	})
}
