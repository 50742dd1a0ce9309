package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"testing"
)

// The running configuration shows policies under the keys of the file.
func TestPoliciesInTheTree(t *testing.T) {
	dir := files(t, map[string]string{"c.yaml": `
policies:
- name: quota
  dry_run: true
  rate:
    limits: [{per: [principal], rate: 5/s, upstreams: [a]}]
    concurrency: [{total: 4, wait: 2s}]
- secrets:
- pin: {file: sub/pins.yaml}
`})
	cfg, err := Load(options(dir, nil, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.Policies[2].Pin.File, filepath.Join(dir, "sub", "pins.yaml"); got != want {
		t.Errorf("the file of pins is %s, want %s: beside the configuration", got, want)
	}
	raw, err := json.Marshal(cfg.Tree()["policies"])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`"dry_run":true`, `"name":"quota"`, `"per":["principal"]`, `"rate":"5/s"`, `"upstreams":["a"]`, `"total":4`, `"wait":"2s"`, `"secrets":{`, `"pin":{`,
	} {
		if !strings.Contains(string(raw), want) {
			t.Errorf("no %s in %s", want, raw)
		}
	}
	if strings.Contains(string(raw), "***") {
		t.Errorf("something is hidden in %s", raw)
	}
}

// The name of a kind is no reason to hide what it is set to.
func TestPolicyLinesAreShown(t *testing.T) {
	dir := files(t, map[string]string{"c.yaml": "policies:\n- secrets: {argument: redact}\n- access: {rules: [{name: a, allow: 'args.path =='}]}\n"})
	_, err := Load(options(dir, nil, "c.yaml"))
	var e *Errors
	if !errors.As(err, &e) {
		t.Fatal(err)
	}
	var b bytes.Buffer
	e.Render(&b, false)
	if !strings.Contains(b.String(), "- secrets: {argument: redact}") || strings.Contains(b.String(), "***") {
		t.Errorf("the line is hidden:\n%s", &b)
	}
	if !strings.Contains(b.String(), "c.yaml:3:50: ") { // behind the last =
		t.Errorf("the fault in the expression is not placed inside of it:\n%s", &b)
	}
}
