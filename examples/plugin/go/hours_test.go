package main

import (
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/policy/plugin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOpens(t *testing.T) {
	h, err := parse([]byte(`{"from":"08:30","to":"17:00","zone":"Europe/Berlin"}`))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]time.Duration{ // in UTC, where Berlin is ahead
		"2026-11-23T07:29:00Z": time.Minute,                   // Monday, before it opens
		"2026-11-23T07:30:00Z": 0,                             // it opens
		"2026-11-23T15:59:59Z": 0,                             // the last second
		"2026-11-23T16:00:00Z": 15*time.Hour + 30*time.Minute, // until Tuesday
		"2026-11-27T16:00:00Z": 63*time.Hour + 30*time.Minute, // Friday, until Monday
		"2026-03-28T12:00:00Z": 42*time.Hour + 30*time.Minute, // over the change of the clocks
	} {
		now, err := time.Parse(time.RFC3339, at)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.opens(now); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}

func TestDecide(t *testing.T) {
	h, err := parse([]byte(`{"days":["Mon"]}`))
	if err != nil {
		t.Fatal(err)
	}
	tuesday := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	definition := func(trusted bool, raw string) *plugin.Definition {
		return &plugin.Definition{Raw: []byte(raw), Trusted: trusted}
	}
	for name, c := range map[string]struct {
		call plugin.Call
		pass bool
	}{
		"a tool that changes":        {plugin.Call{Method: "tools/call", Definition: definition(true, `{}`)}, false},
		"a tool that reads":          {plugin.Call{Method: "tools/call", Definition: definition(true, `{"annotations":{"readOnlyHint":true}}`)}, true},
		"one that says so, unproven": {plugin.Call{Method: "tools/call", Definition: definition(false, `{"annotations":{"readOnlyHint":true}}`)}, false},
		"a prompt":                   {plugin.Call{Method: "prompts/get"}, true},
	} {
		if err := h.decide(&c.call, tuesday); (err == nil) != c.pass {
			t.Errorf("%s: %v, want it to pass: %v", name, err, c.pass)
		}
	}
}

func TestParse(t *testing.T) {
	for _, raw := range []string{
		`{"from":"8h"}`, `{"to":"08:00"}`, `{"zone":"Mars/Base"}`, `{"days":["Monday"]}`, `{"days":[]}`, `{"form":"08:30"}`,
	} {
		if _, err := parse([]byte(raw)); err == nil {
			t.Errorf("%s is accepted", raw)
		}
	}
}
