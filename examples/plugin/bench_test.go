//go:build linux

package plugin

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkCall is the median of a call through the whole gateway, without a policy
// and with office hours in the path, taken in turns, and what the plugin adds.
func BenchmarkCall(b *testing.B) {
	var took [2][]time.Duration
	var calls [2]func()
	for i, plugin := range []fields{nil, hours(b, true)} {
		g := newGateway(b, plugin)
		c := g.dial()
		calls[i] = func() {
			began := time.Now()
			if said := g.call(c, "notes__list", "{}"); said == "" {
				b.Fatal("no answer")
			}
			took[i] = append(took[i], time.Since(began))
		}
	}
	for range 200 {
		calls[0]()
		calls[1]()
	}
	took = [2][]time.Duration{}
	for b.Loop() {
		calls[0]()
		calls[1]()
	}
	var median [2]float64
	for i, t := range took {
		slices.Sort(t)
		median[i] = float64(t[len(t)/2].Nanoseconds()) / 1000
	}
	b.ReportMetric(median[0], "without-p50-µs")
	b.ReportMetric(median[1], "with-p50-µs")
	b.ReportMetric(median[1]-median[0], "added-p50-µs")
}
