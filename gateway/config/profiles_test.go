package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
)

func TestProfileLists(t *testing.T) {
	alice := &policy.Principal{Issuer: "https://i.example", Subject: "auth0|alice/1", Groups: []string{"ops", "eng/infra"}}
	key := &policy.Principal{Issuer: "interlock", Subject: "ci"}
	for entry, want := range map[string][2]bool{ // alice, ci
		"ci":                             {false, true},
		"*":                              {true, true},
		"auth0|*":                        {true, false},
		"group:ops":                      {true, false},
		"group:eng*":                     {true, false},
		"group:*":                        {true, false},
		"ops":                            {false, false},
		"interlock#*":                    {false, true},
		"interlock#group:ops":            {false, false},
		"https://i.example#*":            {true, false},
		"https://other.example#*":        {false, false},
		"https://i.example#group:ops":    {true, false},
		"https://i.example/#auth0|alice": {false, false},
		"x509:CA of us#*":                {false, false},
		"c#i":                            {false, false},
	} {
		p := &Profile{Principals: []string{"nobody", entry}}
		if got := [2]bool{p.Lists(alice), p.Lists(key)}; got != want {
			t.Errorf("%q: %v, want %v", entry, got, want)
		}
		if p.Lists(&policy.Principal{}) || p.Lists(nil) {
			t.Errorf("%q lists who is anonymous", entry)
		}
	}
	if (&Profile{}).Lists(key) {
		t.Error("a profile without principals lists somebody")
	}
}

// Profiles stand in the order of the file, also of several files, and what is
// probably a slip is warned of.
func TestProfilesOfFiles(t *testing.T) {
	cfg := good(t, "c.yaml", `upstreams: {a: {command: sh, tags: [egress]}}
profiles:
  zoo: {tags: ["!egres"], tools: {describe: {a__x: y}}}
  ant: {upstreams: [a], principals: [ci], description: "for ants"}
  mid:
`)
	var names []string
	for _, p := range cfg.Profiles {
		names = append(names, p.Name)
	}
	if d := cmp.Diff([]string{"zoo", "ant", "mid"}, names); d != "" {
		t.Error("-want +got", d)
	}
	var warned []string
	for _, w := range cfg.Warnings {
		warned = append(warned, w.String())
	}
	want := []string{
		`c.yaml:3:16: item 1 of "tags" names "egres", which no upstream has (did you mean "egress"?)`,
		`c.yaml:4:25: "principals" name nobody: without server.auth every client is anonymous (set server.auth, or choose the profile by its path or with default: true)`,
	}
	if d := cmp.Diff(want, warned); d != "" {
		t.Error("-want +got", d)
	}
	if p := cfg.Profile("ant"); p == nil || p.Description != "for ants" || cfg.Profile("b") != nil {
		t.Errorf("%+v", p)
	}
	tree := cfg.Tree()["profiles"].(map[string]any)
	if d := cmp.Diff(map[string]any{"default": false, "tags": []string{"!egres"}, "tools": map[string]any{"describe": map[string]string{"a__x": "y"}}}, tree["zoo"]); d != "" {
		t.Error("-want +got", d)
	}
}
