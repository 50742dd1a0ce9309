package rate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/interlock-mcp/interlock/policy"
)

func TestFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Concurrency: []Share{{Total: 4}}})
		var greedy []*policy.Call
		for range 4 { // all of them, as nobody else wants any
			c := call("greedy", "u", "x")
			pass(t, p, c)
			greedy = append(greedy, c)
		}
		var mu sync.Mutex
		var order []string
		calls := map[string][]*policy.Call{}
		wait := func(agent string) {
			go func() {
				c := call(agent, "u", "x")
				pass(t, p, c)
				mu.Lock()
				defer mu.Unlock()
				order = append(order, agent)
				calls[agent] = append(calls[agent], c)
			}()
			synctest.Wait()
		}
		for _, agent := range []string{"greedy", "greedy", "a", "a", "b"} {
			wait(agent)
		}
		for _, c := range greedy {
			p.Done(c)
			synctest.Wait()
		}
		// Those who have none come first, in the order they came. Then greedy has one,
		// twice, as a has, and has waited for longer.
		if got := strings.Join(order, " "); got != "a b greedy greedy" {
			t.Errorf("admitted %s", got)
		}
		p.Done(calls["b"][0])
		synctest.Wait()
		for _, all := range calls {
			for _, c := range all {
				p.Done(c)
				p.Done(c) // once is enough
			}
		}
		synctest.Wait()
		for _, c := range calls["greedy"] {
			p.Done(c)
		}
		empty(t, p)
	})
}

// empty fails unless all slots are free and nobody is remembered.
func empty(t testing.TB, p *Policy) {
	t.Helper()
	for _, s := range p.shares {
		s.mu.Lock()
		if len(s.all) != 0 || len(s.lines) != 0 {
			t.Errorf("%d principals are remembered, %d wait", len(s.all), len(s.lines))
		}
		s.mu.Unlock()
	}
}

func TestShareOfEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Concurrency: []Share{{Total: 4, PerPrincipal: "2", Wait: new(time.Duration)}}})
		a1, a2 := call("a", "u", "x"), call("a", "u", "x")
		pass(t, p, a1)
		pass(t, p, a2)
		if d := refuse(t, p, call("a", "u", "x")); d.Reason != "4 calls run at once already, or 2 of this principal" || d.RetryAfter != time.Second {
			t.Errorf("refused with %q, come back in %s", d.Reason, d.RetryAfter)
		}
		pass(t, p, call("b", "u", "x"))
		p.Done(a1)
		pass(t, p, call("a", "u", "x"))
	})
}

// Those who have as many as they may do not stand in the way of others.
func TestShareOfEachWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Concurrency: []Share{{Total: 2, PerPrincipal: "1"}}})
		a := call("a", "u", "x")
		pass(t, p, a)
		second := make(chan struct{})
		go func() { pass(t, p, call("a", "u", "x")); close(second) }()
		synctest.Wait()
		pass(t, p, call("b", "u", "x"))
		p.Done(a)
		<-second
	})
}

func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Concurrency: []Share{{Total: 1, Queue: new(1), Wait: new(3 * time.Second)}}})
		first := call("a", "u", "x")
		pass(t, p, first)
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 3)
		go func() { ended <- p.Before(ctx, call("a", "u", "x")) }()
		synctest.Wait()
		if d := refuse(t, p, call("a", "u", "x")); d.Reason != "1 calls run at once already, and 1 of this principal wait" {
			t.Errorf("refused with %q", d.Reason)
		}
		why := errors.New("gone")
		cancel(why)
		if err := <-ended; !errors.Is(err, why) {
			t.Errorf("a call whose context ended: %v", err)
		}
		began := time.Now()
		d := refuse(t, p, call("a", "u", "x")) // its place is free again, and its time runs out
		if took := time.Since(began); took != 3*time.Second || d.Reason != "1 calls run at once already, and no slot was free within 3s" {
			t.Errorf("refused after %s with %q", took, d.Reason)
		}
		p.Done(first)
		last := call("b", "u", "x")
		pass(t, p, last)
		p.Done(last)
		empty(t, p)
	})
}

// A call that a later share refuses gives back what it had of the first, and so
// does one that is given its slot at the moment at which it ends.
func TestNothingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Concurrency: []Share{{Total: 2}, {Total: 1, Wait: new(time.Duration)}}})
		first := call("a", "u", "x")
		pass(t, p, first)
		for range 5 {
			c := call("b", "u", "x")
			refuse(t, p, c)
			p.Done(c)
		}
		if free := p.shares[0].free; free != 1 {
			t.Errorf("%d slots are free, want 1", free)
		}
		p.Done(first)
		empty(t, p)
	})
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Concurrency: []Share{{Total: 1}}})
		for range 200 {
			first := call("a", "u", "x")
			pass(t, p, first)
			ctx, cancel := context.WithCancel(t.Context())
			second := call("b", "u", "x")
			done := make(chan struct{})
			go func() {
				_ = p.Before(ctx, second)
				p.Done(second)
				close(done)
			}()
			synctest.Wait()
			go cancel()
			go p.Done(first)
			<-done
			synctest.Wait()
			empty(t, p)
		}
	})
}

// One that is given its slot after it stopped waiting, and before it said so, gives
// it back.
func TestAdmittedTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{Concurrency: []Share{{Total: 1}}})
		s := p.shares[0]
		pass(t, p, call("a", "u", "x"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- p.Before(ctx, call("b", "u", "x")) }()
		synctest.Wait()
		s.mu.Lock()
		cancel() // it goes on, as far as the lock
		a := s.all["test\x00a"]
		a.has--
		s.free++
		s.admit()
		s.forget(a)
		s.mu.Unlock()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		empty(t, p)
	})
}

// One agent that keeps a hundred calls waiting and nine that make one after the
// other: each of the nine gets nearly what it would get if all were modest.
func TestOneGreedyNineModest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const work, last = time.Second, time.Hour
		p := made(t, Config{Concurrency: []Share{{Total: 16, Queue: new(100), Wait: new(time.Hour)}}})
		began := time.Now()
		var mu sync.Mutex
		served, longest := map[string]int{}, map[string]time.Duration{}
		var all sync.WaitGroup
		agent := func(name string, think time.Duration) {
			defer all.Done()
			for time.Since(began) < last {
				asked := time.Now()
				c := call(name, "u", "x")
				pass(t, p, c)
				waited := time.Since(asked)
				time.Sleep(work)
				p.Done(c)
				mu.Lock()
				served[name]++
				longest[name] = max(longest[name], waited)
				mu.Unlock()
				time.Sleep(think)
			}
		}
		all.Add(100 + 9)
		for range 100 {
			go agent("greedy", 0)
		}
		synctest.Wait() // it has all slots
		for i := range 9 {
			go agent(fmt.Sprint("modest", i), time.Duration(i)*100*time.Millisecond)
		}
		all.Wait()
		empty(t, p)
		total := 0
		for name, n := range served {
			total += n
			if name == "greedy" {
				continue
			}
			// A modest agent has a slot again after one call of another at most.
			if longest[name] > work {
				t.Errorf("%s waited %s", name, longest[name])
			}
		}
		for i := range 9 {
			cycle := work + time.Duration(i)*100*time.Millisecond // if it never waited
			name := fmt.Sprint("modest", i)
			if n, alone := served[name], int(last/cycle); n < alone*55/100 {
				t.Errorf("%s made %d calls, of %d if it were alone", name, n, alone)
			}
		}
		if idle := 16*int(last/work) - total; idle > 200 {
			t.Errorf("slots were idle for %d calls, though the greedy one waited", idle)
		}
		t.Logf("served %v, longest waits %v", served, longest)
	})
}

// Whatever comes and goes in whatever order, no slot is lost or given twice, and
// none is free while somebody waits who may have it.
func TestShareHoldsProperties(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		total := rapid.IntRange(1, 4).Draw(rt, "total")
		s := newShare(&Share{Total: total, PerPrincipal: fmt.Sprint(rapid.IntRange(1, total).Draw(rt, "each"))})
		type waits struct {
			p *party
			w *waiter
		}
		has, waiting := []string{}, []waits{}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			switch rapid.IntRange(0, 2).Draw(rt, "what") {
			case 0:
				key := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "who")
				if p, w, no := s.ask(key, s.wait); w != nil {
					waiting = append(waiting, waits{p, w})
				} else if no == "" {
					has = append(has, key)
				}
			case 1:
				if len(has) > 0 {
					i := rapid.IntRange(0, len(has)-1).Draw(rt, "which")
					s.leave(has[i])
					has = append(has[:i], has[i+1:]...)
				}
			case 2:
				if len(waiting) > 0 {
					i := rapid.IntRange(0, len(waiting)-1).Draw(rt, "which")
					if !s.withdraw(waiting[i].p, waiting[i].w) {
						rt.Fatal("one that waits was admitted")
					}
					waiting = append(waiting[:i], waiting[i+1:]...)
				}
			}
			still := waiting[:0]
			for _, w := range waiting {
				select {
				case <-w.w.admitted:
					has = append(has, w.p.key)
				default:
					still = append(still, w)
				}
			}
			waiting = still
			count := map[string]int{}
			for _, key := range has {
				count[key]++
			}
			if len(has)+s.free != total {
				rt.Fatalf("%d have a slot and %d are free, of %d", len(has), s.free, total)
			}
			for key, n := range count {
				if n > s.each || s.all[key].has != n {
					rt.Fatalf("%s has %d, which is held to be %d, and may have %d", key, n, s.all[key].has, s.each)
				}
			}
			for _, w := range waiting {
				if s.free > 0 && count[w.p.key] < s.each {
					rt.Fatalf("%s waits while a slot is free", w.p.key)
				}
			}
		}
		for _, key := range has {
			s.leave(key)
		}
		for len(waiting) > 0 {
			w := waiting[0]
			waiting = waiting[1:]
			if !s.withdraw(w.p, w.w) {
				s.leave(w.p.key)
			}
		}
		if s.free != total || len(s.all) != 0 || len(s.lines) != 0 {
			rt.Fatalf("%d of %d are free, %d are remembered, %d wait", s.free, total, len(s.all), len(s.lines))
		}
	})
}

// A dry run says what it would do, and keeps nobody waiting.
func TestDryRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := made(t, Config{
			Limits:      []Limit{{Rate: "1/m", Wait: time.Hour}},
			Concurrency: []Share{{Total: 2}},
		})
		var told []policy.Decision
		chain := policy.NewChain(func(_ context.Context, _ *policy.Call, d policy.Decision) { told = append(told, d) },
			policy.Step{Name: "rate", Policy: p, DryRun: true})
		began := time.Now()
		var calls []*policy.Call
		for range 3 {
			c := call("a", "u", "x")
			calls = append(calls, c)
			chain.Enter()
			if err := chain.Before(t.Context(), c); err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it took %s", took)
		}
		for i, want := range []policy.Effect{policy.Allow, policy.Report, policy.Deny} {
			if told[i].Effect != want || !told[i].Passed {
				t.Errorf("decision %d is %s, passed %v", i, told[i].Effect, told[i].Passed)
			}
		}
		for _, c := range calls {
			chain.Done(c)
		}
		empty(t, p)
	})
}
