package telemetry

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// sampler decides which traces are exported.
type sampler struct {
	// bound is of the share of traces that begin here and are kept: those whose
	// number is below it.
	bound uint64
	// alone says that a client's decision is not followed.
	alone bool
}

// newSampler returns the one that OTEL_TRACES_SAMPLER asks for (SDK environment
// variables, "General SDK Configuration"), else one that follows the client and
// keeps this share of what begins here.
func newSampler(share float64) (sampler, error) {
	name := os.Getenv("OTEL_TRACES_SAMPLER")
	if name == "" {
		return sampler{bound: boundOf(share)}, nil
	}
	kind, follows := strings.CutPrefix(name, "parentbased_")
	s := sampler{alone: !follows}
	switch kind {
	case "always_on":
		s.bound = boundOf(1)
	case "always_off":
	case "traceidratio":
		share = 1
		if arg := os.Getenv("OTEL_TRACES_SAMPLER_ARG"); arg != "" {
			var err error
			if share, err = strconv.ParseFloat(arg, 64); err != nil || !(share >= 0 && share <= 1) {
				return s, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q is not a number between 0 and 1", arg)
			}
		}
		s.bound = boundOf(share)
	default:
		return s, fmt.Errorf("OTEL_TRACES_SAMPLER: %q is not one of always_on, always_off, traceidratio, and these after parentbased_", name)
	}
	return s, nil
}

// boundOf is such that the SDKs decide alike for one trace.
func boundOf(share float64) uint64 { return uint64(share * (1 << 63)) }

// root decides for a trace that begins here.
func (s sampler) root(id traceID) bool {
	return binary.BigEndian.Uint64(id[8:])>>1 < s.bound
}

// below decides for a span whose parent is a client's.
func (s sampler) below(parent remote) bool {
	if s.alone {
		return s.root(parent.ref.trace)
	}
	return parent.ref.flags&flagSampled != 0
}

// budget is a token bucket: so many traces a second are kept for `interlock
// traces`, so that it costs a busy gateway nothing that could be measured.
type budget struct {
	// next is when the bucket is full again, in ns since 1970.
	next atomic.Int64
}

const (
	budgetEvery = time.Second / 100
	budgetBurst = 200
)

func (b *budget) allow(now time.Time) bool {
	at := now.UnixNano()
	for {
		next := b.next.Load()
		if next-at > int64(budgetEvery*(budgetBurst-1)) {
			return false
		}
		if b.next.CompareAndSwap(next, max(next, at)+int64(budgetEvery)) {
			return true
		}
	}
}

func put(b []byte, v uint64) { binary.BigEndian.PutUint64(b, v) }
