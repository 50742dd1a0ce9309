package validate

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
	"github.com/interlock-mcp/interlock/policy/policytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const tool = `{"name":"find","inputSchema":{"type":"object","properties":{"query":{"type":"string"},"limit":{"type":"integer"}},"required":["query"],"additionalProperties":false},
	"outputSchema":{"type":"object","properties":{"hits":{"type":"integer"}},"required":["hits"]}}`

func made(t testing.TB, c Config, log *strings.Builder) *Policy {
	t.Helper()
	if log == nil {
		log = new(strings.Builder)
	}
	return policytest.New(t, &c, log).(*Policy)
}

// request is a call of a tool with those arguments, none if they are "".
func request(t testing.TB, definition, arguments string) *policy.Call {
	t.Helper()
	if arguments != "" {
		arguments = `,"arguments":` + arguments
	}
	m := policytest.Request(t, "tools/call", `{"name":"x"`+arguments+`}`)
	return &policy.Call{
		Principal: new(policy.Principal), Method: "tools/call", Upstream: "search", Target: "find", Message: m,
		Definition: &policy.Definition{Kind: policy.Tool, Name: "find", Raw: []byte(definition)},
	}
}

func answer(t testing.TB, member string) *policy.Answer {
	t.Helper()
	return policytest.Answer(t, `{"jsonrpc":"2.0","id":1,`+member+`}`)
}

// outcome says what came of a decision: what was noted, or why it was refused.
func outcome(c *policy.Call, err error) string {
	if d, ok := errors.AsType[*policy.Denial](err); ok {
		return "denied: " + d.Reason
	}
	if err != nil {
		return "failed: " + err.Error()
	}
	if notes := c.Notes(); len(notes) > 0 {
		return "noted: " + notes[0].Value
	}
	return ""
}

func TestArguments(t *testing.T) {
	for name, c := range map[string]struct {
		config                      Config
		definition, arguments, want string
	}{
		"right":     {arguments: `{"query":"x"}`},
		"wrong":     {arguments: `{"query":7}`, want: "denied: the arguments do not match the tool's input schema: /query must be a string, not an integer"},
		"several":   {arguments: `{"limt":7}`, want: `denied: the arguments do not match the tool's input schema: the arguments must have the property "query"; the arguments must not have the property "limt": did you mean "limit"?`},
		"none":      {want: `denied: the arguments do not match the tool's input schema: the arguments must have the property "query"`},
		"report":    {config: Config{Arguments: "report"}, want: `noted: the arguments do not match the tool's input schema: the arguments must have the property "query"`},
		"off":       {config: Config{Arguments: "off"}},
		"narrowed":  {config: Config{Config: narrow.Config{Tools: []string{"other"}}}},
		"no schema": {definition: `{"name":"find"}`},
		"a reference": {
			definition: `{"inputSchema":{"$ref":"http://127.0.0.1:1/x"}}`,
			want:       "denied: the arguments cannot be checked: the schema refers to another document, and none is ever fetched",
		},
		"a reference may pass": {
			config:     Config{Unsupported: "pass"},
			definition: `{"inputSchema":{"$ref":"http://127.0.0.1:1/x"}}`,
			want:       "noted: the arguments cannot be checked: the schema refers to another document, and none is ever fetched",
		},
		"too much": {definition: `{"inputSchema":{"$ref":"#"}}`, want: "failed: the arguments: validating takes too much work"},
		"too much to report": {
			config: Config{Arguments: "report"}, definition: `{"inputSchema":{"$ref":"#"}}`,
			want: "noted: the arguments cannot be checked: validating takes too much work",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.definition == "" {
				c.definition = tool
			}
			call := request(t, c.definition, c.arguments)
			if got := outcome(call, made(t, c.config, nil).Before(t.Context(), call)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestResults(t *testing.T) {
	const wrong = "denied: the structured content does not match the tool's output schema: "
	for name, c := range map[string]struct {
		config       Config
		member, want string
	}{
		"right":             {member: `"result":{"content":[],"structuredContent":{"hits":1}}`},
		"wrong":             {member: `"result":{"content":[],"structuredContent":{"hits":"1"}}`, want: wrong + "/hits must be an integer, not a string"},
		"the last counts":   {member: `"result":{"structuredContent":{"hits":"1","hits":1}}`},
		"the last is wrong": {member: `"result":{"structuredContent":{"hits":1,"hits":[]}}`, want: wrong + "/hits must be an integer, not an array"},
		"absent":            {member: `"result":{"content":[]}`, want: "denied: the structured content that the tool's output schema describes is not there"},
		"a tool's error":    {member: `"result":{"content":[],"isError":true}`},
		"no error":          {member: `"result":{"isError":false,"structuredContent":{}}`, want: wrong + `the structured content must have the property "hits"`},
		"an error":          {member: `"error":{"code":-32603,"message":"x"}`},
		"a question":        {member: `"result":{"resultType":"input_required","inputRequests":{}}`},
		"complete":          {member: `"result":{"resultType":"complete"}`, want: "denied: the structured content that the tool's output schema describes is not there"},
		"a task":            {member: `"result":{"task":{"taskId":"1"}}`},
		"report":            {config: Config{Results: "report"}, member: `"result":{"content":[]}`, want: "noted: the structured content that the tool's output schema describes is not there"},
		"off":               {config: Config{Results: "off"}, member: `"result":{"content":[]}`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.config.Results == "" {
				c.config.Results = "deny"
			}
			call := request(t, tool, "{}")
			if got := outcome(call, made(t, c.config, nil).After(t.Context(), call, answer(t, c.member))); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
	call := request(t, tool, "{}")
	if got := outcome(call, made(t, Config{}, nil).After(t.Context(), call, answer(t, `"result":{}`))); !strings.HasPrefix(got, "noted: ") {
		t.Errorf("by default: %q", got)
	}
}

// What is no call of a tool that is known passes.
func TestOthers(t *testing.T) {
	p := made(t, Config{}, nil)
	unknown := request(t, tool, "{}")
	unknown.Definition = nil
	prompt := request(t, tool, "{}")
	prompt.Method = "prompts/get"
	for _, c := range []*policy.Call{unknown, prompt} {
		if got := outcome(c, p.Before(t.Context(), c)); got != "" {
			t.Error(got)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{}, ""},
		{Config{Arguments: "off", Results: "off"}, "results: leaves nothing to check, as arguments are off, too"},
		{
			Config{Arguments: "yes", Results: "block", Unsupported: "off", Config: narrow.Config{Upstreams: []string{"["}}},
			"upstreams.0: must be a name or a pattern such as \"read_*\", not \"[\"\n" +
				"arguments: must be deny, report or off, not \"yes\"\nresults: must be deny, report or off, not \"block\"\nunsupported: must be deny or pass, not \"off\"",
		},
	} {
		got := ""
		if err := c.config.Validate(); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%+v:\n got %s\nwant %s", c.config, got, c.want)
		}
	}
}

// However many calls need a schema at once, it is compiled for one of them, and
// what cannot be used is said once.
func TestCompiledOnce(t *testing.T) {
	var log strings.Builder
	p := made(t, Config{}, &log)
	var all sync.WaitGroup
	var mu sync.Mutex
	firsts := 0
	for range 32 {
		d := &policy.Definition{Raw: []byte(`{"inputSchema":{"type":"nothing"}}`)} // by what it says, not by where it is
		all.Go(func() {
			_, first, err := p.cache.schema(d, "inputSchema")
			mu.Lock()
			defer mu.Unlock()
			if first {
				firsts++
			}
			if err == nil {
				t.Error("no error")
			}
		})
	}
	all.Wait()
	if firsts != 1 {
		t.Errorf("compiled for %d calls", firsts)
	}
	for range 3 {
		_ = p.Before(t.Context(), request(t, `{"inputSchema":{"type":"no"}}`, "{}"))
	}
	if n := strings.Count(log.String(), "a tool's schema cannot be used"); n != 1 {
		t.Errorf("said %d times: %s", n, log.String())
	}
}

func TestCacheIsBounded(t *testing.T) {
	p := made(t, Config{}, nil)
	first := &policy.Definition{Raw: []byte(`{"n":"first"}`)}
	e := p.cache.entry(cacheKey{first.Hash(), "inputSchema"})
	for i := range maxSchemas + 10 {
		_, _, _ = p.cache.schema(first, "inputSchema")
		_, _, _ = p.cache.schema(&policy.Definition{Raw: fmt.Appendf(nil, `{"n":%d}`, i)}, "inputSchema")
	}
	if len(p.cache.all) != maxSchemas || p.cache.used.Len() != maxSchemas {
		t.Errorf("%d schemas, %d in order", len(p.cache.all), p.cache.used.Len())
	}
	if p.cache.entry(e.key) != e {
		t.Error("what is used most is gone")
	}
}

func BenchmarkBefore(b *testing.B) {
	for name, steps := range map[string][]policy.Step{"nothing": nil, "validate": {{Policy: made(b, Config{}, nil)}}} {
		b.Run(name, func(b *testing.B) {
			chain := policy.NewChain(nil, steps...)
			ctx := context.Background()
			c := request(b, tool, `{"query":"what is new","limit":10}`)
			b.ReportAllocs()
			for b.Loop() {
				chain.Enter()
				if err := chain.Before(ctx, c); err != nil {
					b.Fatal(err)
				}
				chain.Done(c)
			}
		})
	}
}
