package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"
)

// report holds the figures of each path at each level of load, in the order in
// which they are printed.
type report struct {
	CPUs  int     `json:"cpus"`
	Go    string  `json:"go"`
	Cells []*cell `json:"cells"`
}

// cell is one path at one level of load. Times are in microseconds.
type cell struct {
	Upstream string  `json:"upstream"`
	Path     string  `json:"path"`
	InFlight int     `json:"in_flight"`
	Calls    int     `json:"calls"`
	PerSec   float64 `json:"calls_per_second"`
	P50      float64 `json:"p50_us"`
	P99      float64 `json:"p99_us"`
	// CPU is seconds for 10,000 calls of the process in the middle, MiB its
	// memory after the last slice. 0 when nobody is in the middle.
	CPU float64 `json:"cpu_s_per_10k,omitempty"`
	MiB float64 `json:"rss_mib,omitempty"`
	// Beside compares with Base: ReverseProxy for http, bridge for stdio.
	Base   string  `json:"base,omitempty"`
	Beside *beside `json:"beside,omitempty"`

	latencies []time.Duration
	took, cpu time.Duration
}

// beside holds ratios to the base: 1 is the same, for PerSec more is better, for
// the others less.
type beside struct {
	PerSec float64 `json:"calls_per_second"`
	P50    float64 `json:"p50"`
	P99    float64 `json:"p99"`
	CPU    float64 `json:"cpu"`
}

func newReport(paths []*path, levels []int) *report {
	r := &report{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	for _, upstream := range []string{"http", "stdio"} {
		for _, n := range levels {
			for _, p := range paths {
				if p.upstream == upstream {
					r.Cells = append(r.Cells, &cell{Upstream: upstream, Path: p.name, InFlight: n})
				}
			}
		}
	}
	return r
}

func (r *report) add(p *path, n int, s sample) {
	c := r.find(p.upstream, p.name, n)
	c.Calls += s.calls
	c.took += s.took
	c.cpu += s.cpu
	c.latencies = append(c.latencies, s.latencies...)
	c.MiB = float64(s.resident) / (1 << 20)
}

func (r *report) find(upstream, name string, n int) *cell {
	i := slices.IndexFunc(r.Cells, func(c *cell) bool { return c.Upstream == upstream && c.Path == name && c.InFlight == n })
	return r.Cells[i]
}

// finish works out the figures from what was added.
func (r *report) finish() {
	for _, c := range r.Cells {
		slices.Sort(c.latencies)
		c.PerSec = float64(c.Calls) / c.took.Seconds()
		c.P50, c.P99 = quantile(c.latencies, 0.50), quantile(c.latencies, 0.99)
		c.CPU = c.cpu.Seconds() / float64(max(1, c.Calls)) * 10_000
	}
	for _, c := range r.Cells {
		if c.Path != "Interlock" {
			continue
		}
		if c.Base = "ReverseProxy"; c.Upstream == "stdio" {
			c.Base = "bridge"
		}
		b := r.find(c.Upstream, c.Base, c.InFlight)
		c.Beside = &beside{PerSec: c.PerSec / b.PerSec, P50: c.P50 / b.P50, P99: c.P99 / b.P99, CPU: c.CPU / max(b.CPU, 1e-9)}
	}
}

// quantile is of sorted latencies, in microseconds.
func quantile(sorted []time.Duration, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[int(q*float64(len(sorted)-1))]) / float64(time.Microsecond)
}

func (r *report) writeJSON(w io.Writer) error {
	r.finish()
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}

func (r *report) writeTable(w io.Writer) error {
	r.finish()
	fmt.Fprintf(w, "%d CPUs, %s. CPU and memory are those of the process in the middle alone.\n\n", r.CPUs, r.Go)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "upstream\tin flight\tpath\tcalls/s\tp50 µs\tp99 µs\tCPU s/10k\tRSS MiB\t")
	last := ""
	for _, c := range r.Cells {
		group := fmt.Sprint(c.Upstream, c.InFlight)
		if last != "" && group != last {
			fmt.Fprintln(t, "\t\t\t\t\t\t\t\t")
		}
		last = group
		fmt.Fprintf(t, "%s\t%d\t%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t\n", c.Upstream, c.InFlight, c.Path, c.PerSec, c.P50, c.P99, known(c.CPU, 2), known(c.MiB, 0))
		if b := c.Beside; b != nil {
			fmt.Fprintf(t, "\t\t× %s\t%.2f\t%.2f\t%.2f\t%.2f\t\t\n", c.Base, b.PerSec, b.P50, b.P99, b.CPU)
		}
	}
	return t.Flush()
}

// known prints v, or nothing for 0.
func known(v float64, digits int) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.*f", digits, v)
}
