package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"
)

// plan says what to measure and how long.
type plan struct {
	rounds int
	slice  time.Duration // of one way in one round
	sizes  sizes
	only   *regexp.Regexp // names of cases; nil for all
	binary string         // the gateway's; built when empty
	tell   io.Writer      // of progress
}

// measure runs the cases, one after the other, each on a stage of its own. It
// leaves no process behind, also with an error.
func measure(ctx context.Context, p plan) (*report, error) {
	if p.binary == "" {
		dir, err := os.MkdirTemp("", "il")
		if err != nil {
			return nil, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		if p.binary, err = build(ctx, dir); err != nil {
			return nil, err
		}
	}
	r := newReport(p)
	for _, s := range scenarios(p.sizes) {
		if p.only != nil && !p.only.MatchString(s.name) {
			continue
		}
		began := time.Now()
		if err := p.perform(ctx, s, r); err != nil {
			return nil, fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(p.tell, "%-22s %5.1fs\n", s.name, time.Since(began).Seconds())
	}
	r.finish()
	return r, nil
}

// perform runs one case: its ways in turn, A B C A B C, so that a slow moment of
// the machine hits all of them.
func (p plan) perform(ctx context.Context, s *scenario, r *report) error {
	st, err := newStage(p.binary)
	if err != nil {
		return err
	}
	defer st.close()
	st.era = s.era
	ways, err := s.setup(ctx, st)
	if err != nil {
		return err
	}
	rows := r.open(s, ways)
	for round := range p.rounds + 1 {
		d := p.slice
		if round == 0 { // warms up, and is not counted
			if s.once {
				continue
			}
			d = min(d, 300*time.Millisecond)
		}
		got := make([]figures, len(ways))
		for i, w := range ways {
			if got[i], err = w.run(ctx, d); err != nil {
				return err
			}
		}
		if round > 0 {
			add(rows, got)
		}
	}
	return nil
}
