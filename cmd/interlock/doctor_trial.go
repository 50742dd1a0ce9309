package main

import (
	"fmt"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// trial is how the start of one upstream went.
type trial struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Protocol is the revision that was agreed on, "" for none.
	Protocol string        `json:"protocol"`
	Stages   []admin.Stage `json:"stages"`
	// Took is the sum of the stages but the wait for others, in seconds.
	Took      float64 `json:"took"`
	Tools     int     `json:"tools"`
	Prompts   int     `json:"prompts"`
	Resources int     `json:"resources"`
}

func trialOf(i admin.Info) trial {
	t := trial{
		Name: i.Name, OK: i.State == "running", Protocol: i.Protocol, Stages: i.Stages,
		Tools: i.Tools, Prompts: i.Prompts, Resources: i.Resources,
	}
	for _, s := range i.Stages {
		if s.Name != "dependencies" {
			t.Took += s.Took
		}
	}
	return t
}

// stage is how long a stage took, in seconds.
func (t trial) stage(name string) float64 {
	for _, s := range t.Stages {
		if s.Name == name {
			return s.Took
		}
	}
	return 0
}

// longest is the stage that took longest.
func (t trial) longest() string {
	name, most := "", -1.0
	for _, s := range t.Stages {
		if s.Took > most && s.Name != "dependencies" {
			name, most = s.Name, s.Took
		}
	}
	return name
}

// trials writes how the starts went, a line for each.
func (s *screen) trials(all []trial) {
	if len(all) == 0 {
		return
	}
	rows := make([][]cell, len(all))
	for i, t := range all {
		var stages []string
		for _, st := range t.Stages {
			stages = append(stages, st.Name+" "+seconds(st.Took))
		}
		start := cell{"ok", s.green}
		if !t.OK {
			start = cell{"failed", s.red}
		}
		rows[i] = []cell{
			{t.Name, s.bold},
			start, plain(seconds(t.Took)), plain(orDash(t.Protocol)),
			plain(fmt.Sprint(t.Tools)), plain(orDash(strings.Join(stages, ", "))),
		}
	}
	s.printf("\n")
	s.table([]column{{"NAME", 24, 0}, {"START", 0, 0}, {"TOOK", 0, 0}, {"PROTOCOL", 0, 1}, {"TOOLS", 0, 2}, {"STAGES", 20, 3}}, rows)
}
