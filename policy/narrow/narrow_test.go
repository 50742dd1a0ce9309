package narrow

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestScope(t *testing.T) {
	call := func(method, upstream, target string) *policy.Call {
		return &policy.Call{Method: method, Upstream: upstream, Target: target}
	}
	for name, c := range map[string]struct {
		config Config
		call   *policy.Call
		want   bool
	}{
		"all":                          {Config{}, call("resources/read", "a", "x"), true},
		"another upstream":             {Config{Upstreams: []string{"b*"}}, call("tools/call", "a", "x"), false},
		"the upstream":                 {Config{Upstreams: []string{"b", "a*"}}, call("prompts/get", "a1", "x"), true},
		"the tool":                     {Config{Tools: []string{"read_*"}}, call("tools/call", "a", "read_file"), true},
		"another tool":                 {Config{Tools: []string{"read_*"}}, call("tools/call", "a", "write_file"), false},
		"a resource is no tool":        {Config{Tools: []string{"*"}}, call("resources/read", "a", "file:///x"), false},
		"the tool of another upstream": {Config{Upstreams: []string{"b"}, Tools: []string{"*"}}, call("tools/call", "a", "x"), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(c.config)
			if got := s.Call(c.call); got != c.want {
				t.Errorf("about the call: %v, want %v", got, c.want)
			}
			if got := s.Message(&policy.ServerMessage{Upstream: "other", Call: c.call}); got != c.want {
				t.Errorf("about a message of the call: %v, want %v", got, c.want)
			}
		})
	}
	narrowed := New(Config{Tools: []string{"x"}})
	if narrowed.Upstream("a") {
		t.Error("about all of an upstream, though only about a tool")
	}
}

func TestFaults(t *testing.T) {
	c := Config{Upstreams: []string{"a", "["}, Tools: []string{""}}
	errs := c.Faults("limits", "0")
	if len(errs) != 2 || errs[0].Error() != `limits.0.upstreams.1: must be a name or a pattern such as "read_*", not "["` || errs[1].Error() != `limits.0.tools.0: must be a name or a pattern such as "read_*", not ""` {
		t.Errorf("faults %v", errs)
	}
}
