package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The collector's own rule, to run when the heap has doubled, makes a small busy
// program collect a hundred times a second: a gateway's heap is a few MiB, and
// it lets go of that much in milliseconds. While it is busy the heap may grow by
// headroom instead; at rest the rule is the collector's own again.
const (
	headroom  = 20 << 20
	busyUnder = 500 * time.Millisecond // between two collections
	warmUp    = 2 * time.Second        // what the start itself allocates is soon let go
)

// pacer sets after each collection when the next one is due.
type pacer struct {
	begun   time.Time
	last    time.Time
	percent int
	scanned [3]metrics.Sample
}

// paceCollector begins to do so, unless GOGC says what the user wants.
func paceCollector() {
	if os.Getenv("GOGC") != "" {
		return
	}
	now := time.Now()
	p := &pacer{begun: now, last: now, percent: 100}
	// What the percentage is of.
	for i, name := range []string{"/gc/heap/live:bytes", "/gc/scan/stack:bytes", "/gc/scan/globals:bytes"} {
		p.scanned[i].Name = name
	}
	p.arm()
}

// mark is what the collector is made to find dead; it must not be tiny, for
// those share their end.
type mark struct{ _ [32]byte }

// arm has collected called after the next collection.
func (p *pacer) arm() { runtime.AddCleanup(new(mark), (*pacer).collected, p) }

func (p *pacer) collected() {
	now := time.Now()
	percent := 100
	if now.Sub(p.last) < busyUnder && now.Sub(p.begun) > warmUp {
		metrics.Read(p.scanned[:])
		var bytes uint64
		for _, s := range p.scanned {
			bytes += s.Value.Uint64()
		}
		percent = pace(bytes)
	}
	p.last = now
	// To set it stops the world for a moment: only for a change worth that.
	if percent > p.percent*5/4 || percent < p.percent*4/5 {
		p.percent = percent
		debug.SetGCPercent(percent)
	}
	p.arm()
}

// pace returns by how many per cent of the bytes that the collector looks at the
// heap may grow. The more there is to look at, the more each byte allocated
// costs: with sessions and upstreams by the thousand a call must not pay for
// them, so that a heap of some size may grow to three times that, and one that
// is large already to twice. The least heap of the collector, 4 MiB, is scaled
// by the percentage too.
func pace(bytes uint64) int {
	switch {
	case bytes <= headroom:
		return int(headroom * 100 / max(bytes, 4<<20))
	case bytes <= 256<<20:
		return int(100 + 100*min(bytes-headroom, headroom)/headroom)
	}
	return 100
}
