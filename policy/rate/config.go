// Package rate bounds how often calls are made and how many run at once, so that
// no agent takes more than its share of an upstream.
//
// A limit has a token bucket for each principal, upstream and tool it is per; a
// share has slots, and the calls that wait for one are admitted in turns. A policy
// starts no goroutine, holds no lock while a call waits, and bounds what it
// remembers. What it counts is lost when its configuration changes.
package rate

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
)

// Config is the section of the policy.
type Config struct {
	Limits      []Limit `koanf:"limits"`
	Concurrency []Share `koanf:"concurrency"`
}

// Limit is how often calls may be made.
type Limit struct {
	narrow.Config `koanf:",squash"`
	// Per is what has a bucket of its own: principal, upstream, tool. Without it
	// there is one for all.
	Per []string `koanf:"per"`
	// Rate is how often, as in 5/s, 60/m, 1000/h or 10000/d.
	Rate string `koanf:"rate"`
	// Burst is how many may come at once; by default what a second brings, and at
	// least 1.
	Burst int `koanf:"burst"`
	// Wait is how long a call may be kept until its turn comes; it is refused at
	// once when that is not enough.
	Wait time.Duration `koanf:"wait"`
}

// Share is how many calls may run at once, and how they are shared out.
type Share struct {
	narrow.Config `koanf:",squash"`
	Total         int `koanf:"total"`
	// PerPrincipal is "fair" (the default) or how many of them one principal may
	// have at most.
	PerPrincipal string `koanf:"per_principal_share"`
	// Wait is how long a call waits for a slot, nil for 5s.
	Wait *time.Duration `koanf:"wait"`
	// Queue is how many calls of one principal may wait, nil for 64.
	Queue *int `koanf:"queue"`
}

const (
	defaultWait  = 5 * time.Second
	defaultQueue = 64
	fair         = "fair"
)

// The words of Limit.Per.
const (
	byPrincipal = "principal"
	byUpstream  = "upstream"
	byTool      = "tool"
)

// units are those of a rate.
var units = map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}

// parseRate reads a rate in calls for each second.
func parseRate(s string) (float64, bool) {
	n, unit, ok := strings.Cut(s, "/")
	every := units[strings.TrimSpace(unit)]
	f, err := strconv.ParseFloat(strings.TrimSpace(n), 64)
	if !ok || every == 0 || err != nil || !(f > 0 && f <= 1e9) {
		return 0, false
	}
	return f / every.Seconds(), true
}

// Validate returns every fault, joined, each a *policy.FieldError.
func (c *Config) Validate() error {
	var errs []error
	bad := func(text, mend string, path ...string) {
		errs = append(errs, &policy.FieldError{Path: path, Text: text, Mend: mend})
	}
	if len(c.Limits) == 0 && len(c.Concurrency) == 0 {
		bad("limits nothing", "add limits or concurrency")
	}
	for i := range c.Limits {
		errs = append(errs, c.Limits[i].faults("limits", strconv.Itoa(i))...)
	}
	for i := range c.Concurrency {
		errs = append(errs, c.Concurrency[i].faults("concurrency", strconv.Itoa(i))...)
	}
	return errors.Join(errs...)
}

func (l *Limit) faults(path ...string) []error {
	errs := l.Config.Faults(path...)
	bad := func(text, mend string, more ...string) {
		errs = append(errs, &policy.FieldError{Path: append(slices.Clone(path), more...), Text: text, Mend: mend})
	}
	for i, p := range l.Per {
		at := []string{"per", strconv.Itoa(i)}
		switch {
		case p != byPrincipal && p != byUpstream && p != byTool:
			bad("must be principal, upstream or tool, not "+strconv.Quote(p), "", at...)
		case slices.Contains(l.Per[:i], p):
			bad("is there already: "+p, "remove it", at...)
		}
	}
	if l.Rate == "" {
		bad("has no rate", "add one such as rate: 60/m")
	} else if _, ok := parseRate(l.Rate); !ok {
		bad("must be a number above 0 for each s, m, h or d, such as 60/m, not "+strconv.Quote(l.Rate), "", "rate")
	}
	if l.Burst < 0 {
		bad(fmt.Sprintf("must not be negative: %d", l.Burst), "", "burst")
	}
	if l.Wait < 0 {
		bad(fmt.Sprintf("must not be negative: %s", l.Wait), "", "wait")
	}
	return errs
}

func (s *Share) faults(path ...string) []error {
	errs := s.Config.Faults(path...)
	bad := func(text, mend string, more ...string) {
		errs = append(errs, &policy.FieldError{Path: append(slices.Clone(path), more...), Text: text, Mend: mend})
	}
	switch {
	case s.Total == 0:
		bad("has no total", "add how many calls may run at once, such as total: 16")
	case s.Total < 0:
		bad(fmt.Sprintf("must be at least 1: %d", s.Total), "", "total")
	}
	if n, err := strconv.Atoi(s.PerPrincipal); s.PerPrincipal != "" && s.PerPrincipal != fair && (err != nil || n < 1) {
		bad("must be fair or a whole number of at least 1, not "+strconv.Quote(s.PerPrincipal), "", "per_principal_share")
	} else if err == nil && s.Total > 0 && n > s.Total {
		bad(fmt.Sprintf("must be at most the total, which is %d, not %d", s.Total, n), "", "per_principal_share")
	}
	if s.Wait != nil && *s.Wait < 0 {
		bad(fmt.Sprintf("must not be negative: %s", *s.Wait), "", "wait")
	}
	if s.Queue != nil && *s.Queue < 0 {
		bad(fmt.Sprintf("must not be negative: %d", *s.Queue), "", "queue")
	}
	return errs
}
