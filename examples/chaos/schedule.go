package main

import (
	"math/rand/v2"
	"time"
)

// event is one fault of a schedule.
type event struct {
	At    time.Duration // since the faults began
	Kind  string        // one of those in faults
	Peer  int           // whom it hits
	For   time.Duration // how long it lasts, where it lasts
	Value int           // 0 to 999, for kinds that have a choice
}

// quietEnd is how long before the end no fault begins.
const quietEnd = 5 * time.Second

// schedule is a pure function of its arguments: the same faults at the same times
// to the same servers. Some fault begins every gap, on average, until shortly
// before the end.
func schedule(seed uint64, kinds []kind, length, gap time.Duration) (out []event) {
	rng := rand.New(rand.NewPCG(seed, 0x1b7e))
	for at := time.Duration(0); ; {
		at += time.Duration(rng.ExpFloat64() * float64(gap))
		e := event{At: at, Peer: rng.IntN(len(kinds)), For: 500*time.Millisecond + time.Duration(rng.Int64N(int64(3*time.Second))), Value: rng.IntN(1000)}
		var can []string
		for _, f := range faults {
			if f.hits == nil || f.hits(kinds[e.Peer]) {
				can = append(can, f.name)
			}
		}
		e.Kind = can[rng.IntN(len(can))]
		if at > length-quietEnd {
			return out
		}
		out = append(out, e)
	}
}
