package secrets

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
	"github.com/interlock-mcp/interlock/policy/policytest"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

func made(t testing.TB, c Config, log *strings.Builder) *Policy {
	t.Helper()
	if log == nil {
		log = new(strings.Builder)
	}
	return policytest.New(t, &c, log).(*Policy)
}

func request(t testing.TB, method, params string) *policy.Call {
	t.Helper()
	return &policy.Call{Principal: new(policy.Principal), Method: method, Upstream: "u", Target: "x", Message: policytest.Request(t, method, params)}
}

func answer(t testing.TB, member string) *policy.Answer {
	t.Helper()
	return policytest.Answer(t, `{"jsonrpc":"2.0","id":1,`+member+`}`)
}

// outcome says what came of a decision.
func outcome(t *testing.T, notes []policy.Note, err error) string {
	t.Helper()
	if d, ok := errors.AsType[*policy.Denial](err); ok {
		return "denied: " + d.Reason
	}
	if err != nil {
		return "failed: " + err.Error()
	}
	if len(notes) > 0 {
		return "noted: " + notes[0].Value
	}
	return ""
}

// secrets that these tests are about. They are put together here, so that none is in
// the repository.
var (
	pat    = "ghp_" + "016C7869uGBc27rQ6SxBQzVLxAXHHM3vBnVi"
	awsKey = "AKIA" + "Q3XGRWZ7TNKJUEMB"
)

func TestArguments(t *testing.T) {
	call := func(arguments string) *policy.Call {
		return request(t, "tools/call", `{"name":"x","arguments":`+arguments+`}`)
	}
	for name, c := range map[string]struct {
		config                Config
		arguments, want, then string // what the arguments are then, "" for the same
	}{
		"none":             {arguments: `{"a":"nothing here, not even a key","b":[1,2.5,true,null]}`},
		"blocked":          {arguments: `{"h":{"Authorization":"Bearer ` + pat + `"}}`, want: "denied: a credential is in the arguments (github-pat at /h/Authorization)"},
		"redacted":         {config: Config{Arguments: "redact"}, arguments: `{"a": [1,"x ` + pat + ` y"]}`, want: "noted: a credential is in the arguments (github-pat at /a/1)", then: `{"a": [1,"x [REDACTED:github-pat] y"]}`},
		"reported":         {config: Config{Arguments: "report"}, arguments: `{"a":"` + pat + `"}`, want: "noted: a credential is in the arguments (github-pat at /a)"},
		"off":              {config: Config{Arguments: "off"}, arguments: `{"a":"` + pat + `"}`},
		"narrowed":         {config: Config{Config: narrow.Config{Upstreams: []string{"v"}}}, arguments: `{"a":"` + pat + `"}`},
		"escaped":          {arguments: `{"a":"\u0067hp\u005f` + pat[4:] + `"}`, want: "denied: a credential is in the arguments (github-pat at /a)"},
		"half of it":       {config: Config{Arguments: "redact"}, arguments: `{"a":"\n\u0067hp_` + pat[4:20] + `\u00` + fmt.Sprintf("%x", pat[20]) + pat[21:] + `\n"}`, want: "noted: a credential is in the arguments (github-pat at /a)", then: `{"a":"\n[REDACTED:github-pat]\n"}`},
		"JSON in a string": {config: Config{Arguments: "redact"}, arguments: `{"a":"{\"k\":\"` + awsKey + `\"}"}`, want: "noted: a credential is in the arguments (aws-access-token at /a)", then: `{"a":"{\"k\":\"[REDACTED:aws-access-token]\"}"}`},
		"by its key":       {arguments: `{"db":{"password":"x9Qz7LmT2vKp4RwY"}}`, want: "denied: a credential is in the arguments (generic-api-key at /db/password)"},
		"a key":            {config: Config{Arguments: "redact"}, arguments: `{"` + pat + `":{"` + awsKey + `":1}}`, want: "noted: credentials are in the arguments (github-pat at /*, aws-access-token at /*/*)", then: `{"[REDACTED:github-pat]":{"[REDACTED:aws-access-token 2]":1}}`},
		"two keys":         {config: Config{Arguments: "redact"}, arguments: `{"[REDACTED:github-pat]":0,"` + pat + `":1,"` + strings.ToUpper(pat[:0]) + pat[:39] + `Q":2}`, want: "noted: credentials are in the arguments (github-pat at /*, github-pat at /*)", then: `{"[REDACTED:github-pat]":0,"[REDACTED:github-pat 2]":1,"[REDACTED:github-pat 3]":2}`},
		"a number":         {config: Config{Arguments: "redact", Rules: Rules{Extra: []Extra{{ID: "card", Regex: `\b4\d{15}\b`}}}}, arguments: `{"n":[4012888888881881, 7]}`, want: "noted: a credential is in the arguments (card at /n/0)", then: `{"n":["[REDACTED:card]", 7]}`},
		"an odd key":       {arguments: `{"my secret place":"` + pat + `"}`, want: "denied: a credential is in the arguments (github-pat at /*)"},
		"many":             {arguments: `["` + strings.Repeat(pat+`","`, 4) + pat + `"]`, want: "denied: credentials are in the arguments (github-pat at /0, github-pat at /1, github-pat at /2 and 2 more)"},
		"lines of a key": {
			config: Config{Arguments: "redact"}, arguments: `{"k":["-----BEGIN ` + `PRIVATE KEY-----","MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj", "x","-----END ` + `PRIVATE KEY-----"],"z":1}`,
			want: "noted: credentials are in the arguments (private-key at /k/0, private-key at /k/1, private-key at /k/2 and 1 more)",
			then: `{"k":["[REDACTED:private-key]","[REDACTED:private-key]", "[REDACTED:private-key]","[REDACTED:private-key]"],"z":1}`,
		},
		"a key in between": {
			config: Config{Arguments: "redact"}, arguments: `{"a":"-----BEGIN ` + `PRIVATE KEY-----MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj","b": 12, "c":"x-----END ` + `PRIVATE KEY-----"}`,
			want: "noted: credentials are in the arguments (private-key at /a, private-key at /c)",
			then: `{"a":"[REDACTED:private-key]","b": 12, "c":"[REDACTED:private-key]"}`,
		},
		"lines as keys": {
			config: Config{Arguments: "redact"}, arguments: `{"-----BEGIN ` + `PRIVATE KEY-----":0, "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj":{"x":0,"-----END ` + `PRIVATE KEY-----":0}}`,
			want: "noted: credentials are in the arguments (private-key at /*, private-key at /*, private-key at /*/*)",
			then: `{"[REDACTED:private-key]":0, "[REDACTED:private-key 2]":{"x":0,"[REDACTED:private-key 3]":0}}`,
		},
		"too regular":  {arguments: `{"a":"ghp_` + strings.Repeat("ab", 18) + `"}`},
		"the alphabet": {arguments: `{"a":"ghp_` + "abcdefghijklmnopqrstuvwxyz0123456789" + `"}`},
		"disabled":     {config: Config{Rules: Rules{Disable: []string{"github-pat"}}}, arguments: `{"a":"` + pat + `"}`},
		"allowed":      {config: Config{Allow: []string{`^x$`, `^ghp_016C`}}, arguments: `{"a":"` + pat + `"}`},
		"an example":   {arguments: `{"a":"AKIAIOSFODNN7EXAMPLE"}`},
		"an extra":     {config: Config{Rules: Rules{Extra: []Extra{{ID: "ours", Regex: `acme-([0-9]{4})`, Keywords: []string{"ACME-"}}}}}, arguments: `{"a":"acme-1234"}`, want: "denied: a credential is in the arguments (ours at /a)"},
		"a comment":    {arguments: `{"a":"` + pat + ` # gitleaks:allow"}`, want: "denied: a credential is in the arguments (github-pat at /a)"},
	} {
		t.Run(name, func(t *testing.T) {
			if c.arguments[0] == '[' {
				c.arguments = `{"l":` + c.arguments + `}`
				c.want = strings.ReplaceAll(c.want, "at /", "at /l/")
			}
			call := call(c.arguments)
			if got := outcome(t, nil, made(t, c.config, nil).Before(t.Context(), call)); got == "" {
				got = outcome(t, call.Notes(), nil)
				if got != c.want {
					t.Errorf("\n got %s\nwant %s", got, c.want)
				}
			} else if got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			if c.then == "" {
				c.then = c.arguments
			}
			if got := string(call.Arguments()); got != c.then {
				t.Errorf("the arguments are\n%s, want\n%s", got, c.then)
			}
		})
	}
}

// In what goes up and cannot be changed, redacting means blocking.
func TestOtherRequests(t *testing.T) {
	for name, c := range map[string]struct{ method, params, want string }{
		"a URI":            {"resources/read", `{"uri":"https://x/?k=` + pat + `"}`, "denied: a credential is in the request (github-pat at /uri)"},
		"a completion":     {"completion/complete", `{"ref":{"type":"ref/prompt","name":"x"},"argument":{"name":"n","value":"` + pat + `"}}`, "denied: a credential is in the request (github-pat at /argument/value)"},
		"besides":          {"tools/call", `{"name":"x","arguments":{},"task":{"note":"` + pat + `"}}`, "denied: a credential is in the request (github-pat at /note)"},
		"meta":             {"tools/call", `{"name":"x","arguments":{},"_meta":{"note":"` + pat + `"}}`, ""},
		"what is said":     {"tools/call", `{"name":"x","inputResponses":{"q":{"action":"accept","content":{"t":"` + pat + `"}}},"requestState":"s"}`, "denied: a credential is in the answers to the server's questions (github-pat at /q/content/t)"},
		"a progress token": {"resources/read", `{"uri":"file:///x","_meta":{"progressToken":"` + pat + `"}}`, ""},
		"a state":          {"tools/call", `{"name":"x","requestState":"` + pat + `"}`, ""},
		"nothing":          {"resources/subscribe", `{"uri":"file:///key"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			call := request(t, c.method, c.params)
			if got := outcome(t, nil, made(t, Config{Arguments: "redact"}, nil).Before(t.Context(), call)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			if got := outcome(t, nil, made(t, Config{Arguments: "report"}, nil).Before(t.Context(), call)); got != "" {
				t.Error(got)
			}
			if len(call.Notes()) > 0 != (c.want != "") {
				t.Errorf("notes %v", call.Notes())
			}
		})
	}
}

func TestResults(t *testing.T) {
	encoded := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	image := encoded(strings.Repeat("\x00\xff\x00", 100))
	const noted = "noted: a credential is in the result "
	for name, c := range map[string]struct{ member, want, then string }{
		"text":            {`"result":{"content":[{"type":"text","text":"k=` + pat + `\n"}]}`, noted + "(github-pat at /content/0/text)", `"result":{"content":[{"type":"text","text":"k=[REDACTED:github-pat]\n"}]}`},
		"structured":      {`"result":{"content":[],"structuredContent":{"k":["` + pat + `"],"n":9007199254740993}}`, noted + "(github-pat at /structuredContent/k/0)", `"result":{"content":[],"structuredContent":{"k":["[REDACTED:github-pat]"],"n":9007199254740993}}`},
		"a resource":      {`"result":{"contents":[{"uri":"file:///x","text":"` + pat + `"}]}`, noted + "(github-pat at /contents/0/text)", `"result":{"contents":[{"uri":"file:///x","text":"[REDACTED:github-pat]"}]}`},
		"a prompt":        {`"result":{"messages":[{"role":"user","content":{"type":"text","text":"` + pat + `"}}]}`, noted + "(github-pat at /messages/0/content/text)", `"result":{"messages":[{"role":"user","content":{"type":"text","text":"[REDACTED:github-pat]"}}]}`},
		"an error":        {`"error":{"code":-1,"message":"bad token ` + pat + `","data":{"k":"` + awsKey + `"}}`, "noted: credentials are in the error (github-pat at /message, aws-access-token at /data/k)", `"error":{"code":-1,"message":"bad token [REDACTED:github-pat]","data":{"k":"[REDACTED:aws-access-token]"}}`},
		"a blob":          {`"result":{"contents":[{"blob":"` + encoded("token: "+pat+"\n") + `"}]}`, noted + "(github-pat at /contents/0/blob)", `"result":{"contents":[{"blob":"` + encoded("token: [REDACTED:github-pat]\n") + `"}]}`},
		"a wrapped blob":  {`"result":{"contents":[{"blob":"` + encoded("token: " + pat + "\n")[:20] + `\r\n` + encoded("token: " + pat + "\n")[20:] + `"}]}`, noted + "(github-pat at /contents/0/blob)", `"result":{"contents":[{"blob":"` + encoded("token: [REDACTED:github-pat]\n") + `"}]}`},
		"a blob for URLs": {`"result":{"contents":[{"blob":"` + base64.RawURLEncoding.EncodeToString([]byte("??>~ token: "+pat+"\n")) + `"}]}`, noted + "(github-pat at /contents/0/blob)", `"result":{"contents":[{"blob":"` + encoded("??>~ token: [REDACTED:github-pat]\n") + `"}]}`},
		"a blob escaped":  {`"result":{"contents":[{"blob":"` + strings.ReplaceAll(encoded("???>~~~ token: "+pat+"\n"), "/", `\/`) + `"}]}`, noted + "(github-pat at /contents/0/blob)", `"result":{"contents":[{"blob":"` + encoded("???>~~~ token: [REDACTED:github-pat]\n") + `"}]}`},
		"not in a blob":   {`"result":{"structuredContent":{"blob":"` + pat + `"}}`, noted + "(github-pat at /structuredContent/blob)", `"result":{"structuredContent":{"blob":"[REDACTED:github-pat]"}}`},
		"no text":         {`"result":{"contents":[{"blob":"` + encoded("\xff"+pat) + `"}]}`, "", ""},
		"an image":        {`"result":{"content":[{"type":"image","data":"` + image[:120] + awsKey + image[140:] + `"}]}`, "", ""},
		"no image":        {`"result":{"content":[{"type":"image","data":"` + pat + `"}]}`, noted + "(github-pat at /content/0/data)", `"result":{"content":[{"type":"image","data":"[REDACTED:github-pat]"}]}`},
		"a short one":     {`"result":{"content":[{"type":"image","data":"` + awsKey + `"}]}`, noted + "(aws-access-token at /content/0/data)", `"result":{"content":[{"type":"image","data":"[REDACTED:aws-access-token]"}]}`},
		"a cursor":        {`"result":{"content":[],"nextCursor":"` + pat + `","requestState":"` + pat + `","task":{"taskId":"` + pat + `"}}`, "", ""},
		"a deeper cursor": {`"result":{"structuredContent":{"nextCursor":"` + pat + `"}}`, noted + "(github-pat at /structuredContent/nextCursor)", `"result":{"structuredContent":{"nextCursor":"[REDACTED:github-pat]"}}`},
		"a key twice":     {`"result":{"a":"` + pat + `","a":1}`, noted + "(github-pat at /a)", `"result":{"a":"[REDACTED:github-pat]","a":1}`},
		"what is no text": {`"result":{"a":"` + "\x80" + pat + `","b":"\ud800` + pat + `"}`, "noted: credentials are in the result (github-pat at /a, github-pat at /b)", `"result":{"a":"` + "\x80" + `[REDACTED:github-pat]","b":"\ud800[REDACTED:github-pat]"}`},
	} {
		t.Run(name, func(t *testing.T) {
			if c.then == "" {
				c.then = c.member
			}
			a, call := answer(t, c.member), request(t, "tools/call", `{"name":"x"}`)
			got := outcome(t, nil, made(t, Config{}, nil).After(t.Context(), call, a))
			if got == "" {
				got = outcome(t, call.Notes(), nil)
			}
			if got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			if got := string(a.Message.Raw); got != `{"jsonrpc":"2.0","id":1,`+c.then+`}` {
				t.Errorf("the answer is\n%s, want\n%s", got, c.then)
			}
			if a.Changed() != (c.then != c.member) {
				t.Errorf("changed: %v", a.Changed())
			}
			a = answer(t, c.member)
			got = outcome(t, nil, made(t, Config{Results: "block"}, nil).After(t.Context(), call, a))
			if want := strings.Replace(c.want, "noted", "denied", 1); got != want {
				t.Errorf("blocked:\n got %s\nwant %s", got, want)
			}
			if err := made(t, Config{Results: "report"}, nil).After(t.Context(), call, a); err != nil || a.Changed() {
				t.Errorf("reported: changed %v, error %v", a.Changed(), err)
			}
		})
	}
}

// A rule that is about files of a name is about resources of that name.
func TestPathOfResource(t *testing.T) {
	p := made(t, Config{}, nil)
	const text = `"result":{"contents":[{"text":"kind: Secret\ndata:\n  password: UEBzc3dvcmQxMjM0NTY3\n"}]}`
	for target, want := range map[string]bool{"file:///k8s/x.yaml": true, "file:///x.txt": false} {
		call := request(t, "resources/read", `{"uri":"file:///x"}`)
		call.Target = target
		a := answer(t, text)
		if err := p.After(t.Context(), call, a); err != nil {
			t.Fatal(err)
		}
		if found := strings.Contains(string(a.Message.Raw), "kubernetes-secret-yaml"); found != want {
			t.Errorf("%s: %s", target, a.Message.Raw)
		}
	}
}

func TestReceived(t *testing.T) {
	for name, c := range map[string]struct{ method, params, at string }{
		"a log line":    {"notifications/message", `{"level":"info","data":"key %s"}`, "/data"},
		"a question":    {"elicitation/create", `{"message":"is %s right?","requestedSchema":{}}`, "/message"},
		"a sampling":    {"sampling/createMessage", `{"messages":[{"role":"user","content":{"type":"text","text":"%s"}}]}`, "/messages/0/content/text"},
		"progress":      {"notifications/progress", `{"progressToken":"t","progress":1,"message":"%s"}`, "/message"},
		"a token alone": {"notifications/progress", `{"progressToken":"%s","progress":1}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			message := func() *policy.ServerMessage {
				m, err := jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","method":"` + c.method + `","params":` + fmt.Sprintf(c.params, pat) + `}`))
				if err != nil {
					t.Fatal(err)
				}
				return &policy.ServerMessage{Upstream: "u", Message: m}
			}
			m := message()
			if err := made(t, Config{}, nil).Received(t.Context(), m); err != nil {
				t.Fatal(err)
			}
			want := fmt.Sprintf(c.params, "[REDACTED:github-pat]")
			if c.at == "" {
				want = fmt.Sprintf(c.params, pat)
			}
			if got := string(m.Params()); got != want {
				t.Errorf("params %s, want %s", got, want)
			}
			want = "denied: a credential is in the server's " + c.method + " (github-pat at " + c.at + ")"
			if c.at == "" {
				want = ""
			}
			if got := outcome(t, nil, made(t, Config{Results: "block"}, nil).Received(t.Context(), message())); got != want {
				t.Errorf("\n got %s\nwant %s", got, want)
			}
			var log strings.Builder
			m = message()
			if err := made(t, Config{Results: "report"}, &log).Received(t.Context(), m); err != nil || m.Changed() {
				t.Errorf("reported: changed %v, error %v", m.Changed(), err)
			}
			if said := strings.Contains(log.String(), "github-pat at "+c.at); said != (c.at != "") || strings.Contains(log.String(), pat) {
				t.Errorf("log %s", log.String())
			}
		})
	}
}

func TestConfig(t *testing.T) {
	c := Config{
		Arguments: "deny", Results: "x", Config: narrow.Config{Tools: []string{"["}},
		Rules: Rules{Disable: []string{"github-pat", "nothing"}, Extra: []Extra{
			{ID: "Ours", Regex: "("}, {ID: "jwt", Regex: "x*"}, {ID: "a", Regex: "x", Keywords: []string{""}}, {ID: "a"},
		}},
		Allow: []string{"", "["},
	}
	want := `tools.0: must be a name or a pattern such as "read_*", not "["
arguments: must be block, redact, report or off, not "deny"
results: must be redact, block, report or off, not "x"
rules.disable.1: is no rule of gitleaks: "nothing"
rules.extra.0.id: must be of a-z, 0-9 and -, and at most 64 long, not "Ours"
rules.extra.0.regex: cannot be read as a pattern (RE2): missing closing ): ` + "`(`" + `
rules.extra.1.id: is taken already: jwt
rules.extra.1.regex: matches what is empty, and so everything
rules.extra.2.keywords.0: must be of ASCII characters, and not empty
rules.extra.3.id: is taken already: a
rules.extra.3: has no regex
allow.0: matches what is empty, and so everything
allow.1: cannot be read as a pattern (RE2): missing closing ]: ` + "`[`"
	if err := c.Validate(); err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if err := (&Config{Arguments: "off", Results: "off"}).Validate(); err == nil {
		t.Error("a policy that looks at nothing is fine")
	}
}

// What would take too long is not decided.
func TestTooMuch(t *testing.T) {
	p := made(t, Config{}, nil)
	p.detector.most = 1 << 16
	for text, fails := range map[string]bool{
		strings.Repeat("key=", 1<<10):           true,
		strings.Repeat("s.", 1<<17):             true, // no pattern is tried
		strings.Repeat("nothing ", 1<<17):       false,
		"facebook" + strings.Repeat(" ", 1<<15): true, // one is tried on all of it
		"twitter" + strings.Repeat(" ", 1<<15):  false,
	} {
		err := p.After(t.Context(), request(t, "tools/call", `{"name":"x"}`), answer(t, `"result":{"a":"`+text+`"}`))
		if failed := errors.Is(err, errTooMuch); failed != fails {
			t.Errorf("%.10q...: error %v", text, err)
		}
	}
}

func TestRealOnesAreRedacted(t *testing.T) {
	p := made(t, Config{}, nil)
	for id, secret := range real(rand.New(rand.NewPCG(2, 3))) {
		a := answer(t, `"result":{"content":[{"type":"text","text":`+string(jsonrpc.AppendString(nil, "it is "+secret+"."))+`}]}`)
		if err := p.After(t.Context(), request(t, "tools/call", `{"name":"x"}`), a); err != nil {
			t.Fatal(err)
		}
		if got := string(a.Result()); !strings.Contains(got, "it is [REDACTED:"+id+"].") && !strings.Contains(got, "[REDACTED:"+id+"]") {
			t.Errorf("%s: %s", id, got)
		}
	}
}
