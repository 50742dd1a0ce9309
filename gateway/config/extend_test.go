package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream"
)

// base is a configuration with one upstream and defaults.
func base(t *testing.T) *Config {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "interlock.yaml")
	text := "defaults: {call_timeout: 7s}\nserver: {listen: 127.0.0.1:7001}\nupstreams:\n  db: {url: 'http://127.0.0.1:9/mcp'}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(LoadOptions{Files: []string{file}, Environ: []string{"HOME=/home/me"}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func extend(c *Config, doc string, o ExtendOptions) (*Extension, error) {
	o.Environ = append([]string{"HOME=/home/me", "TOKEN=s3cret"}, o.Environ...)
	o.LookPath = func(string) (string, error) { return "", nil }
	o.Keyring = func(string) (string, error) { return "from-the-keyring", nil }
	return c.Extend([]byte(doc), o)
}

func TestExtend(t *testing.T) {
	for _, tt := range []struct {
		name, doc string
		names     []string
		raw       string // of the first
		check     func(u *upstream.Config) bool
	}{
		{
			"as most clients write it", `{"mcpServers": {"My files": {"command": "npx", "args": ["-y", "x"], "env": {"T": "${TOKEN}"}}}}`,
			[]string{"My-files"},
			`{"command":"npx","args":["-y","x"],"env":{"T":"${TOKEN}"}}`,
			func(u *upstream.Config) bool { return u.Command == "npx" && u.Env["T"] == "s3cret" },
		},
		{
			"VS Code's", `{"servers": {"a": {"type": "http", "url": "https://x.example/mcp"}}, "inputs": []}`,
			[]string{"a"},
			`{"type":"http","url":"https://x.example/mcp"}`,
			func(u *upstream.Config) bool { return u.Kind() == upstream.HTTP },
		},
		{
			"VS Code's old form", `{"mcp": {"servers": {"a": {"url": "https://x.example/mcp"}}}}`,
			[]string{"a"},
			`{"url":"https://x.example/mcp"}`, nil,
		},
		{
			"our own, with an edge to what is there", `{"upstreams": {"api": {"url": "https://x.example/mcp", "depends_on": ["db"]}, "b": {"command": "x", "start_timeout": "3s"}}}`,
			[]string{"api", "b"},
			`{"url":"https://x.example/mcp","depends_on":["db"]}`,
			func(u *upstream.Config) bool { return len(u.DependsOn) == 1 && u.DependsOn[0].On == "db" },
		},
		{
			"comments, and the bytes of numbers", "{\"upstreams\": {\"a\": {\"command\": \"x\", // why\n \"breaker\": {\"ratio\": 0.50}}}}",
			[]string{"a"},
			`{"command":"x","breaker":{"ratio":0.50}}`,
			func(u *upstream.Config) bool { return u.Breaker.Ratio == 0.5 },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := base(t)
			x, err := extend(c, tt.doc, ExtendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var names []string
			for _, e := range x.Added {
				names = append(names, e.Name)
			}
			if diff := cmp.Diff(tt.names, names); diff != "" {
				t.Error(diff)
			}
			if string(x.Added[0].Raw) != tt.raw {
				t.Errorf("kept as %s", x.Added[0].Raw)
			}
			u := x.Config.Upstream(names[0])
			if u == nil || u.CallTimeout.String() != "7s" || tt.check != nil && !tt.check(u) {
				t.Errorf("%+v", u)
			}
			if len(c.Upstreams) != 1 || len(x.Config.Upstreams) != 1+len(names) || x.Config.Server.Listen != c.Server.Listen {
				t.Errorf("%d before, %d after", len(c.Upstreams), len(x.Config.Upstreams))
			}
			// What is written is read as the same again.
			again, err := extend(c, string(WriteEntries(x.Added)), ExtendOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(x.Config.Upstreams, again.Config.Upstreams); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestExtendLeavesOutWhatIsThere(t *testing.T) {
	x, err := extend(base(t), `{"upstreams": {"db": {"command": "other"}, "a": {"command": "x"}}}`, ExtendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"db"}, x.Existing); diff != "" || len(x.Added) != 1 || x.Config.Upstream("db").Command != "" {
		t.Errorf("%s %+v", diff, x.Added)
	}
}

func TestExtendReportsAll(t *testing.T) {
	for _, tt := range []struct {
		name, doc string
		want      []string
	}{
		{"all faults at once", `{"upstreams": {"a": {"comand": "x"}, "b": {"url": "ftp://x", "start_timeout": 5}}}`, []string{
			`unknown key "comand" (did you mean "command"?)`, `needs a unit`, `must begin with http:// or https://`,
		}},
		{"keys of the file", `{"upstreams": {"a": {"command": "x"}}, "server": {"listen": ":1"}}`, []string{`"server" is nothing that can be added`}},
		{"an include", `{"upstreams": {"a": {"command": "x"}}, "include": ["/etc/passwd"]}`, []string{`"include" is nothing that can be added`}},
		{"a misspelt block", `{"upsteams": {"a": {"command": "x"}}}`, []string{`did you mean "upstreams"?`, "names no upstreams"}},
		{"nothing", `{}`, []string{"names no upstreams"}},
		{"no object", `[]`, []string{"must be a table of keys"}},
		{"no JSON", `{"upstreams": `, []string{"not valid JSON"}},
		{"an edge to nowhere", `{"upstreams": {"a": {"command": "x", "depends_on": ["bd"]}}}`, []string{`did you mean "db"?`}},
		{"a cycle", `{"upstreams": {"a": {"command": "x", "depends_on": ["b"]}, "b": {"command": "x", "depends_on": ["a"]}}}`, []string{"cycle"}},
		{"itself", `{"upstreams": {"a": {"url": "http://127.0.0.1:7001/mcp"}}}`, []string{"own endpoint"}},
		{"a variable that is not set", `{"upstreams": {"a": {"command": "${NOPE}"}}}`, []string{"variable NOPE is not set"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := extend(base(t), tt.doc, ExtendOptions{})
			if err == nil {
				t.Fatal("no error")
			}
			for _, w := range tt.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("%v\ndoes not say %s", err, w)
				}
			}
		})
	}
}

// What a token holder may not have the gateway do: run a program, read a file or
// a variable.
func TestExtendLiteral(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("s3cret"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, doc := range map[string]string{
		"a command":                 `{"mcpServers": {"a": {"command": "x"}}}`,
		"docker":                    `{"mcpServers": {"a": {"command": "docker", "args": ["run", "x"]}}}`,
		"a command in a list":       `{"mcp": {"a": {"command": ["x", "y"]}}}`,
		"a command in a table":      `{"context_servers": {"a": {"command": {"path": "x", "args": []}}}}`,
		"a transport":               `{"upstreams": {"a": {"url": "https://x.example/mcp", "transport": "stdio"}}}`,
		"a command that says http":  `{"upstreams": {"a": {"command": "x", "transport": "http"}}}`,
		"both":                      `{"upstreams": {"a": {"url": "https://x.example/mcp", "command": "x"}}}`,
		"a disabled one":            `{"upstreams": {"a": {"command": "x", "enabled": false}}}`,
		"a variable":                `{"upstreams": {"a": {"url": "https://x.example/${TOKEN}"}}}`,
		"a variable of a kind":      `{"upstreams": {"a": {"url": "https://x.example/${env:TOKEN}"}}}`,
		"a default":                 `{"upstreams": {"a": {"url": "https://x.example/${NOPE:-${TOKEN}}"}}}`,
		"a file":                    `{"upstreams": {"a": {"url": "https://x.example/mcp", "headers": {"X": "${file:` + file + `}"}}}}`,
		"the keyring":               `{"upstreams": {"a": {"url": "https://x.example/mcp", "headers": {"X": "${keyring:k}"}}}}`,
		"opencode's file":           `{"mcp": {"a": {"url": "https://x.example/mcp", "headers": {"X": "{file:` + file + `}"}}}}`,
		"Gemini CLI's variable":     `{"mcpServers": {"a": {"httpUrl": "https://x.example/mcp", "headers": {"X": "$TOKEN"}}}}`,
		"an editor's variable":      `{"mcpServers": {"a": {"url": "https://x.example/${userHome}"}}}`,
		"Codex's token":             `{"mcp_servers": {"a": {"url": "https://x.example/mcp", "bearer_token_env_var": "TOKEN"}}}`,
		"Codex's headers":           `{"mcp_servers": {"a": {"url": "https://x.example/mcp", "env_http_headers": {"X": "TOKEN"}}}}`,
		"a file of variables":       `{"servers": {"a": {"url": "https://x.example/mcp", "envFile": "` + file + `"}}}`,
		"a client's certificate":    `{"upstreams": {"a": {"url": "https://x.example/mcp", "tls": {"cert": "/c", "key": "/k"}}}}`,
		"an authority":              `{"upstreams": {"a": {"url": "https://x.example/mcp", "tls": {"ca": "` + file + `"}}}}`,
		"one beside a harmless one": `{"upstreams": {"b": {"url": "https://x.example/mcp"}, "a": {"command": "x"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := extend(base(t), doc, ExtendOptions{}); err != nil && strings.Contains(err.Error(), "unix socket") {
				t.Errorf("refused where all is allowed: %v", err)
			}
			_, err := extend(base(t), doc, ExtendOptions{Literal: true})
			if r := (*Refused)(nil); !errors.As(err, &r) || !strings.Contains(err.Error(), "unix socket") {
				t.Errorf("not refused: %v", err)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "from-the-keyring")) {
				t.Errorf("told what it may not read: %v", err)
			}
		})
	}
	x, err := extend(base(t), `{"mcpServers": {"a": {"url": "https://x.example/mcp", "headers": {"X": "plain $5 and $${TOKEN}"}}}}`, ExtendOptions{Literal: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Config.Upstream("a").Headers["X"]; got != "plain $5 and ${TOKEN}" {
		t.Errorf("literal text became %q", got)
	}
	again, err := extend(base(t), string(WriteEntries(x.Added)), ExtendOptions{})
	if err != nil || again.Config.Upstream("a").Headers["X"] != "plain $5 and ${TOKEN}" {
		t.Errorf("and after a restart %v", err)
	}
}

// What came from a variable is as secret in an entry as in the file.
func TestExtendKeepsSecrets(t *testing.T) {
	x, err := extend(base(t), `{"upstreams": {"a": {"command": "x", "args": ["${TOKEN}"]}}}`, ExtendOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := x.Config.Redact(*x.Config.Upstream("a")); got.Args[0] != "***" {
		t.Errorf("shown: %v", got.Args)
	}
}

// FuzzExtend holds that no document makes Extend panic; that a literal one is read
// without a file, a variable, the keyring or a program; and that what is written of
// an accepted one is accepted as the same.
func FuzzExtend(f *testing.F) {
	for _, doc := range []string{
		`{"mcpServers": {"a b": {"command": "x", "env": {"T": "${TOKEN}"}}}}`,
		`{"servers": {"a": {"type": "http", "url": "https://x.example/mcp", "headers": {"A": "${env:TOKEN}"}}}, "inputs": []}`,
		`{"mcp": {"servers": {"a": {"url": "https://x.example/{env:TOKEN}"}}}}`, `{"mcp": {"a": {"command": ["x", "{file:/etc/passwd}"]}}}`,
		`{"mcp_servers": {"a": {"url": "https://x.example", "bearer_token_env_var": "TOKEN", "env_http_headers": {"B": "TOKEN"}}}}`,
		`{"upstreams": {"a": {"url": "https://x.example", "tls": {"ca": "/ca"}, "depends_on": {"db": {"condition": "started"}}, "tools": {"rename": {"x": "$${TOKEN}"}}}}}`,
		`{"upstreams": {"a": {"url": "https://x.example/${keyring:k}", "limits": null, "restart": "no"}}, "$schema": "x"}`,
		`{"mcpServers": {"a": {"httpUrl": "https://$TOKEN.example", "envFile": "/etc/passwd"}}, "context_servers": {"b": {"command": {"path": "x"}}}}`,
	} {
		f.Add([]byte(doc))
	}
	c := &Config{Server: Defaults().Server, Names: Defaults().Names, StateDir: "/state"}
	f.Fuzz(func(t *testing.T, doc []byte) {
		if strings.Contains(string(doc), "s3cret") {
			return
		}
		o := ExtendOptions{Dir: "/nowhere", Literal: true, Environ: []string{"TOKEN=s3cret", "HOME=/s3cret"}}
		o.Keyring = func(string) (string, error) { t.Error("the keyring was asked"); return "s3cret", nil }
		o.LookPath = func(string) (string, error) { return "", nil }
		x, err := c.Extend(doc, o)
		if err != nil {
			if strings.Contains(err.Error(), "s3cret") {
				t.Errorf("told a secret: %v", err)
			}
			return
		}
		if len(x.Config.Sources) > 0 {
			t.Errorf("read %v", x.Config.Sources)
		}
		for _, u := range x.Config.Upstreams {
			if u.Command != "" || u.Kind() == upstream.Stdio || strings.Contains(fmt.Sprintf("%+v", u), "s3cret") {
				t.Errorf("took %+v", u)
			}
		}
		again, err := c.Extend(WriteEntries(x.Added), o)
		if err != nil {
			t.Fatalf("what was written of it is refused: %v\n%s", err, WriteEntries(x.Added))
		}
		if len(again.Config.Upstreams) != len(x.Config.Upstreams) {
			t.Errorf("%d upstreams, then %d", len(x.Config.Upstreams), len(again.Config.Upstreams))
		}
		for _, u := range x.Config.Upstreams { // blocks may have been put together
			if now := again.Config.Upstream(u.Name); now == nil || now.RestartKey() != u.RestartKey() {
				t.Errorf("%+v became %+v", u, now)
			}
		}
	})
}
