package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// bar is what a figure must be, and what it is meant to become. It is at most
// that, or for least at least.
type bar struct {
	text     string
	scenario string
	way      string
	metric   string
	kind     kind
	scale    float64 // of the figure, to the unit of the text; 0 for 1
	must     float64
	goal     float64 // 0 when there is no other
}

type kind int

const (
	absolute kind = iota
	ratio         // to the floor
	least         // a ratio of which more is better
	excess        // over the floor
)

// bars are all of them: breaker and metrics on, medians; nothing is exported but in
// the cases of that.
var bars = []bar{
	{"CPU per call at 32 in flight", "calls-32/http", interlock, cpuSeconds, ratio, 0, 1.0, 0.5},
	{"CPU per call at 32 in flight", "calls-32/stdio", interlock, cpuSeconds, ratio, 0, 1.3, 1.0},
	{"calls/s at 32 in flight", "calls-32/http", interlock, perSecond, least, 0, 1.0, 1.6},
	{"calls/s at 32 in flight", "calls-32/stdio", interlock, perSecond, least, 0, 0.9, 1.0},
	{"calls/s at 256 in flight", "calls-256/http", interlock, perSecond, least, 0, 1.0, 1.6},
	{"calls/s at 256 in flight", "calls-256/stdio", interlock, perSecond, least, 0, 0.9, 1.0},
	{"p99 at 256 in flight", "calls-256/http", interlock, p99, ratio, 0, 1.0, 0},
	{"p99 at 256 in flight", "calls-256/stdio", interlock, p99, ratio, 0, 1.2, 1.0},
	{"added p50, one in flight", "calls-1/http", interlock, addedP50, ratio, 0, 1.1, 0.8},
	{"added p50, one in flight", "calls-1/stdio", interlock, addedP50, ratio, 0, 1.3, 1.1},
	{"CPU ms per result of 1 MiB", "result/http", interlock, cpuSeconds, absolute, 0.1, 2, 1},
	{"CPU ms per result of 1 MiB", "result/stdio", interlock, cpuSeconds, absolute, 0.1, 4, 2},
	{"fast p99 beside slow calls elsewhere", "slow/http", "beside slow ones elsewhere", p99, ratio, 0, 1.2, 1.05},
	{"fast p99 beside slow calls elsewhere", "slow/stdio", "beside slow ones elsewhere", p99, ratio, 0, 1.2, 1.05},
	{"fast p99 beside slow calls there", "slow/http", "beside slow ones there", p99, ratio, 0, 1.2, 1.05},
	{"fast p99 beside slow calls there", "slow/stdio", "beside slow ones there", p99, ratio, 0, 1.2, 1.05},
	{"ms from being back to served again", "killed/http", interlock, servedMS, absolute, 0, 50, 5},
	{"ms to served again, over the child's own start", "killed/stdio", interlock, servedMS, excess, 0, 50, 5},
	{"list of 1,000 tools", "list-1000/http", interlock, p50, ratio, 0, 1.2, 0},
	{"ms for a list of 10,000 tools", "list-10000/http", interlock, p50, absolute, 0.001, 15, 0},
	{"ms to the first list, five stdio upstreams", "cold/stdio", interlock, coldMS, absolute, 0, 25, 0},
	{"anonymous MiB, 1 HTTP upstream", "memory/http", "1 upstreams", anonMiB, absolute, 0, 12, 0},
	{"anonymous MiB, 10 HTTP upstreams", "memory/http", "10 upstreams", anonMiB, absolute, 0, 14, 0},
	{"anonymous MiB, 50 HTTP upstreams", "memory/http", "50 upstreams", anonMiB, absolute, 0, 20, 0},
	{"KiB an idle session", "sessions/http", "10000 sessions", perSession, absolute, 0, 2, 0},
	{"p99 ms of a refusal by an open breaker", "refused/http", interlock, p99, absolute, 0.001, 1, 0},
	{"peak MiB over idle, four results of 1 MiB", "result/http", interlock, overIdle, absolute, 0, 32, 0},
	{"peak MiB over idle, four results of 1 MiB", "result/stdio", interlock, overIdle, absolute, 0, 32, 0},
	{"CPU per call with the last traces kept", "telemetry/http", asDefault, cpuSeconds, ratio, 0, 1.05, 1.02},
	{"CPU per call with the last traces kept", "telemetry/stdio", asDefault, cpuSeconds, ratio, 0, 1.05, 1.02},
	{"CPU per call with 10 % exported", "telemetry/http", tenth, cpuSeconds, ratio, 0, 1.05, 0},
	{"CPU per call with 10 % exported", "telemetry/stdio", tenth, cpuSeconds, ratio, 0, 1.05, 0},
	{"CPU per call with 100 % exported", "telemetry/http", whole, cpuSeconds, ratio, 0, 1.25, 0},
	{"CPU per call with 100 % exported", "telemetry/stdio", whole, cpuSeconds, ratio, 0, 1.25, 0},
	{"CPU per call, the client's trace followed", "telemetry/http", clientsOwn, cpuSeconds, ratio, 0, 1.25, 0},
	{"CPU per call, the client's trace followed", "telemetry/stdio", clientsOwn, cpuSeconds, ratio, 0, 1.25, 0},
	{"CPU per call with all signals exported", "telemetry/http", allSignals, cpuSeconds, ratio, 0, 1.25, 0},
	{"CPU per call with all signals exported", "telemetry/stdio", allSignals, cpuSeconds, ratio, 0, 1.25, 0},
}

// verdict is a bar and what was measured.
type verdict struct {
	Text string  `json:"bar"`
	Case string  `json:"case"`
	Must float64 `json:"must"`
	Goal float64 `json:"goal,omitempty"`
	More bool    `json:"more_is_better,omitempty"`
	spread
	Pass    bool `json:"pass"`
	Reached bool `json:"goal_reached"`
}

// inModern are bars for the same cases in the other era; those that there are
// not in it are not judged.
func inModern(of []bar) []bar {
	all := slices.Clone(of)
	for i := range all {
		all[i].scenario += "/modern"
	}
	return all
}

// judge holds the bars of the cases that were run to their figures.
func judge(r *report) []verdict {
	var all []verdict
	for _, b := range slices.Concat(bars, inModern(bars)) {
		w := r.find(b.scenario, b.way)
		if w == nil || w.Figures[b.metric] == nil {
			continue
		}
		v := verdict{Text: b.text, Case: b.scenario, Must: b.must, Goal: b.goal, More: b.kind == least}
		switch f := w.Figures[b.metric]; {
		case b.kind == absolute:
			k := b.scale
			if k == 0 {
				k = 1
			}
			v.spread = spread{f.Median * k, f.Low * k, f.High * k}
		case b.kind == excess:
			floor := r.find(b.scenario, w.Floor).Figures[b.metric].Median
			v.spread = spread{f.Median - floor, f.Low - floor, f.High - floor}
		case f.Ratio == nil:
			continue
		default:
			v.spread = *f.Ratio
		}
		v.Pass = v.meets(b.must)
		v.Reached = v.meets(b.must) && (b.goal == 0 || v.meets(b.goal))
		all = append(all, v)
	}
	return all
}

func (v verdict) meets(limit float64) bool {
	if v.More {
		return v.Median >= limit
	}
	return v.Median <= limit
}

// writeBars prints each bar with what was measured.
func (r *report) writeBars(w io.Writer) error {
	lines := [][]string{{"bar", "upstream", "must", "goal", "measured", ""}}
	for _, v := range r.Bars {
		sign, goal, said := "≤", "", "FAIL"
		if v.More {
			sign = "≥"
		}
		if v.Goal != 0 {
			goal = fmt.Sprintf("%s %g", sign, v.Goal)
		}
		if v.Pass {
			said = "pass"
		}
		if v.Reached && v.Goal != 0 {
			said = "goal"
		}
		_, upstream, _ := strings.Cut(v.Case, "/")
		upstream = strings.Replace(upstream, "/", ", ", 1)
		lines = append(lines, []string{
			v.Text, upstream, fmt.Sprintf("%s %g", sign, v.Must), goal,
			fmt.Sprintf("%.2f (%.2f-%.2f)", v.Median, v.Low, v.High), said,
		})
	}
	fmt.Fprintln(w)
	writeColumns(w, lines)
	return nil
}

// failed counts the bars that were missed.
func (r *report) failed() int {
	n := 0
	for _, v := range r.Bars {
		if !v.Pass {
			n++
		}
	}
	return n
}
