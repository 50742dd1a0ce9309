package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/interlock-mcp/interlock/gateway/admin"
)

// on writes to a screen of so many columns, 0 for a pipe, and returns the lines.
func on(width int, write func(*screen)) []string {
	var b bytes.Buffer
	s := newScreen(&b)
	s.width = width
	write(s)
	return strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
}

func TestTableFits(t *testing.T) {
	ups := []admin.Upstream{
		{Name: "files", State: "running", Health: "healthy", Breaker: "closed", Transport: "stdio", Tools: 12, PID: 4242, Server: &admin.Server{Name: "filesystem", Version: "2026.8.31"}},
		{Name: "a-name-that-goes-on-for-longer-than-anybody-would-type", State: "error", Health: "unhealthy", Breaker: "open", Transport: "http", LastFailure: &admin.Failure{Stage: "handshake", Message: "dial tcp 10.0.0.1:443: connect: connection refused, and this goes on for quite a while after that"}},
		{Name: "時計", State: "starting", Health: "degraded", Breaker: "half_open", Transport: "stdio", WaitingFor: "files"},
	}
	for width, want := range map[int][]string{
		80: {
			"NAME                            STATE     HEALTH     SINCE  REMARK",
			"files                           running   healthy    -      filesystem 2026.8.31",
			"a-name-that-goes-on-for-longe…  error     unhealthy  -      handshake: dial tcp…",
			"時計                            starting  degraded   -      waits for files",
		},
		100: {
			"NAME                              STATE     HEALTH     BREAKER    TOOLS  SINCE  REMARK",
			"files                             running   healthy    closed     12     -      filesystem 2026.8.31",
			"a-name-that-goes-on-for-longer-…  error     unhealthy  open       0      -      handshake: dial tcp…",
			"時計                              starting  degraded   half_open  0      -      waits for files",
		},
		200: {
			"NAME                                                    STATE     HEALTH     BREAKER    TRANSPORT  TOOLS  PID   SINCE  REMARK",
			"files                                                   running   healthy    closed     stdio      12     4242  -      filesystem 2026.8.31",
			"a-name-that-goes-on-for-longer-than-anybody-would-type  error     unhealthy  open       http       0      -     -      handshake: dial tcp 10.0.0.1:443: connect: connection refused, and this goes on …",
			"時計                                                    starting  degraded   half_open  stdio      0      -     -      waits for files",
		},
	} {
		got := on(width, func(s *screen) { s.upstreams(ups) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d columns: %s", width, diff)
		}
	}
	// However narrow the terminal is, no line is longer; and a pipe has it all.
	for width := 1; width < 220; width++ {
		for _, line := range on(width, func(s *screen) { s.upstreams(ups) }) {
			if cells(line) > max(width, 2+gap+1) {
				t.Fatalf("%d columns: %d in %q", width, cells(line), line)
			}
		}
	}
	piped := strings.Join(on(0, func(s *screen) { s.upstreams(ups) }), "\n")
	for _, want := range []string{ups[1].Name, ups[1].LastFailure.Message, "PID", "BREAKER"} {
		if !strings.Contains(piped, want) {
			t.Errorf("a pipe lacks %q:\n%s", want, piped)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text string
		n    int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "ab…"}, {"時計時計", 4, "時…"}, {"時計時計", 5, "時計…"}, {"e\u0301e\u0301e\u0301", 2, "e\u0301…"}, {"ab", 1, "…"},
	} {
		got := cut(tt.text, tt.n)
		if got != tt.want || cells(got) > tt.n {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.text, tt.n, got, tt.want)
		}
	}
}

// The figures are written as people asked for them, and nothing known is not 0.
func TestStatsTable(t *testing.T) {
	at := func(v float64) *float64 { return &v }
	n := func(v int) *int { return &v }
	got := on(0, func(s *screen) {
		s.stats([]admin.Stats{
			{
				Name: "files", TotalChecks: n(100), HealthyChecks: n(99), Availability: at(99), AvgResponseTime: at(0.0123), MaxResponseTime: at(1.5), MinResponseTime: at(0.001),
				Calls: &admin.CallStats{Count: 7, Errors: map[string]int{"timeout": 1, "exit": 2}, P50: 0.01, P95: 0.2, P99: 2},
			},
			{Name: "new"},
		})
	})
	want := []string{
		"NAME   AVAILABILITY  CHECKS  AVG     MAX       MIN    CALLS  P50     P95      P99       FAILED",
		"files  99.0%         99/100  12.3ms  1500.0ms  1.0ms  7      10.0ms  200.0ms  2000.0ms  3 (exit 2, timeout 1)",
		"new    -             -       -       -         -      -      -       -        -         -",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, width := range []int{80, 100} {
		narrow := on(width, func(s *screen) {
			s.stats([]admin.Stats{{Name: strings.Repeat("x", 64), TotalChecks: n(1000), HealthyChecks: n(1000), Availability: at(100), AvgResponseTime: at(1)}})
		})
		if !strings.Contains(narrow[1], "100.0%") || !strings.Contains(narrow[1], "1000/1000") || !strings.Contains(narrow[1], "1000.0ms") {
			t.Errorf("%d columns leave out what was asked for: %q", width, narrow)
		}
	}
}

func TestUnits(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{seconds(0.0123), "12.3ms"},
		{seconds(1.25), "1.25s"},
		{seconds(125), "2m05s"},
		{seconds(7260), "2h01m"},
		{size(12), "12 B"},
		{size(1536), "1.5 KiB"},
		{size(5 << 40), "5.0 TiB"},
		{age(time.Now().Add(-90 * time.Minute)), "1h"},
		{fmt.Sprint(wrapped("one two three", 20), wrapped("one two three four five six", 20)), "[one two three] [one two three four five six]"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
	if got := wrapped("one two three four five six", 20); len(got) != 2 || got[0] != "one two three four" {
		t.Errorf("got %q", got)
	}
}

// No table of any command is wider than the terminal.
func TestEveryTableFits(t *testing.T) {
	name, long, figure := strings.Repeat("n", 64), strings.Repeat("long ", 60), 1234.5678
	n, edges := 100, []admin.Dependency{{Name: name, Condition: "started", Restart: true}, {Name: name}}
	for table, write := range map[string]func(*screen){
		"check": func(s *screen) {
			s.checks([]admin.Upstream{{Name: name}}, map[string]admin.Check{name: {Status: "not_started", ResponseTime: &figure, Error: &long}})
		},
		"stats": func(s *screen) {
			s.stats([]admin.Stats{{
				Name: name, TotalChecks: &n, HealthyChecks: &n, Availability: &figure, AvgResponseTime: &figure, MaxResponseTime: &figure, MinResponseTime: &figure,
				Calls: &admin.CallStats{Count: n, Errors: map[string]int{long: n}, P50: figure, P95: figure, P99: figure},
			}})
		},
		"graph": func(s *screen) {
			s.graphTable(&admin.Graph{Order: []string{name}, Nodes: []admin.Node{{Name: name, State: "not_started", DependsOn: edges, Dependents: []string{name, name}, Took: figure}}})
		},
		"tools": func(s *screen) { s.tools([]admin.Tool{{Name: name, Upstream: name, Description: long}}) },
		"events": func(s *screen) {
			s.events([]admin.Event{{Seq: 1 << 40, Kind: "reload_refused", Upstream: name, Text: long}})
		},
		"doctor": func(s *screen) {
			s.trials([]trial{{Name: name, Protocol: "2025-11-25", Stages: []admin.Stage{{Name: "handshake", Took: figure}, {Name: "list", Took: figure}}}})
		},
	} {
		for _, width := range []int{80, 100, 200} {
			for _, line := range on(width, write) {
				if cells(line) > width {
					t.Errorf("%s at %d columns: %d in %q", table, width, cells(line), line)
				}
			}
		}
		if piped := strings.Join(on(0, write), "\n"); !strings.Contains(piped, name) || strings.Contains(piped, "…") {
			t.Errorf("%s is cut in a pipe: %s", table, piped)
		}
	}
}

// What a server says in an error is no order to the terminal.
func TestErrorsAreHarmless(t *testing.T) {
	var b bytes.Buffer
	a := &app{errs: newScreen(&b)}
	a.fail(&failure{exitFailed, errors.New("bad \x1b[31m\u202e\u009b red\nnew\tline"), ""}, "interlock call")
	if got := b.String(); got != "interlock: bad ?[31m?? red\nnew\tline\n" {
		t.Errorf("%q", got)
	}
}
