package gateway

import (
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// supervision is what a scrape of the metrics sees.
func (g *Gateway) supervision() telemetry.Supervision {
	ups := g.set.Upstreams()
	tools := g.view.Load().catalog.Listed(router.Tools)
	s := telemetry.Supervision{Sessions: g.sessions.count(), Upstreams: make([]telemetry.Supervised, len(ups))}
	for i, u := range ups {
		st := u.Status()
		s.Upstreams[i] = telemetry.Supervised{
			Name: st.Name, State: string(st.State), Breaker: string(st.Breaker),
			Queued: st.Queued, Tools: tools[st.Name],
		}
		s.Upstreams[i].Availability = availability(u.Samples())
		g.observer.counted(&s.Upstreams[i])
	}
	return s
}

// process returns what a collection of the metrics sees of this process, which
// serves since began.
func process(began time.Time) func() telemetry.Process {
	return func() telemetry.Process {
		p := processNow()
		p.Began = began
		return p
	}
}

// availability is the share of the samples that were healthy, of those that say
// anything; nil for none.
func availability(samples []upstream.Sample) *float64 {
	healthy, all := 0, 0
	for _, x := range samples {
		if x.Neutral {
			continue
		}
		all++
		if x.Healthy {
			healthy++
		}
	}
	if all == 0 {
		return nil
	}
	share := float64(healthy) / float64(all)
	return &share
}

// counted adds what was counted of an upstream.
func (o *observer) counted(s *telemetry.Supervised) {
	o.mu.Lock()
	defer o.mu.Unlock()
	x := o.seen[s.Name]
	if x == nil {
		return
	}
	s.Restarts = x.restarts
	s.Passed, s.Failed, s.Neutral = x.probes.passed, x.probes.failed, x.probes.neutral
	s.Opened, s.HalfOpened, s.Closed = x.breaker.opened, x.breaker.halfOpened, x.breaker.closed
}

// rejected counts a call that was refused here. One that was tried, and did not
// get as far as the server, is none.
func (g *Gateway) rejected(f fault) {
	if f.Executed != string(upstream.ExecutedNo) {
		return
	}
	switch f.Reason {
	case "stopped", "starting", "error", "breaker_open", "exhausted", "queue_full", "queue_timeout", "rate_limited",
		"dependency", "unsupported", "removed", "denied", "needs_auth":
		g.tel.CallRejected(f.Reason)
	}
}
