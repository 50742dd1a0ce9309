package admin

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeState is a gateway with two upstreams and one tool, which echoes.
type fakeState struct {
	ready   bool
	callErr error
	ordered []string
	added   []AddOrder
	lines   chan string
	asked   TraceQuery
	traced  chan struct{}

	mu      sync.Mutex // guards the rest
	diary   []Event
	changed chan struct{}
}

func (f *fakeState) List(s Select) []Upstream {
	var out []Upstream
	for _, u := range f.all() {
		if s.Passes(&u) {
			out = append(out, u)
		}
	}
	return out
}

func (f *fakeState) all() []Upstream {
	return []Upstream{
		{Name: "files", State: "running", Health: "healthy", Breaker: "closed", Transport: "stdio", PID: 42, Tools: 1},
		{Name: "a/b", State: "error", Health: "unhealthy", Breaker: "open", LastFailure: &Failure{Stage: "spawn", Message: "no such file"}},
	}
}

func (f *fakeState) Tools() []Tool {
	return []Tool{{Name: "files__echo", Upstream: "files", Target: "echo", Listed: true}}
}

func (f *fakeState) Call(ctx context.Context, tool string, arguments json.RawMessage) (json.RawMessage, error) {
	if f.callErr != nil {
		return nil, f.callErr
	}
	if tool != "files__echo" {
		return nil, &Error{Code: CodeUnknownTool, Detail: "no tool is named " + tool, Mend: "list them"}
	}
	return json.RawMessage(`{"content":[], "structuredContent":` + string(arguments) + `}`), nil
}

func (*fakeState) Draining() bool { return false }

func (f *fakeState) Ready() (bool, []string) {
	if f.ready {
		return true, nil
	}
	return false, []string{"files"}
}

func (f *fakeState) Problems() []Problem { return nil }
func (f *fakeState) Profiles() []Profile { return nil }

func (f *fakeState) ToolsIn(profile string) ([]Tool, error) {
	if profile != "" {
		return nil, &Error{Code: CodeUnknownProfile, Detail: "no profile is named " + profile}
	}
	return f.Tools(), nil
}

func (f *fakeState) CallIn(ctx context.Context, profile, tool string, arguments json.RawMessage) (json.RawMessage, error) {
	if _, err := f.ToolsIn(profile); err != nil {
		return nil, err
	}
	return f.Call(ctx, tool, arguments)
}

func (f *fakeState) CallTraced(ctx context.Context, profile, tool string, arguments json.RawMessage) (json.RawMessage, string, error) {
	result, err := f.CallIn(ctx, profile, tool, arguments)
	return result, someTrace, err
}

// someTrace is the one trace that is kept.
const someTrace = "4bf92f3577b34da6a3ce929d0e0e4736"

func (f *fakeState) Traces(q TraceQuery) (json.RawMessage, error) {
	f.asked = q
	if q.Tool == "untraced" {
		return nil, &Error{Code: CodeNoTraces, Detail: "no traces are kept"}
	}
	return json.RawMessage(`{"resourceSpans":[]}`), nil
}

func (f *fakeState) NextTraces(q TraceQuery, after uint64) ([]json.RawMessage, uint64, <-chan struct{}, error) {
	if after > 1 {
		return nil, after, nil, nil
	}
	return []json.RawMessage{json.RawMessage(`{"resourceSpans":[{}]}`)}, after + 1, f.traced, nil
}

func (f *fakeState) TracesNow() uint64 { return 0 }

func (f *fakeState) Trace(_ context.Context, id string, wait time.Duration) (json.RawMessage, error) {
	if !strings.HasPrefix(someTrace, id) {
		return nil, &Error{Code: CodeUnknownTrace, Detail: "no trace begins with " + id + " within " + wait.String()}
	}
	return json.RawMessage(`{"resourceSpans":[{}]}`), nil
}

func (f *fakeState) Policies() []Policy { return nil }

func (f *fakeState) Status(name string) (string, error) {
	for _, u := range f.all() {
		if u.Name == name {
			return u.State, nil
		}
	}
	return "", &Error{Code: CodeUnknownUpstream, Detail: "no upstream is named " + name, Mend: "did you mean files?"}
}

func (f *fakeState) Info(name string) (Info, error) {
	for _, u := range f.all() {
		if u.Name == name {
			return Info{Upstream: u, Source: "file", Config: json.RawMessage(`{"env":{"KEY":"***"}}`)}, nil
		}
	}
	_, err := f.Status(name)
	return Info{}, err
}

func (f *fakeState) Graph() Graph {
	return Graph{Nodes: []Node{{Name: "files"}}, Order: []string{"files"}}
}

// obey carries out all orders at once, but for upstreams that are not there.
func (f *fakeState) obey(verb, state string, o Order) []Outcome {
	names := o.Names
	if o.All {
		names = []string{"files", "a/b"}
	}
	f.ordered = append(f.ordered, verb)
	var out []Outcome
	for _, name := range names {
		x := Outcome{Name: name, OK: true, Done: o.Wait, State: state}
		if _, err := f.Status(name); err != nil {
			e := new(Error)
			errors.As(err, &e)
			x = Outcome{Name: name, Error: e.Fault()}
		}
		out = append(out, x)
		if o.Each != nil {
			o.Each(x)
		}
	}
	return out
}

func (f *fakeState) Start(_ context.Context, o Order) []Outcome { return f.obey("start", "running", o) }

func (f *fakeState) Stop(_ context.Context, o Order) []Outcome { return f.obey("stop", "stopped", o) }

func (f *fakeState) Restart(_ context.Context, o Order) []Outcome {
	return f.obey("restart", "running", o)
}

func (f *fakeState) SignedIn(_ context.Context, o Order) []Outcome {
	return f.obey("signed-in", "running", o)
}

func (f *fakeState) Remove(_ context.Context, o Order) []Outcome { return f.obey("remove", "", o) }

func (f *fakeState) Add(_ context.Context, o AddOrder) ([]Outcome, error) {
	f.added = append(f.added, o)
	if f.callErr != nil {
		return nil, f.callErr
	}
	return []Outcome{{Name: "new", OK: true, State: "starting"}}, nil
}

func (f *fakeState) Reload(context.Context) (Plan, error) {
	return Plan{Added: []string{"new"}, Applied: true}, f.callErr
}

func (f *fakeState) Plan(context.Context) (Plan, error) {
	return Plan{Added: []string{"new"}}, f.callErr
}

func (f *fakeState) Config() (json.RawMessage, error) {
	return json.RawMessage(`{"admin":{"token":"***"}}`), nil
}

func (f *fakeState) Check(_ context.Context, names []string) map[string]Check {
	if len(names) == 0 {
		names = []string{"files", "a/b"}
	}
	out := map[string]Check{}
	for _, n := range names {
		out[n] = Check{Healthy: n == "files", Status: "running"}
	}
	return out
}

func (f *fakeState) Stats(window time.Duration, names []string) []Stats {
	if len(names) == 0 {
		names = []string{"files", "a/b"}
	}
	var out []Stats
	for _, n := range names {
		out = append(out, Stats{Name: n, Window: window.Seconds()})
	}
	return out
}

func (f *fakeState) Logs(name string, n int) ([]LogLine, error) {
	_, err := f.Status(name)
	return []LogLine{{Text: "one"}, {Text: "two"}}[:min(n, 2)], err
}

// Follow gives two lines and then what is put into lines, until that is closed.
func (f *fakeState) Follow(ctx context.Context, name string, n int) (iter.Seq[LogLine], error) {
	old, err := f.Logs(name, n)
	return func(yield func(LogLine) bool) {
		for _, l := range old {
			if !yield(l) {
				return
			}
		}
		for {
			select {
			case text, ok := <-f.lines:
				if !ok || !yield(LogLine{Text: text}) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}, err
}

// happened adds an event.
func (f *fakeState) happened(text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.diary = append(f.diary, Event{Seq: uint64(len(f.diary) + 1), Kind: "state", Text: text})
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

func (f *fakeState) Events(after uint64) ([]Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed == nil {
		f.changed = make(chan struct{})
	}
	return f.diary[min(after, uint64(len(f.diary))):], f.changed
}
