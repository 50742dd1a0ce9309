package gateway

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/telemetry"
)

// auditing is telemetry that writes an audit, and what reads it.
func auditing(t *testing.T) (*telemetry.Telemetry, func() []telemetry.AuditLine) {
	t.Helper()
	c := telemetry.Defaults()
	c.Traces.Keep = 0 // a trace has another id each time
	c.Audit.Path = filepath.Join(t.TempDir(), "audit")
	tel, err := telemetry.Start(t.Context(), c, telemetry.Resource{})
	if err != nil {
		t.Fatal(err)
	}
	return tel, func() []telemetry.AuditLine {
		raw, err := os.ReadFile(c.Audit.Path)
		if err != nil {
			t.Fatal(err)
		}
		var all []telemetry.AuditLine
		for line := range strings.Lines(string(raw)) {
			var l telemetry.AuditLine
			if err := json.Unmarshal([]byte(line), &l); err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			all = append(all, l)
		}
		return all
	}
}

// Who was turned away at the door is in the audit, and nothing of the credential.
func TestAuditOfTheDoor(t *testing.T) {
	tel, lines := auditing(t)
	cfg := settings(t, "a")
	keys := keyed(cfg, "alice")
	cfg.Server.Auth.Scopes.Tools = map[string][]string{"a__echo": {"write"}}
	d := dialer("echo")
	d.Server("a").Tools = []string{"echo", "free"}
	d.Server("a").OnRequest = echo
	g, err := New(cfg, Options{Dialer: d, Telemetry: tel})
	if err != nil {
		t.Fatal(err)
	}
	r := serveGateway(t, g)
	r.dialer = d
	r.running()
	c := r.as(keys["alice"])
	c.post(calls("1", "a__echo", `{}`)) // the scope is missing
	c.post(calls("2", "a__nothing", `{}`))
	c.post(calls("3", "a__free", `{"x":"a value"}`))
	c.post(`{"jsonrpc":"2.0","id":6,"method":"resources/read","params":{"uri":"mem://a value/x"}}`)
	wrong := "ilk_" + strings.Repeat("5", 64)
	bad := &client{r: r, path: "/mcp", version: "2025-11-25", key: wrong}
	bad.post(calls("4", "a__free", `{}`))
	bad.key = ""
	bad.post(calls("5", "a__free", `{}`)) // nothing was shown: no line
	var got []string
	for _, l := range lines() {
		got = append(got, strings.Join([]string{l.Kind, l.Principal, l.Exposed, l.Effect, l.Executed, l.Error}, " "))
	}
	want := []string{
		"sign_in alice a__echo deny no insufficient_scope",
		"call alice a__nothing  no -32602",
		"call alice a__free allow yes ",
		"call alice mem:… allow yes ",
		"sign_in   deny no invalid_token",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("lines:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, l := range lines() {
		raw, _ := json.Marshal(l)
		for _, secret := range []string{wrong, keys["alice"], "a value"} {
			if strings.Contains(string(raw), secret) {
				t.Errorf("%q is in %s", secret, raw)
			}
		}
	}
}

// A query may hold values, and is left out.
func TestWithoutQuery(t *testing.T) {
	for in, want := range map[string]string{
		"file:///a/b": "file:///a/b", "pg://u:secret@h:1/t?x=y": "pg://…@h:1/t?…", "pg://u:p@w@h": "pg://…@h", "git://h/a@b": "git://h/a@b", "https://h/p?token=x": "https://h/p?…", "what?": "what?", "why?not": "why?not",
	} {
		if got := withoutQuery(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
