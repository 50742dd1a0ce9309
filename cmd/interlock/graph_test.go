package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/interlock-mcp/interlock/gateway/admin"
)

// golden is the case that everybody knows: api needs database and auth, auth
// needs database, web needs api, and clock nothing.
func golden() *admin.Graph {
	on := func(names ...string) []admin.Dependency {
		var out []admin.Dependency
		for _, n := range names {
			out = append(out, admin.Dependency{Name: n, Condition: "running"})
		}
		return out
	}
	api := on("database", "auth")
	api[0].Condition = "started"
	api[1].Restart = true
	return &admin.Graph{
		Order: []string{"database", "clock", "auth", "api", "web"},
		Nodes: []admin.Node{
			{Name: "web", State: "running", Health: "healthy", DependsOn: on("api"), Level: 3, Took: 0.25},
			{Name: "api", State: "running", Health: "degraded", DependsOn: api, Dependents: []string{"web"}, Level: 2, Took: 1.5},
			{Name: "auth", State: "running", Health: "healthy", DependsOn: on("database"), Dependents: []string{"api"}, Level: 1, Took: 0.5},
			{Name: "database", State: "running", Health: "healthy", Dependents: []string{"api", "auth"}, Took: 2},
			{Name: "clock", State: "not_started"},
		},
		Critical: []string{"database", "auth", "api", "web"}, CriticalTime: 4.25,
	}
}

func TestGraphText(t *testing.T) {
	want := strings.Split(`database  running  2.00s *
├── auth  running  500.0ms *
│   └── api  running  1.50s *  (restarts with it)
│       └── web  running  250.0ms *
└── api (see below auth)
clock  not_started

start order
  1  database, clock
  2  auth
  3  api
  4  web
critical path  4.25s
  database 2.00s → auth 500.0ms → api 1.50s → web 250.0ms`, "\n")
	if diff := cmp.Diff(want, on(0, func(s *screen) { s.graph(golden()) })); diff != "" {
		t.Error(diff)
	}
}

func TestGraphDOT(t *testing.T) {
	want := `digraph interlock {
  rankdir=RL;
  node [shape=box, style=rounded];
  "database" [label="database\nrunning, 2.00s", color=darkgreen];
  "clock" [label="clock\nnot_started", color=gray];
  "auth" [label="auth\nrunning, 500.0ms", color=darkgreen];
  "api" [label="api\nrunning, 1.50s", color=orange];
  "web" [label="web\nrunning, 250.0ms", color=darkgreen];
  "auth" -> "database" [penwidth=2];
  "api" -> "database" [label=started];
  "api" -> "auth" [style=dashed, penwidth=2];
  "web" -> "api" [penwidth=2];
}
`
	if diff := cmp.Diff(want, dot(golden())); diff != "" {
		t.Error(diff)
	}
	if got := dotQuote("a\"b\\c\nd"); got != `"a\"b\\c\nd"` {
		t.Errorf("got %s", got)
	}
}

func TestGraphTable(t *testing.T) {
	want := []string{
		"NAME      LEVEL  STATE        TOOK     CRITICAL  DEPENDS ON                                   DEPENDENTS",
		"database  0      running      2.00s    yes       -                                            api, auth",
		"clock     0      not_started  -                  -                                            -",
		"auth      1      running      500.0ms  yes       database                                     api",
		"api       2      running      1.50s    yes       database (started), auth (restarts with it)  web",
		"web       3      running      250.0ms  yes       api                                          -",
	}
	if diff := cmp.Diff(want, on(0, func(s *screen) { s.graphTable(golden()) })); diff != "" {
		t.Error(diff)
	}
}
