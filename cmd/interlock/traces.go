package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/spf13/cobra"
)

func (a *app) tracesCommand() *cobra.Command {
	var (
		r     reach
		q     admin.TraceQuery
		since string
		t     traceView
	)
	cmd := &cobra.Command{
		Use: "traces [ID]", GroupID: "ask", Args: cobra.MaximumNArgs(1),
		Short: "Show the last calls, and where the time of one went",
		Long: `Lists the last requests of clients, and what the gateway did by itself, such as starts of
servers. Requests that are under way are there, too, as far as they have come; JSON leaves
them out. With the ID of a trace, or what it begins with, it draws that one: each span with
when it began, how long it took, what happened in it and what it is linked to.

The gateway keeps the last traces in memory, those that failed longer than others
(telemetry.traces.keep says how many), with a tracing backend or without. A busy gateway
records a part of the calls only: up to about 100 traces a second, and those that are
sampled for a backend.

JSON is that of OTLP, which tracing backends and tools take. With --follow it goes on until
Ctrl-C or the end of the gateway; JSON then is an object a line.`,
		Example: `  interlock traces
  interlock traces --errors --since 10m
  interlock traces --upstream files --slower 100ms -f
  interlock traces 4bf92f35
  interlock traces 4bf92f35 -o json > trace.json`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	f := cmd.Flags()
	f.IntVarP(&q.Limit, "last", "n", 20, "at most so many, the last `N`")
	f.BoolVar(&q.Calls, "calls", false, "only requests of clients")
	f.BoolVar(&q.Errors, "errors", false, "only those of which something failed")
	f.StringVar(&q.Upstream, "upstream", "", "only those that this server, `NAME`, had to do with")
	f.StringVar(&q.Tool, "tool", "", "only calls of this tool, by the `NAME` that clients use or the server's own")
	f.DurationVar(&q.Slower, "slower", 0, "only those that took at least so long, such as 100ms")
	f.StringVar(&since, "since", "", "only those that began since `WHEN`: 10m ago, or at a time")
	f.BoolVarP(&t.follow, "follow", "f", false, "show those that end from now on")
	f.BoolVarP(&t.attributes, "attributes", "a", false, "with an ID: also the attributes of each span")
	choices(cmd, "since", []string{"1m", "10m", "1h"})
	_ = cmd.RegisterFlagCompletionFunc("upstream", r.completing(upstreamNames))
	_ = cmd.RegisterFlagCompletionFunc("tool", r.completing(toolNames))
	cmd.ValidArgsFunction = once(r.completing(traceIDs))
	r.asks(cmd, func(ctx context.Context, c *admin.Client, args []string) error {
		if len(args) == 1 {
			for _, name := range []string{"last", "calls", "errors", "upstream", "tool", "slower", "since", "follow"} {
				if f.Changed(name) {
					return usage("", "--%s selects among all: leave it out with an ID", name)
				}
			}
			return a.showTrace(ctx, c, args[0], *output, t)
		}
		var err error
		if q.Since, err = sinceWhen(since, time.Now()); err != nil {
			return err
		}
		if q.Limit < 1 || q.Slower < 0 {
			return usage("", "-n and --slower must be above 0")
		}
		if t.follow {
			return a.followTraces(ctx, c, q, *output)
		}
		return a.listTraces(ctx, c, q, *output)
	})
	return cmd
}

// traceView is what is shown beside the usual.
type traceView struct {
	follow     bool
	attributes bool
}

// sinceWhen reads --since of traces, which have no numbers.
func sinceWhen(since string, now time.Time) (time.Time, error) {
	if _, from, err := begin(since, now); err == nil && (since == "" || !from.IsZero()) {
		return from, nil
	}
	return time.Time{}, usage("write 10m or 2026-11-22T15:04:05Z", "--since %q is no time", since)
}

func (a *app) listTraces(ctx context.Context, c *admin.Client, q admin.TraceQuery, output format) error {
	q.UnderWay = output == asTable // what reads JSON takes a span without an end amiss
	raw, err := c.Traces(ctx, q)
	if err != nil {
		return err
	}
	if output != asTable {
		return a.write(output, raw)
	}
	all, err := admin.ReadSpans(raw)
	if err != nil {
		return err
	}
	a.out.traces(all)
	return nil
}

// traces writes a line for each request; the one that ended last is the last.
func (s *screen) traces(all [][]admin.Span) {
	var found []tracedCall
	for _, spans := range slices.Backward(all) {
		if len(spans) > 0 {
			found = append(found, summaryOf(spans))
		}
	}
	digits := distinct(found)
	rows := make([][]cell, len(found))
	for i, t := range found {
		rows[i] = []cell{
			{moment(t.root.Began), s.faint},
			{beginning(t.root.Trace, digits), s.cyan},
			{title(t.root), s.bold},
			plain(orDash(t.upstream)),
			plain(brief(t.root.Took())),
			{t.outcome, s.outcomeColour(&t)},
			plain(fmt.Sprint(t.spans)),
		}
	}
	s.table([]column{{"AT", 0, 2}, {"TRACE", 0, 0}, {"WHAT", 16, 0}, {"UPSTREAM", 8, 3}, {"TOOK", 0, 0}, {"OUTCOME", 10, 0}, {"SPANS", 0, 1}}, rows)
}

// tracedCall is one request in a line.
type tracedCall struct {
	root     *admin.Span
	upstream string // all there are, "" for none
	outcome  string
	failed   int // spans that failed
	spans    int
}

// summaryOf sums up spans, of which there is one at least.
func summaryOf(spans []admin.Span) tracedCall {
	t := tracedCall{root: topOf(spans), spans: len(spans)}
	seen := map[string]bool{"": true}
	var names []string
	for i := range spans {
		if spans[i].Failed {
			t.failed++
		}
		if name := spans[i].Attribute(telemetry.AttrUpstream); !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	t.upstream = strings.Join(names, ", ")
	switch code := t.root.Attribute(telemetry.AttrStatusCode); {
	case t.root.Open:
		t.outcome = underWay
	case t.root.Failed:
		t.outcome = ending(t.root)
	case code != "":
		t.outcome = "error " + code
	case t.failed > 0:
		t.outcome = fmt.Sprintf("ok (%d failed)", t.failed)
	case t.root.Took() <= 0 && t.root.Kind == kindInternal: // it happened, which is all
		t.outcome = "-"
	default:
		t.outcome = "ok"
	}
	return t
}

// underWay is the outcome of what has not ended.
const underWay = "under way"

// title is what a span is of, with the word that tells it apart from others of its
// name.
func title(s *admin.Span) string {
	switch cause, to := s.Attribute(telemetry.AttrStartCause), s.Attribute(telemetry.AttrBreakerTo); {
	case to != "":
		return s.Name + ": " + to
	case cause != "":
		return s.Name + " (" + cause + ")"
	case s.Kind == kindInternal && len(s.Events) == 1:
		return s.Name + ": " + lastWord(s.Events[0].Name)
	}
	return s.Name
}

// lastWord is the end of a name in dots.
func lastWord(name string) string { return name[strings.LastIndexByte(name, '.')+1:] }

// topOf is the first span whose parent is not among them.
func topOf(spans []admin.Span) *admin.Span {
	ids := make(map[string]bool, len(spans))
	for i := range spans {
		ids[spans[i].ID] = true
	}
	for i := range spans {
		if !ids[spans[i].Parent] {
			return &spans[i]
		}
	}
	return &spans[0]
}

// ending says how a span failed.
func ending(s *admin.Span) string {
	if kind := s.Attribute(telemetry.AttrErrorType); kind != "" {
		return kind
	}
	return "failed"
}

func (s *screen) outcomeColour(t *tracedCall) func(string) string {
	switch {
	case t.root.Failed:
		return s.red
	case t.outcome == "-":
		return s.faint
	case t.outcome != "ok":
		return s.yellow
	}
	return s.green
}

// usualDigits is how much of a trace's id is shown at least.
const usualDigits = 8

// distinct is how many digits tell the traces apart.
func distinct(all []tracedCall) int {
	for n := usualDigits; n < 32; n++ {
		seen := map[string]string{}
		clash := false
		for _, t := range all {
			id := t.root.Trace
			other, ok := seen[beginning(id, n)]
			clash = clash || ok && other != id
			seen[beginning(id, n)] = id
		}
		if !clash {
			return n
		}
	}
	return 32
}

func beginning(id string, digits int) string { return id[:min(len(id), digits)] }

// brief is how long something took, also if that is next to nothing.
func brief(d time.Duration) string {
	switch {
	case d <= 0:
		return "-"
	case d < time.Microsecond:
		return "<1µs"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	}
	return seconds(d.Seconds())
}

// followTraces writes requests as they end, until ctx is done or the gateway ends.
func (a *app) followTraces(ctx context.Context, c *admin.Client, q admin.TraceQuery, output format) error {
	for raw, err := range c.FollowTraces(ctx, q) {
		if err != nil {
			return err
		}
		if output != asTable {
			if err := a.writeOne(output, raw); err != nil {
				return err
			}
			continue
		}
		all, err := admin.ReadSpans(raw)
		if err != nil {
			return err
		}
		for _, spans := range all {
			if len(spans) > 0 {
				a.out.traceLine(summaryOf(spans))
			}
		}
	}
	return nil
}

// traceLine writes one request.
func (s *screen) traceLine(t tracedCall) {
	s.printf("%s  %s  %s  %s  %s  %s  %s\n", s.faint(moment(t.root.Began)), s.cyan(printable(beginning(t.root.Trace, usualDigits))),
		s.bold(pad(printable(title(t.root)), 28)), pad(orDash(printable(t.upstream)), 12), pad(brief(t.root.Took()), 7),
		s.outcomeColour(&t)(pad(printable(t.outcome), 10)), count(t.spans, "span"))
}

// traceIDs proposes the ids of the last requests to a shell.
func traceIDs(ctx context.Context, c *admin.Client) []string {
	raw, err := c.Traces(ctx, admin.TraceQuery{Limit: 20})
	if err != nil {
		return nil
	}
	return proposed(raw)
}

func proposed(raw json.RawMessage) []string {
	all, err := admin.ReadSpans(raw)
	if err != nil {
		return nil
	}
	var ids []string
	seen := map[string]bool{}
	for _, spans := range all {
		if len(spans) == 0 || seen[spans[0].Trace] {
			continue
		}
		t := summaryOf(spans)
		seen[t.root.Trace] = true
		ids = append(ids, cobra.CompletionWithDesc(beginning(t.root.Trace, usualDigits), printable(t.root.Name+" "+t.outcome)))
	}
	return ids
}
