package main

import (
	"strings"
	"testing"
)

func TestComeBack(t *testing.T) {
	for _, tt := range []struct{ name, line, want string }{
		{"whole", "http://127.0.0.1:7780/callback?code=abc&state=s1", ""},
		{"with a fragment", "http://127.0.0.1:7780/callback?code=abc&state=s1#", ""},
		{"quoted", `"http://127.0.0.1:7780/callback?code=abc&state=s1"`, ""},
		{"the query", "code=abc&state=s1", ""},
		{"a refusal", "?error=access_denied&state=s1", ""},
		{"another state", "http://127.0.0.1:7780/callback?code=abc&state=s2", "another sign-in"},
		{"cut", "http://127.0.0.1:7780/callback?code=abc", "copy the whole"},
		{"the beginning", "https://auth.example.com/authorize?client_id=i&state=s1", "where the sign-in begins"},
		{"a word", "abc", "is not the address"},
		{"no query", "http://127.0.0.1:7780/callback?code=%zz&state=s1", "is not the address"},
	} {
		query, err := comeBack(tt.line, "s1")
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: %v", tt.name, err)
		case tt.want == "" && query.Get("state") != "s1":
			t.Errorf("%s: %v", tt.name, query)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A line that is none is said to be, and the next is read.
func TestPasted(t *testing.T) {
	visits := make(chan visit, 1)
	var amiss []string
	in := strings.NewReader("\nwhat?\n  http://127.0.0.1:1/cb?code=abc&state=s1\r\nnever read\n")
	pasted(t.Context(), in, "s1", visits, func(text string) { amiss = append(amiss, text) })
	if v := <-visits; v.query.Get("code") != "abc" {
		t.Errorf("%v", v.query)
	}
	if len(amiss) != 1 {
		t.Errorf("%q", amiss)
	}
	pasted(t.Context(), strings.NewReader(""), "s1", visits, nil)
	if len(visits) != 0 {
		t.Error("the end of the input is an answer")
	}
}
