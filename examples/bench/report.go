package main

import (
	"encoding/json"
	"io"
	"runtime"
	"slices"
	"time"
)

// The names of the metrics.
const (
	perSecond      = "calls_per_second"
	p50            = "p50_us"
	p99            = "p99_us"
	addedP50       = "added_p50_us" // over the direct way of the same case
	cpuSeconds     = "cpu_s_per_10k"
	objectsPerCall = "allocations_per_call"
	rss            = "rss_mib"
	peakRSS        = "peak_rss_mib"
	overIdle       = "peak_over_idle_mib"
	anonMiB        = "anonymous_mib"
	perSession     = "kib_per_session"
	lastMS         = "last_ms"
	coldMS         = "first_list_ms"
	shortLists     = "incomplete_lists" // that came before the complete one
	servedMS       = "served_ms"
	spansPerCall   = "spans_per_call" // that came to the sink
)

// metrics are all of them in the order of the table: how a column is headed, and
// how many digits are worth printing.
var metrics = []struct {
	name, head string
	digits     int
}{
	{perSecond, "calls/s", 0},
	{p50, "p50 µs", 0},
	{addedP50, "added µs", 0},
	{p99, "p99 µs", 0},
	{cpuSeconds, "CPU s/10k", 2},
	{objectsPerCall, "allocs/call", 1},
	{rss, "RSS MiB", 1},
	{overIdle, "peak over idle MiB", 1},
	{anonMiB, "anonymous MiB", 1},
	{perSession, "KiB/session", 2},
	{lastMS, "last ms", 1},
	{coldMS, "first list ms", 1},
	{shortLists, "incomplete before", 0},
	{servedMS, "served ms", 1},
	{spansPerCall, "spans/call", 2},
}

// report is what a run found.
type report struct {
	When   time.Time `json:"when"`
	CPUs   int       `json:"cpus"`
	Go     string    `json:"go"`
	Rounds int       `json:"rounds"`
	Slice  string    `json:"slice"`
	Rows   []*row    `json:"rows"`
	Bars   []verdict `json:"bars"`
}

// row is one way in one case.
type row struct {
	Case     string             `json:"case"`
	Title    string             `json:"title"`
	Era      string             `json:"era"`
	Upstream string             `json:"upstream"`
	Way      string             `json:"way"`
	Floor    string             `json:"floor,omitempty"`
	Figures  map[string]*figure `json:"figures"`
}

// figure is one metric of one way over all repetitions. Ratio is to the floor in
// the same repetition.
type figure struct {
	spread
	Ratio *spread `json:"ratio,omitempty"`

	values []float64
}

// spread is a median and the extremes around it.
type spread struct {
	Median float64 `json:"median"`
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
}

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Low: v[0], High: v[n-1]}
}

func newReport(p plan) *report {
	return &report{When: time.Now().UTC().Truncate(time.Second), CPUs: runtime.NumCPU(), Go: runtime.Version(), Rounds: p.rounds, Slice: p.slice.String()}
}

// open adds a row for each way of a case.
func (r *report) open(s *scenario, ways []*way) []*row {
	from := len(r.Rows)
	for _, w := range ways {
		r.Rows = append(r.Rows, &row{
			Case: s.name, Title: s.title, Era: s.era, Upstream: s.upstream, Way: w.name, Floor: w.floor,
			Figures: map[string]*figure{},
		})
	}
	return r.Rows[from:]
}

// add takes one repetition of a case, with the figures of each of its rows.
func add(rows []*row, got []figures) {
	for i, f := range got {
		if d := slices.IndexFunc(rows, func(r *row) bool { return r.Way == direct }); d >= 0 && d != i && f[p50] > 0 {
			f[addedP50] = f[p50] - got[d][p50]
		}
		for name, v := range f {
			if rows[i].Figures[name] == nil {
				rows[i].Figures[name] = new(figure)
			}
			rows[i].Figures[name].values = append(rows[i].Figures[name].values, v)
		}
	}
}

// finish works out medians and ratios.
func (r *report) finish() {
	for _, w := range r.Rows {
		floor := r.find(w.Case, w.Floor)
		for name, f := range w.Figures {
			f.spread = spreadOf(f.values)
			if floor == nil || floor.Figures[name] == nil {
				continue
			}
			var ratios []float64
			for i, v := range f.values {
				if base := floor.Figures[name].values; i < len(base) && base[i] > 0 {
					ratios = append(ratios, v/base[i])
				}
			}
			if len(ratios) > 0 {
				s := spreadOf(ratios)
				f.Ratio = &s
			}
		}
	}
	r.Bars = judge(r)
}

// find returns the row of a way in a case, nil if there is none.
func (r *report) find(scenario, way string) *row {
	i := slices.IndexFunc(r.Rows, func(w *row) bool { return w.Case == scenario && w.Way == way })
	if i < 0 {
		return nil
	}
	return r.Rows[i]
}

func (r *report) writeJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(r)
}
