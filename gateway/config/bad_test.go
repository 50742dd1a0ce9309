package config

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy/builtin"
)

// TestBadFiles has each row of "bad input" for configurations, and what else is
// refused. want is all that is reported, without the name of the file.
func TestBadFiles(t *testing.T) {
	for _, tt := range []struct {
		name, file, text string
		want             []string
	}{
		{"unknown key", "", "upstreams:\n  files:\n    comand: npx\n", []string{`3:5: unknown key "comand" (did you mean "command"?)`}},
		{"unknown key, other case", "", "server: {Listen: x}\n", []string{`1:10: unknown key "Listen" (did you mean "listen"?)`}},
		{"unknown section", "", "upstream: {}\n", []string{`1:1: unknown key "upstream" (did you mean "upstreams"?)`}},
		{"unknown key, nothing near", "", "zebra: 1\n", []string{`1:1: unknown key "zebra"`}},
		{"all errors at once", "", "server: {listn: x, max_body: lots}\nupstreams: {a: {command: x, start_timeout: 5}}\n", []string{
			`1:10: unknown key "listn" (did you mean "listen"?)`,
			`1:30: "max_body" must be a size such as 4MiB, not "lots"`,
			`2:44: "start_timeout" needs a unit: 5 of what (write 5s, or another of ns us ms s m h)`,
		}},
		{"syntax, YAML", "", "a: [1, 2\nb: 3\n", []string{`2:1: is not valid YAML: ',' or ']' must be specified`}},
		{"syntax, JSON", "c.json", "{\"a\": 1,\n \"b\" 2}", []string{`2:6: is not valid JSON: invalid character '2' after object name`}},
		{"syntax, TOML", "c.toml", "a = 1\nb = = 2\n", []string{`2:5: is not valid TOML: incomplete number`}},
		{"not UTF-8", "", "a: b\nc: \xff\n", []string{`2:4: is not UTF-8 (save the file as UTF-8)`}},
		{"not a table", "", "- a\n", []string{`1:1: the file must be a table of keys, not a list`}},
		{"two documents", "", "server: {}\n---\nserver: {}\n", []string{`3:1: a second document (a file holds one)`}},
		{
			"missing variable", "", "upstreams:\n  a:\n    command: x\n    env: {K: \"${GONE}\"}\n",
			[]string{`4:14: variable GONE is not set (set it, or give a default: ${GONE:-...})`},
		},
		{
			"missing variable with a message", "", "upstreams: {a: {command: \"${GONE:?ask Anna}\"}}\n",
			[]string{`1:26: variable GONE: ask Anna (set it where interlock is started)`},
		},
		{
			"url and command both", "", "upstreams:\n  a:\n    command: x\n    url: https://x.example/mcp\n",
			[]string{`4:10: "url" has both a command and a url: keep one`},
		},
		{"neither", "", "upstreams:\n  a: {}\n  b:\n", []string{
			`2:3: "a" needs a command (a process) or a url (a remote server)`,
			`3:3: "b" needs a command (a process) or a url (a remote server)`,
		}},
		{
			"cycle", "", "upstreams:\n  a: {command: x, depends_on: [b]}\n  b: {command: x, depends_on: [a]}\n",
			[]string{`2:32: "depends_on" makes a cycle: a -> b -> a`},
		},
		{
			"several cycles", "", "upstreams:\n  a: {command: x, depends_on: [b]}\n  b: {command: x, depends_on: [a, c]}\n  c: {command: x, depends_on: [c]}\n",
			[]string{`2:32: "depends_on" makes a cycle: a -> b -> a`, `4:32: "depends_on" makes a cycle: c -> c`},
		},
		{"depends on itself", "", "upstreams:\n  a: {command: x, depends_on: [a]}\n", []string{`2:32: "depends_on" makes a cycle: a -> a`}},
		{
			"unknown dependency", "", "upstreams:\n  data: {command: x}\n  b: {command: x, depends_on: {dta: {}}}\n",
			[]string{`3:32: "dta" is not an upstream (did you mean "data"?)`},
		},
		{
			"disabled dependency", "", "upstreams:\n  a: {command: x, enabled: false}\n  b: {command: x, depends_on: [a]}\n",
			[]string{`3:32: "a" is disabled (enable it, or remove the dependency)`},
		},
		{
			"dependency twice", "", "upstreams:\n  a: {command: x}\n  b: {command: x, depends_on: [a, a]}\n",
			[]string{`3:35: duplicate key "a" (it is first at line 3)`},
		},
		{
			"condition", "", "upstreams:\n  a: {command: x}\n  b: {command: x, depends_on: {a: {condition: done}}}\n",
			[]string{`3:47: "condition" "done" is not a condition: use started or running`},
		},
		{
			"duplicate name", "", "upstreams:\n  a: {command: x}\n  b: {command: x}\n  a: {command: y}\n",
			[]string{`4:3: duplicate key "a" (it is first at line 2)`},
		},
		{
			"duplicate name, JSON", "c.json", "{\"upstreams\": {\"a\": {\"command\": \"x\"},\n\"a\": {\"command\": \"x\"}}}",
			[]string{`2:1: duplicate key "a" (it is first at line 1)`},
		},
		{
			"duplicate name, TOML", "c.toml", "[upstreams.a]\ncommand = \"x\"\n[upstreams.a]\ncommand = \"y\"\n",
			[]string{`3:12: duplicate key "a" (it is first at line 1)`},
		},
		{"duplicate key, TOML", "c.toml", "[server]\npath = \"/a\"\npath = \"/b\"\nname = \"a\"\nname = \"b\"\n", []string{
			`3:1: duplicate key "path" (it is first at line 2)`, `5:1: duplicate key "name" (it is first at line 4)`,
		}},
		{
			"duplicate name across blocks", "", "upstreams:\n  a: {command: x}\nmcpServers:\n  a: {command: y}\n",
			[]string{`4:3: duplicate key "a" (it is first at line 2)`},
		},
		{"illegal name", "", "upstreams:\n  a b: {command: x}\n", []string{`2:3: "a b" is not a legal name (use 1 to 64 letters, digits, _ . or -)`}},
		{"illegal name, dots", "", "upstreams:\n  \"..\": {command: x}\n", []string{`2:3: ".." is not a legal name (use 1 to 64 letters, digits, _ . or -)`}},
		{"separator in a prefix", "", "upstreams:\n  a: {command: x, prefix: b__c}\n", []string{`2:27: prefix "b__c": may not contain the separator "__"`}},
		{
			"separator in a name", "", "upstreams:\n  a__b: {command: x}\n",
			[]string{`2:3: prefix "a__b": may not contain the separator "__" (set another prefix)`},
		},
		{
			"prefix that runs into the separator", "", "upstreams:\n  a: {command: x, prefix: b_}\n",
			[]string{`2:27: prefix "b_": runs together with the separator "__"; end it otherwise`},
		},
		{
			"two tools renamed alike", "", "upstreams:\n  a:\n    command: x\n    tools: {rename: {t: u}}\n    prefix: p\n  b:\n    command: x\n    prefix: p\n    tools: {rename: {v: u}}\n",
			[]string{`9:25: "v" is called "p__u", as is "t" of "a" (give each its own name)`},
		},
		{
			"duration without a unit", "", "server: {list_wait: \"5\"}\n",
			[]string{`1:21: "list_wait" needs a unit: "5" of what (write 5s, or another of ns us ms s m h)`},
		},
		{"duration that is none", "", "server: {list_wait: soon}\n", []string{`1:21: "list_wait" must be a duration such as 30s, not "soon"`}},
		{"negative limits", "", "upstreams:\n  a:\n    command: x\n    limits: {in_flight: -1, queue: -2, queue_timeout: -1s}\n", []string{
			`4:25: "in_flight" must be at least 1`, `4:36: "queue" must be at least 0`, `4:55: "queue_timeout" must not be negative`,
		}},
		{"negative size", "", "server: {max_body: -5}\n", []string{`1:20: "max_body" must be at least 1KiB`}},
		{"wrong kinds", "", "server: [1]\nupstreams:\n  a: {command: [x], args: -y, enabled: perhaps, limits: {queue: many}}\n", []string{
			`1:9: "server" must be a table of keys, not a list`,
			`3:16: "command" must be a string, not a list`,
			`3:27: "args" must be a list, not a string (write ["-y"])`,
			`3:40: "enabled" must be true or false, not "perhaps"`,
			`3:65: "queue" must be a whole number, not "many"`,
		}},
		{"half a number", "", "upstreams: {a: {command: x, limits: {queue: 1.5}}}\n", []string{`1:45: "queue" must be a whole number, not 1.5`}},
		{"unknown words", "", "upstreams: {a: {command: x, transport: pigeon, restart: maybe}}\n", []string{
			`1:40: "transport" "pigeon" is not a transport: use stdio, http or sse`,
			`1:57: "policy" "maybe" is not one of on-failure, always, never`,
		}},
		{
			"fault in defaults, once", "", "defaults:\n  call_timeout: -1s\nupstreams:\n  a: {command: x}\n  b: {command: x}\n",
			[]string{`2:17: "call_timeout" must not be negative`},
		},
		{"glob", "", "upstreams:\n  a: {command: x, tools: {allow: [\"[\"]}}\n", []string{`2:27: "allow" "[" is not a glob`}},
		{"beyond loopback", "", "server: {listen: \"0.0.0.0:7777\"}\n", []string{
			`1:18: "listen" is reached from other machines, and there is no authentication (` + ExposedMend + `)`,
		}},
		{"all interfaces", "", "server: {listen: \":7777\"}\n", []string{
			`1:18: "listen" is reached from other machines, and there is no authentication (` + ExposedMend + `)`,
		}},
		{
			"credentials over http", "", "upstreams:\n  a:\n    url: http://x.example/mcp\n    headers: {authorization: s3cret-value}\n",
			[]string{`4:30: "authorization" would be sent in the clear (use https://, or set insecure_http: true)`},
		},
		{
			"password in an http url", "", "upstreams: {a: {url: \"http://u:pass-word@x.example/mcp\"}}\n",
			[]string{`1:22: "url" would send its password in the clear (use https://, or set insecure_http: true)`},
		},
		{
			"our own endpoint", "", "upstreams: {a: {url: \"http://localhost:7777/mcp/u/x\"}}\n",
			[]string{`1:22: "url" is this gateway's own endpoint (remove it: the gateway would call itself)`},
		},
		{
			"a bridge to ourselves", "", "upstreams: {a: {command: npx, args: [mcp-remote, \"http://127.0.0.1:7777/mcp\"]}}\n",
			[]string{`1:31: "args" lead to this gateway's own endpoint (remove it: the gateway would call itself)`},
		},
		{
			"our own program", "", "mcpServers: {a: {command: /usr/bin/interlock, args: [stdio, -c, x]}}\n",
			[]string{`1:27: "command" is this gateway itself (remove it: the gateway would call itself)`},
		},
		{"half a TLS", "", "server: {tls: {cert: nowhere}}\n", []string{
			`1:10: "key" is missing (a server needs both cert and key)`,
			`1:22: "cert" names "DIR/nowhere", which cannot be read: no such file or directory`,
		}},
		{"no proxies", "", "server: {trusted_proxies: [10.0.0.0/8, \"::1\", localhost, 10.0.0.0/33]}\n", []string{
			`1:47: "trusted_proxies" holds "localhost", which is not an address (write one such as 10.1.2.3, or a range such as 10.0.0.0/8)`,
			`1:58: "trusted_proxies" holds "10.0.0.0/33", which is not an address (write one such as 10.1.2.3, or a range such as 10.0.0.0/8)`,
		}},
		{"alerts", "", "alerts:\n  webhook: []\n  webhooks:\n  - {events: [error, eror, up]}\n  - {url: \"ftp://h/\", min_down: -1s, timeout: 2m}\n  - {url: \"http://h/\", headers: {Authorization: s3cret, \"a b\": x}}\n  - {url: \"https://h/\", min_down: 5}\n", []string{
			`2:3: unknown key "webhook" (did you mean "webhooks"?)`,
			`4:5: "webhooks" needs a url`,
			`4:22: "events" "eror" is not an event (did you mean "error"?)`,
			`4:28: "events" "up" is not an event (use error, exhausted, recovered, breaker_opened, breaker_closed, tool_changed)`,
			`5:11: "url" must be an address such as https://alerts.example.com/hook`,
			`5:33: "min_down" must not be negative`,
			`5:47: "timeout" must be between 0s and 1m0s`,
			`6:49: "Authorization" would be sent in the clear (use https://, or set insecure_http: true)`,
			`6:64: "a b" is not an HTTP header`,
			`7:35: "min_down" needs a unit: 5 of what (write 5s, or another of ns us ms s m h)`,
		}},
		{"auth", "", "server:\n  auth:\n    api_keys:\n    - {principal: ops, hash: ilk_0123s3cret-value}\n    - {name: laptop, key: ilk_s3cret-value}\n    oidc:\n    - {issuer: \"http://a.example\", algorithms: [HS256], audience: x}\n    scopes: {tools: {\"[\": []}}\n", []string{
			`4:30: "hash" is the key itself, which does not belong into a file (write what ` + "`interlock apikey hash` makes of it on its standard input; better, make a new one with `interlock apikey new`)",
			`5:22: unknown key "key"`,
			`7:16: "issuer" must be https://: whoever is on the way could answer with keys of their own`,
			`7:49: item 1 of "algorithms" "HS256" is not accepted: a signature must need the private key of the issuer (use RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA)`,
			`7:67: "audience" must be a list, not a string (write ["x"])`,
			`8:22: "[" is not a glob`,
		}},
		{
			"tokens for nobody", "", "server:\n  listen: :7777\n  auth:\n    oidc:\n    - issuer: https://a.example\n    - {issuer: https://b.example, audience: [\"api://x\"]}\n",
			[]string{`5:7: item 1 of "oidc" does not say for whom its tokens must be made, and the gateway listens on all interfaces (set server.public_url to the URL that clients use, or audience)`},
		},
		{"policies", "", "policies:\n- a\n- {name: x, kund: {}}\n- {name: y}\n- {on_error: 5x, timeout: 3}\n", []string{
			`2:3: item 1 of "policies" must be a table of keys, not a string`,
			`3:13: unknown key "kund"`,
			`4:3: item 3 of "policies" does not say what kind of policy it is (add one of ` + strings.Join(builtin.Kinds(), ", ") + `)`,
			`5:3: item 4 of "policies" does not say what kind of policy it is (add one of ` + strings.Join(builtin.Kinds(), ", ") + `)`,
			`5:27: "timeout" needs a unit: 3 of what (write 3s, or another of ns us ms s m h)`,
		}},
		{"policies of one name", "", "policies:\n- validate: {}\n- dry_run: true\n  validate: {}\n- {name: validate, flow: {}}\n", []string{
			`4:3: "validate" is called by its kind, as policy 1 is (add a name to one of them)`,
			`5:10: "name" is "validate", as policy 1 is called already (add another name)`,
		}},
		{"keys of one principal", "", "server: {auth: {api_keys: [{principal: a, hash: sha256:0000000000000000000000000000000000000000000000000000000000000000}, {principal: a, hash: sha256:1111111111111111111111111111111111111111111111111111111111111111}]}}\n", []string{
			`1:123: "name" is that of key 1 of the same principal already (add another name)`,
		}},
		{"rules", "", "policies:\n- access:\n    default: maybe\n    rules:\n    - allow: 'tool.nam == \"x\"'\n    - deny: >-\n        true &&\n        args.a +\n    - {allow: upstream.name, tools: \"x\"}\n    - {allow: \"args.a.all(x, args.b.all(y, args.c.all(z, x + y + z > 0)))\"}\n    - {alow: x}\n- flow: {require: [egress], tags: {private: egress}, tools: {get: [secret]}}\n", []string{
			`3:14: "default" must be deny or allow`,
			`5:20: "allow" does not compile: undefined field 'nam' (did you mean "name"?)`,
			`8:17: "deny" does not compile: it ends too early`,
			`9:15: "allow" is of type string, and a rule must be true or false (compare it with something)`,
			`9:37: "tools" must be a list, not a string (write ["x"])`,
			`10:16: "allow" may cost 4015303 with lists of 50 items, and cost_limit is 100000 (nest fewer loops, or raise cost_limit)`,
			`11:8: unknown key "alow" (did you mean "allow"?)`,
			`12:20: item 1 of "require" "egress" must be private or untrusted`,
			`12:29: "tags" call both private and egress "egress" (use a tag for each)`,
			`12:62: "get" does not say of which upstream (write UPSTREAM__TOOL)`,
			`12:68: item 1 of "get" "secret" means nothing to this policy (use egress, untrusted, egress)`,
		}},
		{"profiles", "", `upstreams:
  files: {command: x}
  web: {command: x}
profiles:
  a b: {}
  "..": {}
  read:
    upstreams: [flies, "we*", "!files", "[", "nowhere at all"]
    tools: {allow: ["[a"], rename: {files__x: web__y, files__y: "a b", files__z: web__Y, web__q: files__x, web__r: ` + strings.Repeat("a", 50) + `}, kind: x}
    prompts: {deny: [""]}
    resources: {allow: 3}
    principals: ["", "group:", "[", "https://i.example#"]
    default: true
  write: {default: true}
  admin:
`, []string{
			`5:3: "a b" is not a legal name (use 1 to 64 letters, digits, _ . or -)`,
			`6:3: ".." is not a legal name (use 1 to 64 letters, digits, _ . or -)`,
			`8:17: item 1 of "upstreams" names "flies", which is no upstream (did you mean "files"?)`,
			`8:41: item 4 of "upstreams" is not a glob: "[" (write *, ? and [a-z], and \ before one that is meant)`,
			`8:46: item 5 of "upstreams" names "nowhere at all", which is no upstream (write a glob for one that will be added at run time)`,
			`9:21: item 1 of "allow" is not a glob: "[a" (write *, ? and [a-z], and \ before one that is meant)`,
			`9:65: "files__y" gives the name "a b": model APIs accept letters, digits, _ and - alone`,
			`9:82: "files__z" is called "web__Y", as is "files__x" (give each its own name)`,
			`9:98: "web__q" is called "files__x", which is the name of another tool (a profile gives nobody's name to somebody else: choose another)`,
			`9:116: "web__r" gives the name "` + strings.Repeat("a", 50) + `", which is longer than the 48 characters that names may have (use a shorter one, or raise names.max)`,
			`9:169: unknown key "kind"`,
			`10:22: item 1 of "deny" is empty`,
			`11:24: "allow" must be a list, not a number`,
			`12:18: item 1 of "principals" names nobody: ""`,
			`12:22: item 2 of "principals" names nobody: "group:"`,
			`12:32: item 3 of "principals" is not a glob: "[" (write *, ? and [a-z], and \ before one that is meant)`,
			`12:37: item 4 of "principals" names nobody: "https://i.example#"`,
			`14:20: "default" is set twice: the profile "read" has it`,
		}},
		{"names", "", "names: {separator: \"\"}\n", []string{`1:20: "separator" must not be empty`}},
		{"telemetry", "", "telemetry: {logs: {level: loud}}\n", []string{`1:27: "level" "loud" is not one of debug, info, warn, error`}},
		{"server", "", "server: {path: mcp, public_url: x, name: \"\", allowed_origins: [x], max_sessions: 0}\n", []string{
			`1:16: "path" must be a path such as /mcp`,
			`1:33: "public_url" must be a URL such as https://mcp.example.com/mcp`,
			`1:42: "name" must not be empty`,
			`1:46: "allowed_origins" holds "x", which is not an origin such as https://app.example.com`,
			`1:82: "max_sessions" must be at least 1`,
		}},
		{
			"drain longer than shutdown", "", "server: {drain_timeout: 30s}\n",
			[]string{`1:25: "drain_timeout" must not be longer than shutdown_timeout, which it is part of`},
		},
		{
			"admin beyond loopback", "", "admin: {listen: \"10.0.0.1:7778\"}\n",
			[]string{`1:17: "listen" must be a loopback address: its token would travel in the clear`},
		},
		{"header", "", "upstreams: {a: {url: \"https://x.example\", headers: {\"a b\": c}}}\n", []string{`1:60: "a b" is not an HTTP header`}},
		{"unknown anchor", "", "server: *s\n", []string{`1:9: no anchor "s" comes before this`}},
		{"aliases that grow", "", bomb(), []string{`1:1: unknown key "inputs"`, `1:219: the aliases of this file grow too large`}},
		{"deep", "", strings.Repeat("[", 5000), []string{`1:1001: is nested too deeply`}},
		{"deep dashes", "", strings.Repeat("- ", 5000), []string{`1:8001: is nested too deeply`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := tt.file
			if name == "" {
				name = "c.yaml"
			}
			dir := files(t, map[string]string{name: tt.text})
			got := faults(t, options(dir, nil, name))
			for i := range got {
				got[i] = strings.ReplaceAll(strings.TrimPrefix(got[i], name+":"), dir, "DIR")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// bomb is a YAML file whose aliases stand for 10^8 values.
func bomb() string {
	var b strings.Builder
	b.WriteString("inputs: [&a0 [" + strings.Repeat("x, ", 9) + "x]")
	for _, n := range []string{"01", "12", "23", "34", "45", "56", "67"} {
		b.WriteString(", &a" + n[1:] + " [" + strings.Repeat("*a"+n[:1]+", ", 9) + "*a" + n[:1] + "]")
	}
	b.WriteString("]\n")
	return b.String()
}

// TestGolden shows what a user sees.
func TestGolden(t *testing.T) {
	_, err := Load(options("testdata/bad", []string{"TOKEN=tok-en-value", "WORD=secret-word"}, "interlock.yaml"))
	var e *Errors
	if !errors.As(err, &e) {
		t.Fatalf("not *Errors: %v", err)
	}
	var got bytes.Buffer
	e.Render(&got, false)
	const golden = "testdata/bad/interlock.txt"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	for _, secret := range []string{"tok-en-value", "secret-word", "s3cret-in-file", "hunter2"} {
		if strings.Contains(got.String(), secret) {
			t.Errorf("the errors show the secret %q", secret)
		}
	}
}

func TestNoFile(t *testing.T) {
	dir := files(t, map[string]string{".mcp.json": `{"mcpServers": {}}`})
	_, err := Load(options(dir, nil))
	if !errors.Is(err, ErrNoFile) || !strings.Contains(err.Error(), "interlock.yaml") {
		t.Errorf("got %v, want one that says how to begin; a .mcp.json is read only when named", err)
	}
	got := faults(t, options(dir, nil, "gone.yaml"))
	want := []string{`gone.yaml: cannot read "gone.yaml": no such file or directory`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
