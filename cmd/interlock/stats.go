package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) statsCommand() *cobra.Command {
	var (
		r      reach
		t      targets
		window time.Duration
	)
	cmd := &cobra.Command{
		Use: "stats [NAME... | --all]", GroupID: "ask",
		Short: "Say how available and how fast servers were",
		Long: `Says how available and how fast servers were over the last while: of the monitor's checks
how many were healthy, the share of them (AVAILABILITY), the average, longest and shortest
response time, and the same of real calls: how many, how many failed, and the times within
which 50, 95 and 99 of 100 were answered.

A - stands where nothing is known; in JSON it is null.`,
		Example: `  interlock stats
  interlock stats files --window 1h
  interlock stats -o json | jq '.[] | select(.availability < 99) | .service_name'`,
	}
	r.flags(cmd)
	t.flags(cmd)
	output := outputFlag(cmd)
	cmd.Flags().DurationVar(&window, "window", 300*time.Second, "how far back to look")
	choices(cmd, "window", []string{"60s", "300s", "1h"})
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if err := t.either(names); err != nil {
			return err
		}
		if window <= 0 {
			return usage("", "--window must be more than 0s, such as 300s")
		}
		if len(names) == 0 {
			names = []string{""} // all of them
		}
		var all []admin.Stats
		for _, name := range names {
			one, err := c.Stats(ctx, name, window)
			if err != nil {
				return err
			}
			all = append(all, one...)
		}
		if *output != asTable {
			return a.write(*output, all)
		}
		a.out.stats(all)
		return nil
	})
	return cmd
}

// stats writes a line for each.
func (s *screen) stats(all []admin.Stats) {
	rows := make([][]cell, len(all))
	for i, st := range all {
		available := cell{orNone(st.Availability, func(v float64) string { return fmt.Sprintf("%.1f%%", v) }), nil}
		if v := st.Availability; v != nil {
			available.paint = s.green
			if *v < 99 {
				available.paint = s.yellow
			}
			if *v < 50 {
				available.paint = s.red
			}
		}
		checks := "-"
		if st.TotalChecks != nil && st.HealthyChecks != nil {
			checks = fmt.Sprintf("%d/%d", *st.HealthyChecks, *st.TotalChecks)
		}
		rows[i] = append([]cell{
			{st.Name, s.bold},
			available, plain(checks),
			plain(orNone(st.AvgResponseTime, millis)), plain(orNone(st.MaxResponseTime, millis)), plain(orNone(st.MinResponseTime, millis)),
		}, callCells(st.Calls)...)
	}
	s.table([]column{
		{"NAME", 24, 0},
		{"AVAILABILITY", 0, 0},
		{"CHECKS", 0, 0},
		{"AVG", 0, 0},
		{"MAX", 0, 3},
		{"MIN", 0, 4},
		{"CALLS", 0, 0},
		{"P50", 0, 5},
		{"P95", 0, 2},
		{"P99", 0, 6},
		{"FAILED", 6, 1},
	}, rows)
}

// callCells are the figures of real calls: how many, their times, and how many
// failed in which way.
func callCells(c *admin.CallStats) []cell {
	if c == nil {
		return []cell{plain("-"), plain("-"), plain("-"), plain("-"), plain("-")}
	}
	failed, kinds := 0, []string{}
	for _, kind := range slices.Sorted(maps.Keys(c.Errors)) {
		failed += c.Errors[kind]
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, c.Errors[kind]))
	}
	text := strconv.Itoa(failed)
	if failed > 0 {
		text += " (" + strings.Join(kinds, ", ") + ")"
	}
	return []cell{plain(strconv.Itoa(c.Count)), plain(millis(c.P50)), plain(millis(c.P95)), plain(millis(c.P99)), plain(text)}
}
