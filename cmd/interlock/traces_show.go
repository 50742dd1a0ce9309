package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/telemetry"
)

// maxLinked is how many other traces are asked for, so that links have names.
const maxLinked = 16

// traceWait is how long the trace of a call that has just ended is waited for.
const traceWait = 1 * time.Second

// showTrace shows one trace.
func (a *app) showTrace(ctx context.Context, c *admin.Client, id string, output format, view traceView) error {
	raw, err := c.Trace(ctx, id, 0)
	if err != nil {
		return err
	}
	if output != asTable {
		return a.write(output, raw)
	}
	return a.draw(ctx, c, a.out, raw, view)
}

// showMade shows the trace of a call that was just made, beside its result.
func (a *app) showMade(ctx context.Context, c *admin.Client, id string) error {
	if id == "" {
		return errors.New("the gateway recorded no trace: telemetry.traces.keep is 0, or OTEL_SDK_DISABLED is set")
	}
	raw, err := c.Trace(ctx, id, traceWait)
	if err != nil {
		return fmt.Errorf("trace %s: %w", id, err)
	}
	a.errs.printf("\n")
	return a.draw(ctx, c, a.errs, raw, traceView{})
}

func (a *app) draw(ctx context.Context, c *admin.Client, s *screen, raw json.RawMessage, view traceView) error {
	var spans []admin.Span
	all, err := admin.ReadSpans(raw)
	for _, some := range all {
		spans = append(spans, some...)
	}
	if err != nil {
		return err
	}
	if len(spans) == 0 {
		return errors.New("the trace has no spans")
	}
	s.waterfall(spans, linkNames(ctx, c, spans), view)
	return nil
}

// linkNames finds out what links lead to: by trace and span id.
func linkNames(ctx context.Context, c *admin.Client, spans []admin.Span) map[string]string {
	names := map[string]string{}
	asked := map[string]bool{}
	name := func(spans []admin.Span, where string) {
		for i := range spans {
			s := &spans[i]
			names[s.Trace+s.ID] = spanName(s) + where
		}
	}
	name(spans, " (above)")
	asked[spans[0].Trace] = true
	for i := range spans {
		for _, l := range spans[i].Links {
			if asked[l.Trace] || len(asked) > maxLinked {
				continue
			}
			asked[l.Trace] = true
			raw, err := c.Trace(ctx, l.Trace, 0)
			if err != nil {
				continue // it is not kept, as the drawing says
			}
			all, _ := admin.ReadSpans(raw)
			for _, some := range all {
				name(some, " (trace "+beginning(l.Trace, usualDigits)+")")
			}
		}
	}
	return names
}

// spanName is a span in a few words.
func spanName(s *admin.Span) string {
	text := title(s)
	if name := s.Attribute(telemetry.AttrUpstream); name != "" {
		text += " [" + name + "]"
	}
	text += ", " + moment(s.Began)
	switch {
	case s.Open:
		text += ", " + underWay
	case s.Took() > 0:
		text += ", took " + brief(s.Took())
	}
	if s.Failed {
		text += ", failed: " + ending(s)
	}
	return text
}
