package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/policytest"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// called returns a call of the tool files/read_file with the arguments.
func called(t testing.TB, arguments string) *policy.Call {
	t.Helper()
	m := policytest.Request(t, "tools/call", `{"name":"files__read_file","arguments":`+arguments+`}`)
	return &policy.Call{
		Principal: &policy.Principal{Issuer: "https://id.example", Subject: "7", Name: "ann", Groups: []string{"dev"}, Scopes: []string{"files:read"}},
		Session:   "s", Profile: "work", Method: "tools/call", Message: m,
		Upstream: "files", Tags: []string{"private"}, Target: "read_file", Exposed: "files__read_file",
		Definition: &policy.Definition{
			Kind: policy.Tool, Name: "read_file", Trusted: true,
			Raw: []byte(`{"name":"read_file","annotations":{"readOnlyHint":true,"title":"Read"},"inputSchema":{}}`),
		},
	}
}

func made(t testing.TB, c Config) *Policy {
	t.Helper()
	return policytest.New(t, &c, nil).(*Policy)
}

// outcome is what came of a call in a word: allow, deny or error.
func outcome(err error) string {
	if err == nil {
		return "allow"
	}
	if _, ok := errors.AsType[*policy.Denial](err); ok {
		return "deny"
	}
	return "error"
}

const plainArguments = `{"path":"/etc/passwd","n":9007199254740993,"u":18446744073709551615,"f":1.5,"list":[1,2,3],"deep":{"a":{"b":[1]}},"text":"abc","regexp":"(abc","yes":true,"none":null}`

func TestExpressions(t *testing.T) {
	for expression, want := range map[string]string{
		`principal.issuer == "https://id.example" && principal.subject == "7" && principal.name == "ann"`: "allow",
		`"dev" in principal.groups && "files:read" in principal.scopes && !principal.anonymous`:           "allow",
		`profile == "work" && session == "s" && method == "tools/call" && target == "read_file"`:          "allow",
		`upstream.name == "files" && "private" in upstream.tags`:                                          "allow",
		`tool.name == "read_file" && tool.exposed == "files__read_file"`:                                  "allow",
		`tool.hash.startsWith("sha256:")`:                                                                 "allow",
		`tool.annotations.readOnlyHint && tool.annotations.title == "Read"`:                               "allow",
		`has(tool.annotations.readOnlyHint) && !has(tool.annotations.destructiveHint)`:                    "allow",
		// What is not said is what MCP says it is then.
		`tool.annotations.destructiveHint && tool.annotations.openWorldHint && !tool.annotations.idempotentHint`: "allow",

		`args.path == "/etc/passwd"`:                                            "allow",
		`args.n == 9007199254740993`:                                            "allow",
		`args.n == 9007199254740992`:                                            "deny", // the same as a double
		`args.u == 18446744073709551615u`:                                       "allow",
		`args.u == 18446744073709551614u`:                                       "deny",
		`type(args.u) == uint && type(args.n) == int && type(args.f) == double`: "allow",
		`args.f > 1 && args.f < 2.0`:                                            "allow",
		`args.list.all(i, i > 0) && size(args) == 10`:                           "allow",
		`args.deep.a.b[0] == 1`:                                                 "allow",
		`args.deep == {"a": {"b": [1]}}`:                                        "allow",
		`args.yes`:                                                              "allow",
		`args.none == null`:                                                     "allow",
		`args.exists(k, k == "text")`:                                           "allow",
		`"text" in args && !("txt" in args)`:                                    "allow",
		`has(args.text) && !has(args.txt)`:                                      "allow",
		`args.?txt.orValue("") == ""`:                                           "allow",
		`args.?deep.?a.?c.orValue("none") == "none"`:                            "allow",
		`args.?txt.orValue("").contains("x")`:                                   "deny",
		`args == {}`:                                                            "deny",
		`args.path.matches("^/etc/")`:                                           "allow",
		`args.path.within("/etc")`:                                              "allow",
		`"/etc2/x".within("/etc")`:                                              "deny",
		`"/tmp/../etc/x".within("/tmp")`:                                        "deny",
		`"/tmp/../etc/x".within("/etc")`:                                        "allow",
		`"../x".within(".")`:                                                    "deny",
		`"a/b".within(".") && "a".within("a/")`:                                 "allow",
		`"..\\etc".within("..")`:                                                "deny",
		`"/srv/..\\..\\etc".within("/srv")`:                                     "deny",
		`"/x".within("/")`:                                                      "allow",
		`clean("/a/./b/../c") == "/a/c"`:                                        "allow",
		`host("https://Evil.Example.:8443/x?y") == "evil.example"`:              "allow",
		`host("https://a@b.example/x") == "b.example"`:                          "allow",

		`args.txt == 1`:                  "error",
		`args["t" + "xt"] == 1`:          "error",
		`args.text > 1`:                  "error",
		`args.text`:                      "error", // neither true nor false
		`args.path.matches(args.regexp)`: "error",
		`timestamp(args.text) < timestamp("2020-01-01T00:00:00Z")`: "error",
		`int(args.text) == 1`:           "error",
		`args.n / 0 == 1`:               "error",
		`args.list[3] == 1`:             "error",
		`host(args.text) == "x"`:        "error",
		`args.txt == 1 || args.yes`:     "allow", // one side settles it
		`false && args.txt == 1`:        "deny",
		`args.list.exists(i, args.txt)`: "error",
	} {
		p := made(t, Config{Rules: []Rule{{Allow: expression}}})
		err := p.Before(t.Context(), called(t, plainArguments))
		if got := outcome(err); got != want {
			t.Errorf("%s: %s (%v), want %s", expression, got, err, want)
		}
		if want == "error" && (strings.Contains(err.Error(), "abc") || strings.Contains(err.Error(), "passwd")) {
			t.Errorf("%s: the error holds an argument: %v", expression, err)
		}
	}
}

// An error says where in the rule it is.
func TestPlace(t *testing.T) {
	for expression, want := range map[string]string{
		`args.txt == 1`:                        `rule "1": at 1:5: no such key txt`,
		"true &&\n  args.txt == 1":             `rule "1": at 2:7: no such key txt`,
		`args["t" + "xt"] == 1`:                `rule "1": at 1:5: no such key`,
		`args.text`:                            `rule "1": it is neither true nor false`,
		`args.text.size() / 0 == 1`:            `rule "1": at 1:18: a division by zero`,
		`args.path.matches("^" + args.regexp)`: `rule "1": the regular expression is none`,
	} {
		err := made(t, Config{Rules: []Rule{{Allow: expression}}}).Before(t.Context(), called(t, plainArguments))
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", expression, err, want)
		}
	}
}

// Any number of arguments is found by their names.
func TestManyArguments(t *testing.T) {
	var raw strings.Builder
	for i := range 100 {
		fmt.Fprintf(&raw, `,"k%d":%d`, i, i)
	}
	p := made(t, Config{Rules: []Rule{{Allow: `args.k0 == 0 && args.k12 == 12 && args.k13 == 13 && args.k14 == 14 && args.k99 == 99 && !has(args.k100) && size(args) == 100`}}})
	if err := p.Before(t.Context(), called(t, "{"+raw.String()[1:]+"}")); err != nil {
		t.Error(err)
	}
}

// What is remembered of definitions is bounded.
func TestHints(t *testing.T) {
	var c hintCache
	for range maxHints + 10 {
		c.of(&policy.Definition{Raw: []byte(`{}`)})
	}
	n := 0
	c.known.Range(func(any, any) bool { n++; return true })
	if n > maxHints {
		t.Errorf("%d are remembered", n)
	}
}

// Rules may stand in any order: whichever it is, a rule that denies wins, and one
// that could not be evaluated counts only where it could have changed the outcome.
func TestDecision(t *testing.T) {
	const broken = `args.missing == 1`
	for name, c := range map[string]struct {
		otherwise policy.Effect
		rules     []Rule
		want      string
		rule      string // whose name is noted
	}{
		"no rule holds":                      {"", []Rule{{Allow: "false"}}, "deny", ""},
		"no rule holds, allow":               {"allow", []Rule{{Deny: "false"}}, "allow", ""},
		"one allows":                         {"", []Rule{{Allow: "false"}, {Allow: "true"}}, "allow", ""},
		"a denial wins":                      {"", []Rule{{Allow: "true"}, {Name: "no", Deny: "true"}}, "deny", "no"},
		"a denial without a name":            {"", []Rule{{Allow: "true"}, {Deny: "true"}}, "deny", "2"},
		"a denial wins over the default":     {"allow", []Rule{{Deny: "true"}}, "deny", "1"},
		"a broken denial":                    {"", []Rule{{Allow: "true"}, {Deny: broken}}, "error", ""},
		"a broken denial and the default":    {"allow", []Rule{{Deny: broken}}, "error", ""},
		"a broken denial and another":        {"", []Rule{{Deny: broken}, {Deny: "true"}}, "deny", "2"},
		"a broken allow":                     {"", []Rule{{Allow: broken}}, "error", ""},
		"a broken allow and another":         {"", []Rule{{Allow: broken}, {Allow: "true"}}, "allow", ""},
		"a broken allow and a denial":        {"", []Rule{{Allow: broken}, {Deny: "true"}}, "deny", "2"},
		"another upstream":                   {"", []Rule{{Allow: "true", Upstreams: []string{"git*"}}}, "deny", ""},
		"this upstream":                      {"", []Rule{{Allow: "true", Upstreams: []string{"git*", "f*"}}}, "allow", ""},
		"another tool":                       {"", []Rule{{Allow: "true", Tools: []string{"write_*"}}}, "deny", ""},
		"this tool":                          {"", []Rule{{Allow: "true", Tools: []string{"read_*"}}}, "allow", ""},
		"another method":                     {"", []Rule{{Allow: "true", Methods: []string{"prompts/*"}}}, "deny", ""},
		"this method":                        {"", []Rule{{Allow: "true", Methods: []string{"tools/call"}}}, "allow", ""},
		"narrowed away, it is not evaluated": {"", []Rule{{Allow: "true"}, {Deny: broken, Tools: []string{"write_*"}}}, "allow", ""},
	} {
		t.Run(name, func(t *testing.T) {
			call := called(t, `{}`)
			err := made(t, Config{Default: c.otherwise, Rules: c.rules}).Before(t.Context(), call)
			if got := outcome(err); got != c.want {
				t.Errorf("%s (%v), want %s", got, err, c.want)
			}
			rule := ""
			for _, n := range call.Notes() {
				rule = n.Value
			}
			if rule != c.rule {
				t.Errorf("noted rule %q, want %q", rule, c.rule)
			}
		})
	}
}

func TestReason(t *testing.T) {
	p := made(t, Config{Rules: []Rule{{Deny: "true", Reason: "files below /etc are out of bounds"}}})
	if err := p.Before(t.Context(), called(t, `{}`)); !strings.Contains(err.Error(), "files below /etc are out of bounds") {
		t.Errorf("the reason is not told: %v", err)
	}
}

// The annotations of an upstream that is not trusted are not believed.
func TestUntrusted(t *testing.T) {
	p := made(t, Config{Rules: []Rule{{Allow: "tool.annotations.readOnlyHint || has(tool.annotations.readOnlyHint)"}}})
	call := called(t, `{}`)
	if err := p.Before(t.Context(), call); err != nil {
		t.Fatal(err)
	}
	call.Definition = &policy.Definition{Kind: policy.Tool, Raw: call.Definition.Raw}
	if err := p.Before(t.Context(), call); outcome(err) != "deny" {
		t.Errorf("annotations of an untrusted upstream: %v", err)
	}
}

// What takes time from a rule is bounded whatever a client sends.
func TestCostLimit(t *testing.T) {
	p := made(t, Config{Rules: []Rule{{Allow: "args.list.all(a, args.list.all(b, a + b > 0))"}}})
	short := called(t, `{"list":[1,2,3]}`)
	if err := p.Before(t.Context(), short); err != nil {
		t.Fatal(err)
	}
	long := called(t, `{"list":[`+strings.Repeat("1,", 10_000)+`1]}`)
	if err := p.Before(t.Context(), long); outcome(err) != "error" || !strings.Contains(err.Error(), tooDear) {
		t.Errorf("ten thousand items squared: %v", err)
	}
}

// Other methods than tools/call are decided about as well; those that keep a session
// going only where a rule names them.
func TestMethods(t *testing.T) {
	read := []Rule{{Allow: `method == "resources/read" && args.uri.startsWith("file:///srv/")`}}
	named := []Rule{{Allow: "true"}, {Allow: "false", Methods: []string{"logging/*", "tasks/get"}}}
	denied := []Rule{{Allow: "true"}, {Deny: "true", Methods: []string{"tasks/cancel"}}}
	for name, c := range map[string]struct {
		method, params string
		rules          []Rule
		want           string
	}{
		"a resource in bounds":         {"resources/read", `{"uri":"file:///srv/x"}`, read, "allow"},
		"a resource out of bounds":     {"resources/read", `{"uri":"file:///etc/x"}`, read, "deny"},
		"a subscription":               {"resources/subscribe", `{"uri":"file:///srv/x"}`, read, "deny"},
		"a prompt":                     {"prompts/get", `{"name":"p","arguments":{"path":"x"}}`, []Rule{{Allow: `args.path == "x" && tool.name == "" && target == "p"`}}, "allow"},
		"a completion":                 {"completion/complete", `{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"x"}}`, []Rule{{Allow: `args.argument.value == "x"`}}, "allow"},
		"not governed":                 {"logging/setLevel", `{"level":"info"}`, read, "allow"},
		"not governed, but named":      {"logging/setLevel", `{"level":"info"}`, named, "deny"},
		"not governed, another":        {"tasks/result", `{"taskId":"1"}`, named, "allow"},
		"a denial of one not governed": {"tasks/cancel", `{"taskId":"1"}`, denied, "deny"},
		"a denial does not govern it":  {"tasks/get", `{"taskId":"1"}`, denied, "allow"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":1,"method":"` + c.method + `","params":` + c.params + `}`))
			if err != nil {
				t.Fatal(err)
			}
			call := &policy.Call{Principal: new(policy.Principal), Method: c.method, Message: &m, Upstream: "files", Target: "p"}
			if got := outcome(made(t, Config{Rules: c.rules}).Before(t.Context(), call)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// What a server sends of itself is decided about where a rule names its method.
func TestReceived(t *testing.T) {
	elicitations := []string{"elicitation/create"}
	for name, c := range map[string]struct {
		params string
		rules  []Rule
		want   string
	}{
		"not named":              {`{"mode":"url"}`, []Rule{{Allow: "false"}, {Deny: "true"}}, "allow"},
		"all methods are named":  {`{"mode":"url"}`, []Rule{{Allow: "false", Methods: []string{"*"}}}, "deny"},
		"denied":                 {`{"mode":"url"}`, []Rule{{Deny: `args.mode == "url"`, Methods: elicitations}}, "deny"},
		"not denied":             {`{"mode":"form"}`, []Rule{{Deny: `args.mode == "url"`, Methods: elicitations}}, "allow"},
		"allowed from another":   {`{}`, []Rule{{Allow: `upstream.name == "forms"`, Methods: elicitations}}, "deny"},
		"allowed during a tool":  {`{}`, []Rule{{Allow: `tool.name == "read_file"`, Methods: elicitations}}, "allow"},
		"to nobody":              {`{}`, []Rule{{Allow: `principal.anonymous && principal.name == ""`, Methods: elicitations}}, "allow"},
		"a key twice":            {`{"mode":"form","mode":"url"}`, []Rule{{Deny: `args.mode == "url"`, Methods: elicitations}}, "error"},
		"a key twice, deep down": {`{"x":{"mode":1,"mode":2}}`, []Rule{{Deny: `args.x.mode == 2`, Methods: elicitations}}, "error"},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":` + c.params + `}`))
			if err != nil {
				t.Fatal(err)
			}
			msg := &policy.ServerMessage{Upstream: "files", Call: called(t, `{}`), Message: m} // to nobody in particular
			if got := outcome(made(t, Config{Rules: c.rules}).Received(t.Context(), msg)); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

// One policy is asked by many at once, and mixes nothing up.
func TestParallel(t *testing.T) {
	p := made(t, Config{Rules: []Rule{{Allow: `args.n == 1 && args.list.all(i, i == args.n) && tool.annotations.readOnlyHint`}}})
	var wg sync.WaitGroup
	for i := range 16 {
		call := called(t, fmt.Sprintf(`{"n":%d,"list":[%d,%d]}`, i%2, i%2, i%2))
		wg.Go(func() {
			for range 200 {
				if got := outcome(p.Before(context.Background(), call)); (got == "allow") != (i%2 == 1) {
					t.Errorf("n = %d: %s", i%2, got)
					return
				}
			}
		})
	}
	wg.Wait()
}
