package upstream_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

// journal is an Observer that remembers, and checks each transition against the
// table of the states.
type journal struct {
	mu      sync.Mutex // guards the rest
	states  map[string][]upstream.State
	breaker map[string][]upstream.BreakerState
	stages  map[string][]string
	probes  []error
	wrong   []string
}

var table = map[upstream.State][]upstream.State{
	upstream.NotStarted: {upstream.Starting},
	upstream.Stopped:    {upstream.Starting},
	upstream.Starting:   {upstream.Running, upstream.Errored, upstream.Stopping},
	upstream.Running:    {upstream.Stopping, upstream.Errored},
	upstream.Stopping:   {upstream.Stopped, upstream.Errored},
	upstream.Errored:    {upstream.Starting, upstream.Stopped},
}

func (j *journal) StateChanged(s upstream.Status) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.states == nil {
		j.states = make(map[string][]upstream.State)
	}
	was := upstream.NotStarted
	if l := j.states[s.Name]; len(l) > 0 {
		was = l[len(l)-1]
	} else {
		j.states[s.Name] = []upstream.State{was}
	}
	ok := false
	for _, to := range table[was] {
		ok = ok || to == s.State
	}
	if !ok {
		j.wrong = append(j.wrong, fmt.Sprintf("%s: %s to %s", s.Name, was, s.State))
	}
	if open := s.Breaker == upstream.BreakerOpen; s.State == upstream.Errored && !open {
		j.wrong = append(j.wrong, s.Name+": in error with the breaker "+string(s.Breaker))
	}
	j.states[s.Name] = append(j.states[s.Name], s.State)
}

func (j *journal) BreakerChanged(name string, _, to upstream.BreakerState) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.breaker == nil {
		j.breaker = make(map[string][]upstream.BreakerState)
	}
	j.breaker[name] = append(j.breaker[name], to)
}

func (j *journal) StageBegan(name string, _ uint64, stage string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.stages == nil {
		j.stages = make(map[string][]string)
	}
	j.stages[name] = append(j.stages[name], stage)
}

func (j *journal) Probed(_ string, _ time.Duration, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.probes = append(j.probes, err)
}

func (j *journal) Listed(string, *upstream.Inventory, *upstream.Inventory) {}

// check compares the states that name went through.
func (j *journal) check(t *testing.T, name, want string) {
	t.Helper()
	synctest.Wait() // a state is seen before it is told
	j.mu.Lock()
	defer j.mu.Unlock()
	var got []string
	for _, s := range j.states[name] {
		got = append(got, string(s))
	}
	if g := strings.Join(got, " "); g != want {
		t.Errorf("%s went through %q, want %q", name, g, want)
	}
	for _, w := range j.wrong {
		t.Errorf("transition that is not in the table: %s", w)
	}
}
