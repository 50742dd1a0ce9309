package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// like returns the defaults with some keys set.
func like(name string, set func(*upstream.Config)) upstream.Config {
	u := upstream.Defaults()
	u.Name = name
	set(&u)
	return u
}

// TestClientFiles loads a file of each client as a whole configuration.
func TestClientFiles(t *testing.T) {
	here, err := filepath.Abs("testdata/clients")
	if err != nil {
		t.Fatal(err)
	}
	const fs = "@modelcontextprotocol/server-filesystem"
	for _, tt := range []struct {
		file     string
		want     []upstream.Config
		warnings []string // the keys
	}{
		{"claude-code.mcp.json", []upstream.Config{
			like("files", func(u *upstream.Config) {
				u.Command, u.Args, u.CallTimeout = "npx", []string{"-y", fs, "/tmp"}, 90*time.Second
			}),
			like("linear", func(u *upstream.Config) {
				u.URL, u.Transport = "https://mcp.linear.app/mcp", upstream.HTTP
				u.Headers = map[string]string{"Authorization": "Bearer t0ken"}
			}),
			like("old", func(u *upstream.Config) { u.URL, u.Transport = "https://mcp.example.com/events", upstream.SSE }),
			like("slack", func(u *upstream.Config) {
				u.URL, u.Transport, u.Auth = "https://s.example.com/mcp", upstream.HTTP, oauth.Config{ClientID: "me", Scopes: []string{"a", "b"}}
			}),
		}, []string{"timeout", "another program", "callbackPort"}},
		{"claude_desktop_config.json", []upstream.Config{
			like("My-Files", func(u *upstream.Config) { u.Command, u.Args = "npx", []string{"-y", fs, "/home/me"} }),
			like("memory", func(u *upstream.Config) {
				u.Command, u.Args = "npx", []string{"-y", "@modelcontextprotocol/server-memory"}
				u.Env = map[string]string{"MEMORY_FILE_PATH": "/tmp/memory.json"}
			}),
		}, []string{"globalShortcut, preferences", `"My Files" is called "My-Files"`}},
		{"cursor.mcp.json", []upstream.Config{
			like("local", func(u *upstream.Config) {
				u.Command, u.Args = "/home/me/bin/server", []string{"--root", here}
				u.Env = map[string]string{"KEY": "t0ken", "FROM_FILE": "one two"}
			}),
			like("remote", func(u *upstream.Config) {
				u.URL, u.Headers = "https://api.example.com/mcp", map[string]string{"X-Key": "t0ken"}
			}),
			like("figma", func(u *upstream.Config) {
				u.URL, u.Auth = "https://f.example.com/mcp", oauth.Config{ClientID: "me", ClientSecret: "t0ken", Scopes: []string{"read"}}
			}),
		}, []string{"another program", "whatever authorization server"}},
		{"vscode.mcp.json", []upstream.Config{
			like("github", func(u *upstream.Config) {
				u.URL, u.Transport = "https://api.githubcopilot.com/mcp/", upstream.HTTP
			}),
			like("playwright", func(u *upstream.Config) {
				u.Command, u.Transport, u.Cwd = "npx", upstream.Stdio, here
				u.Args = []string{"-y", "@microsoft/mcp-server-playwright"}
			}),
		}, []string{"inputs", "dev"}},
		{"codex.toml", []upstream.Config{
			like("docs", func(u *upstream.Config) {
				u.Command, u.Args, u.Cwd, u.Enabled = "npx", []string{"-y", "docs-server"}, "/srv", false
				u.Env = map[string]string{"LEVEL": "warn"}
				u.StartTimeout, u.CallTimeout = 20*time.Second, 45500*time.Millisecond
				u.Tools.Allow = []string{"search", `summarize\*`}
			}),
			like("figma", func(u *upstream.Config) {
				u.URL = "https://mcp.figma.com/mcp"
				u.Headers = map[string]string{"Authorization": "Bearer t0ken", "X-Region": "eu", "X-Work": "w0rk"}
			}),
			like("linear", func(u *upstream.Config) {
				u.URL, u.Auth = "https://l.example.com/mcp", oauth.Config{Scopes: []string{"read", "write"}}
			}),
		}, []string{"model, approval_policy, tui", "oauth_resource"}},
		{"gemini.settings.json", []upstream.Config{
			like("python", func(u *upstream.Config) {
				u.Command, u.Args, u.Cwd = "python", []string{"-m", "server"}, filepath.Join(here, "py")
				u.CallTimeout = 15 * time.Second
				u.Env = map[string]string{"KEY": "t0ken"}
				u.Tools.Allow, u.Tools.Deny = []string{"safe_tool"}, []string{"danger"}
			}),
			like("web", func(u *upstream.Config) {
				u.URL, u.Transport = "https://x.example.com/sse", upstream.HTTP
				u.Headers = map[string]string{"A": "t0ken"}
			}),
			like("signed", func(u *upstream.Config) {
				u.URL, u.Transport, u.Auth = "https://g.example.com/mcp", upstream.HTTP, oauth.Config{Scopes: []string{"x"}}
			}),
			like("google", func(u *upstream.Config) { u.URL, u.Transport = "https://h.example.com/mcp", upstream.HTTP }),
		}, []string{"theme", "timeout", "trust", "redirectUri", "authProviderType"}},
		{"windsurf.mcp_config.json", []upstream.Config{
			like("remote", func(u *upstream.Config) {
				u.URL, u.Headers = "https://mcp.example.com/mcp", map[string]string{"K": "t0ken"}
				u.Tools.Deny = []string{"x"}
			}),
			like("off", func(u *upstream.Config) { u.Command, u.Enabled = "npx", false }),
		}, nil},
		{"cline_mcp_settings.json", []upstream.Config{
			like("a", func(u *upstream.Config) { u.Command, u.Args, u.CallTimeout = "node", []string{"/x.js"}, 30*time.Minute }),
			like("b", func(u *upstream.Config) {
				u.URL, u.Transport, u.CallTimeout = "https://mcp.example.com/mcp", upstream.HTTP, time.Minute
			}),
		}, []string{"timeout", "autoApprove", "alwaysAllow", "timeout"}},
		{"roo.mcp.json", []upstream.Config{
			like("r", func(u *upstream.Config) {
				u.URL, u.Transport, u.Tools.Deny = "https://mcp.example.com/mcp", upstream.HTTP, []string{"z"}
			}),
		}, []string{"alwaysAllow", "watchPaths"}},
		{"zed.settings.json", []upstream.Config{
			like("new", func(u *upstream.Config) {
				u.Command, u.Args, u.Env = "npx", []string{"x"}, map[string]string{"A": "b"}
			}),
			like("older", func(u *upstream.Config) { u.Command, u.Args = "node", []string{"y.js"} }),
			like("web", func(u *upstream.Config) {
				u.URL, u.Headers = "https://mcp.example.com/mcp", map[string]string{"A": "b"}
			}),
		}, []string{"vim_mode", "source", "settings"}},
		{"opencode.json", []upstream.Config{
			like("local", func(u *upstream.Config) {
				u.Command, u.Args, u.Transport = "npx", []string{"-y", "server"}, upstream.Stdio
				u.Env, u.CallTimeout = map[string]string{"KEY": "t0ken"}, 5*time.Second
			}),
			like("remote", func(u *upstream.Config) {
				u.URL, u.Headers = "https://mcp.example.com/mcp", map[string]string{"Authorization": "Bearer t0ken"}
			}),
			like("known", func(u *upstream.Config) {
				u.URL, u.Auth = "https://a.example.com/mcp", oauth.Config{ClientID: "me", ClientSecret: "t0ken", Scopes: []string{"read", "write"}}
			}),
			like("plain", func(u *upstream.Config) {
				u.URL, u.Auth = "https://b.example.com/mcp", oauth.Config{Flow: oauth.NoFlow}
			}),
		}, []string{"model", "timeout", "another program", "whatever authorization server"}},
	} {
		t.Run(tt.file, func(t *testing.T) {
			o := options("testdata/clients", []string{"TOKEN=t0ken", "WORK_ID=w0rk"}, tt.file)
			o.Environ[0] = "HOME=/home/me"
			cfg, err := Load(o)
			if err != nil {
				t.Fatal(err)
			}
			// That there is none and that there are none of them is the same.
			empty := cmp.FilterValues(func(a, b any) bool { return isNone(a) && isNone(b) }, cmp.Ignore())
			if diff := cmp.Diff(tt.want, cfg.Upstreams, empty); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			if len(cfg.Warnings) != len(tt.warnings) {
				t.Fatalf("warnings %v, want %v", cfg.Warnings, tt.warnings)
			}
			for i, w := range cfg.Warnings {
				if !strings.Contains(w.Text, tt.warnings[i]) || w.Line == 0 {
					t.Errorf("warning %q, want it to say %q", w, tt.warnings[i])
				}
			}
		})
	}
}

func isNone(v any) bool {
	switch v := v.(type) {
	case map[string]string:
		return len(v) == 0
	case []string:
		return len(v) == 0
	}
	return false
}

// TestEveryClientHasAFile keeps the folder and the table equal.
func TestEveryClientHasAFile(t *testing.T) {
	source, err := os.ReadFile("clients_test.go")
	if err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob("testdata/clients/*.[jt][so][om][nl]*")
	if err != nil || len(found) < 11 {
		t.Fatalf("files of clients: %v %v", found, err)
	}
	for _, f := range found {
		if !strings.Contains(string(source), `{"`+filepath.Base(f)+`",`) {
			t.Errorf("%s is in no test", f)
		}
	}
}

// TestClientEntries has what entries of clients may hold besides.
func TestClientEntries(t *testing.T) {
	for _, tt := range []struct {
		name, entry string
		want        string // of the key
		got         func(*upstream.Config) string
	}{
		{"local", `{"type": "local", "command": "x"}`, "stdio", func(u *upstream.Config) string { return string(u.Kind()) }},
		{"streamable_http", `{"type": "streamable_http", "url": "https://x.example/sse"}`, "http", func(u *upstream.Config) string { return string(u.Kind()) }},
		{"transport key", `{"transport": "streamableHttp", "uri": "https://x.example/"}`, "http", func(u *upstream.Config) string { return string(u.Kind()) }},
		{"remote", `{"type": "remote", "url": "https://x.example/sse"}`, "sse", func(u *upstream.Config) string { return string(u.Kind()) }},
		{"envs", `{"command": "x", "envs": {"A": "b"}}`, "b", func(u *upstream.Config) string { return u.Env["A"] }},
		{"list and args", `{"command": ["x", "1"], "args": ["2"]}`, "1 2", func(u *upstream.Config) string { return strings.Join(u.Args, " ") }},
		{"seconds", `{"command": "x", "timeout": 60}`, "1m0s", func(u *upstream.Config) string { return u.CallTimeout.String() }},
		{"milliseconds", `{"command": "x", "timeout": 60000}`, "1m0s", func(u *upstream.Config) string { return u.CallTimeout.String() }},
		{"VS Code's oauth", `{"type": "http", "url": "https://x.example/", "oauth": {"clientId": "me"}}`, "me", func(u *upstream.Config) string { return u.Auth.ClientID }},
		{"oauth of a process", `{"command": "x", "oauth": {"enabled": false}}`, "", func(u *upstream.Config) string { return string(u.Auth.Flow) }},
		{"our auth and a stranger's key", `{"url": "https://x.example/", "auth": {"issuer": "https://i.example", "audience": "y"}}`, "https://i.example", func(u *upstream.Config) string { return u.Auth.Issuer }},
		{"oauth that is a word", `{"url": "https://x.example/", "auth": "oauth", "oauth": true}`, "", func(u *upstream.Config) string { return string(u.Auth.Flow) }},
		{"off", `{"url": "https://x.example/", "oauth": {"enabled": false}}`, "none", func(u *upstream.Config) string { return string(u.Auth.Flow) }},
		{"dollars stay", `{"command": "x", "env": {"A": "pa$$word$1"}}`, "pa$$word$1", func(u *upstream.Config) string { return u.Env["A"] }},
		{"own keys", `{"command": "x", "prefix": "p"}`, "p", (*upstream.Config).NamePrefix},
		{"separator in a name", `{"command": "x"}`, "s_one", (*upstream.Config).NamePrefix},
	} {
		t.Run(tt.name, func(t *testing.T) {
			name := "s"
			if tt.name == "separator in a name" {
				name = "s__one"
			}
			cfg := good(t, "x.json", `{"mcpServers": {"`+name+`": `+tt.entry+`}}`)
			if got := tt.got(&cfg.Upstreams[0]); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMisspeltClientKeyIsAWarning(t *testing.T) {
	cfg := good(t, "x.json", `{"mcpServers": {"a": {"command": "x", "environmnt": {}, "zebra": 1}}}`)
	var got []string
	for _, w := range cfg.Warnings {
		got = append(got, w.Text+" "+w.Mend)
	}
	want := []string{`unknown key "environmnt" is ignored did you mean "environment"?`, `unknown key "zebra" is ignored `}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
