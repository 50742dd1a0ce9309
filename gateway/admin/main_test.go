package admin

import (
	"context"
	"encoding/json"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeState is a gateway with two upstreams and one tool, which echoes.
type fakeState struct {
	ready   bool
	callErr error
}

func (f *fakeState) Upstreams() []Upstream {
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

func (f *fakeState) Ready() (bool, []string) {
	if f.ready {
		return true, nil
	}
	return false, []string{"files"}
}

func (f *fakeState) Problems() []Problem { return nil }
