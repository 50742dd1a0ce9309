package upstream

import "time"

// Stats are the monitor's figures of an upstream over a window of time.
type Stats struct {
	// Checks counts the samples that say something of the server's health, Healthy
	// those that say it is well: the availability is Healthy of Checks. Without
	// any, nothing is known.
	Checks, Healthy int
	// Timed counts the samples with a response time; without any, the three are 0
	// and mean nothing.
	Timed         int
	Avg, Max, Min time.Duration
	// Calls are those of clients.
	Calls CallStats
}

// Stats returns the figures of the last window. It knows no more samples than
// stats.samples, and no calls that ended longer than 15 minutes ago; of calls a
// window has whole quarters of a minute.
func (u *Upstream) Stats(window time.Duration) Stats {
	now := time.Now()
	out := Stats{Calls: u.figures.sum(now, window)}
	var total time.Duration
	for _, x := range u.Samples() {
		if x.Neutral || now.Sub(x.At) >= window {
			continue
		}
		out.Checks++
		if x.Healthy {
			out.Healthy++
		}
		if x.Took <= 0 {
			continue
		}
		if out.Timed == 0 || x.Took < out.Min {
			out.Min = x.Took
		}
		out.Max = max(out.Max, x.Took)
		total += x.Took
		out.Timed++
	}
	if out.Timed > 0 {
		out.Avg = total / time.Duration(out.Timed)
	}
	return out
}
