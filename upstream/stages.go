package upstream

import (
	"slices"
	"time"
)

// Stage is a part of a start.
type Stage struct {
	// Name is dependencies (waiting for them), spawn (until there is a process, or a
	// remote that answered), handshake, probe (after a failure) or list.
	Name  string
	Began time.Time
	// Took is how long it lasted; of one that goes on, how long so far.
	Took time.Duration
}

// Stages returns the stages of the last start, in order, nil before the first.
func (u *Upstream) Stages() []Stage { return u.phase.Load().timeline(time.Now()) }

// timeline returns the stages as they stand now.
func (p *phase) timeline(now time.Time) []Stage {
	if p.status.State != Starting {
		return slices.Clone(p.stages)
	}
	return closed(p.stages, now)
}

// closed returns stages with the last one ended.
func closed(stages []Stage, now time.Time) []Stage {
	stages = slices.Clone(stages)
	if n := len(stages); n > 0 && stages[n-1].Took == 0 {
		stages[n-1].Took = now.Sub(stages[n-1].Began)
	}
	return stages
}

// stage notes that a stage of the start begins.
func (r *runner) stage(name string) { r.stageAt(name, time.Now(), nil) }

// stageAt notes that a stage began at that time, under a mark if it has one
// already.
func (r *runner) stageAt(name string, at time.Time, m Mark) {
	r.stageBegun(name, at, m)
	r.show(func(p *phase) { p.stages = append(closed(p.stages, at), Stage{Name: name, Began: at}) })
	r.set.o.Observer.StageBegan(r.name, r.phase.Load().status.Generation, name)
}
