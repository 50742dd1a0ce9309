package main

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) eventsCommand() *cobra.Command {
	var (
		r      reach
		since  string
		kind   string
		follow bool
	)
	cmd := &cobra.Command{
		Use: "events [NAME...]", GroupID: "ask",
		Short: "Show what happened, and what happens",
		Long: `Shows what happened in the gateway: changes of state, of breakers, of tools, orders, reloads
and alerts. It remembers the last 1000; with names only those about these servers are shown.

With --follow it goes on until Ctrl-C or the end of the gateway; both are a success. JSON
then is an object a line.

--since takes how long ago (10m), a time (2026-11-22T15:04:05Z), or the number of an event
(#17), after which to begin.`,
		Example: `  interlock events
  interlock events --follow --since 0s
  interlock events files --since 1h --kind state
  interlock events -f -o json | jq -r 'select(.kind == "alert") | .text'`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	cmd.Flags().StringVar(&since, "since", "", "begin `WHEN`: 10m ago, at a time, or after the event #17")
	cmd.Flags().StringVar(&kind, "kind", "", "only events of this `KIND`: "+strings.Join(eventWords, ", "))
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what happens from now on")
	choices(cmd, "kind", eventWords)
	choices(cmd, "since", []string{"0s", "1m", "10m", "1h"})
	cmd.ValidArgsFunction = r.completing(upstreamNames)
	r.asks(cmd, func(ctx context.Context, c *admin.Client, names []string) error {
		if kind != "" && !slices.Contains(eventWords, kind) {
			return usage("", "kind %q is not one of %s", kind, strings.Join(eventWords, ", "))
		}
		after, from, err := begin(since, time.Now())
		if err != nil {
			return err
		}
		wanted := func(e admin.Event) bool {
			return !e.At.Before(from) && (kind == "" || e.Kind == kind) && (len(names) == 0 || slices.Contains(names, e.Upstream))
		}
		if follow {
			return a.followEvents(ctx, c, after, wanted, *output)
		}
		all, err := c.Events(ctx, after)
		if err != nil {
			return err
		}
		// A number beyond the last is one of an earlier gateway, which begins anew.
		all = slices.DeleteFunc(all, func(e admin.Event) bool { return !wanted(e) || e.Seq <= after })
		if *output != asTable {
			return a.write(*output, all)
		}
		a.out.events(all)
		return nil
	})
	return cmd
}

// events writes a line for each.
func (s *screen) events(all []admin.Event) {
	rows := make([][]cell, len(all))
	for i, e := range all {
		rows[i] = []cell{
			plain("#" + strconv.FormatUint(e.Seq, 10)),
			{moment(e.At), s.faint},
			{e.Kind, s.eventColour(e)},
			{orDash(e.Upstream), s.bold},
			plain(e.Text),
		}
	}
	s.table([]column{{"EVENT", 0, 2}, {"AT", 0, 1}, {"KIND", 0, 0}, {"NAME", 24, 0}, {"TEXT", 20, 0}}, rows)
}

// begin reads --since: the number of the event after which to begin, and the
// time from which on.
func begin(since string, now time.Time) (after uint64, from time.Time, err error) {
	if since == "" {
		return 0, time.Time{}, nil
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(since, "#"), 10, 64); err == nil {
		return n, time.Time{}, nil
	}
	if d, err := time.ParseDuration(since); err == nil && d >= 0 {
		return 0, now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, since); err == nil {
		return 0, t, nil
	}
	return 0, time.Time{}, usage("write 10m, 2026-11-22T15:04:05Z or #17", "--since %q is no time", since)
}

// followEvents writes events as they happen, until ctx is done or the gateway
// ends.
func (a *app) followEvents(ctx context.Context, c *admin.Client, after uint64, wanted func(admin.Event) bool, output format) error {
	for e, err := range c.FollowEvents(ctx, after) {
		switch {
		case err != nil:
			return err
		case !wanted(e):
			continue
		case output != asTable:
			if err := a.writeOne(output, e); err != nil {
				return err
			}
			continue
		}
		s := a.out
		s.printf("%s  %s  %s  %s\n", s.faint(moment(e.At)), s.eventColour(e)(pad(e.Kind, 13)), s.bold(pad(orDash(e.Upstream), 12)), printable(e.Text))
	}
	return nil
}

// moment is the time of day; the day is said only if it is another.
func moment(t time.Time) string {
	t = t.Local()
	if time.Since(t) > 24*time.Hour {
		return t.Format("2006-01-02 15:04:05")
	}
	return t.Format("15:04:05.000")
}

func (s *screen) eventColour(e admin.Event) func(string) string {
	switch {
	case e.To == "error" || e.To == "open" || e.Kind == "alert" || e.Kind == "reload_refused":
		return s.red
	case e.To == "running" || e.To == "closed":
		return s.green
	case e.Kind == "order" || e.Kind == "reloaded" || e.Kind == "added" || e.Kind == "removed":
		return s.cyan
	}
	return s.faint
}
