package config

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	cfg := good(t, "c.yaml", `
upstreams:
  a:
    command: x
    args: [--token, s3cret1, --api-key=s3cret2, "${SECRET}", --port, "8080", "https://me:s3cret3@h/?k=s3cret4"]
    env: {A: s3cret5}
    depends_on: [b]
    prefix: ""
    call_timeout: 90s
  b:
    url: https://me:s3cret6@h.example/mcp?key=s3cret7
    headers: {X: "Bearer ${SECRET}"}
`, "SECRET=s3cret8")
	for _, u := range cfg.Upstreams {
		before := u.Command + strings.Join(u.Args, " ") + u.URL
		out, err := json.Marshal(cfg.Keys(u))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(out), "s3cret") {
			t.Errorf("shows a secret: %s", out)
		}
		if after := u.Command + strings.Join(u.Args, " ") + u.URL; after != before {
			t.Errorf("changed the configuration: %s", after)
		}
	}
	out, _ := json.Marshal(cfg.Keys(cfg.Upstreams[0]))
	for _, want := range []string{`"--port","8080"`, `"call_timeout":"1m30s"`, `"prefix":""`, `"depends_on":{"b":{"condition":"running","restart":false}}`, `"A":"***"`, `"limits":{"idle":"15m0s","in_flight":512`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	out, _ = json.Marshal(cfg.Keys(cfg.Upstreams[1]))
	if !strings.Contains(string(out), `"https://***@h.example/mcp?key=***"`) {
		t.Errorf("the url in %s", out)
	}
}

// TestSecretsAreInNoError puts a secret wherever a value is refused.
func TestSecretsAreInNoError(t *testing.T) {
	for _, text := range []string{
		"server: {listen: \"${S}\"}", "server: {listen: ${S}, max_body: ${S}, list_wait: ${S}, max_sessions: ${S}}",
		"server: {allowed_origins: [\"${S}\"], allowed_hosts: [\"${S}/\"]}",
		"upstreams: {a: {command: x, transport: ${S}, protocol: \"${S}\", tools: {allow: [\"[${S}\"]}}}",
		"alerts: {webhooks: [{url: \"ftp://h/s3cret\", events: [x]}]}", "alerts: {webhooks: [{url: \"https://h/${S}\", events: [\"${S}\"], timeout: x}]}",
		"alerts: {webhooks: [{ur: \"https://h/s3cret\"}]}", "alerts: {webhook: {u: \"https://h/s3cret\"}}",
		"alerts: {webhooks: [{url: \"http://me:s3cret@h/\", headers: {Authorization: s3cret, X: \"s3cret\\n\"}}]}",
		"upstreams: {a: {url: \"${S}\"}}", "upstreams: {a: {command: x, prefix: \"${S}__\"}}",
		"upstreams: {a: {command: x, depends_on: [\"${S}\"]}}", "telemetry: {logs: {level: \"${S}\"}}",
		"upstreams: {a: {command: x, tools: {rename: {t: \"${S}\", u: \"${S}\"}}}}",
		"admin: {token: [s3cret], listen: x}", "server: {token: s3cret", "admin: {token: s3cret, listen: x}",
		"upstreams: {a: {command: x, args: [--api-key, s3cret], env: [s3cret]}}\nenv: {K: s3cret}",
		"upstreams: {a: {command: x, restart: \"${S}\", args: \"${S}\"}}",
		"upstreams: {a: {command: x, args: [--token, s3cret], tags: x}}", "upstreams: {a: {command: x, args: [--token=s3cret], tags: x}}",
		"upstreams: {a: {url: \"http://u:s3cret@x.example/\"}}",
		"include: [\"${S}\"]", "upstreams: {a: {command: x, env: {K: \"${file:${S}}\"}}}",
	} {
		o := options(files(t, map[string]string{"c.yaml": text + "\n"}), []string{"S=s3cret"}, "c.yaml")
		_, err := Load(o)
		if err == nil {
			t.Errorf("%s: accepted", text)
			continue
		}
		var out strings.Builder
		err.(*Errors).Render(&out, true)
		if strings.Contains(out.String(), "s3cret") {
			t.Errorf("%s:\n%s", text, out.String())
		}
	}
}
