package gateway

import (
	"context"
	"log/slog"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// exportEvent has an event exported for which the log has no line.
func (g *Gateway) exportEvent(e *admin.Event) {
	level := slog.LevelInfo
	var name string
	switch e.Kind {
	case "breaker":
		name = breakerEvent(upstream.BreakerState(e.To))
		if e.To == string(upstream.BreakerOpen) {
			level = slog.LevelWarn
		}
	case "start_stage":
		level, name = slog.LevelDebug, telemetry.LogStage
	case "added":
		name = telemetry.LogAdded
	case "removed":
		name = telemetry.LogRemoved
	case "draining":
		name = telemetry.LogDraining
	default: // it has one, or is an alert
		return
	}
	attrs := make([]slog.Attr, 0, 5)
	for _, a := range [...]struct{ key, value string }{{"upstream", e.Upstream}, {"from", e.From}, {"to", e.To}, {"stage", e.Stage}} {
		if a.value != "" {
			attrs = append(attrs, slog.String(a.key, a.value))
		}
	}
	if e.Generation != 0 {
		attrs = append(attrs, slog.Uint64("generation", e.Generation))
	}
	at := e.At
	if at.IsZero() {
		at = time.Now()
	}
	g.tel.Happened(context.Background(), at, level, name, e.Text, attrs...)
}

// exportAlert has an alert exported. ctx is that of its span.
func (g *Gateway) exportAlert(ctx context.Context, a *alert.Alert) {
	level := slog.LevelWarn
	if a.Event == alert.Recovered || a.Event == alert.BreakerClosed {
		level = slog.LevelInfo
	}
	g.tel.Happened(ctx, a.At, level, telemetry.EventAlert+string(a.Event), a.Text,
		slog.String("upstream", a.Upstream), slog.String("state", a.State), slog.String("stage", a.Stage), slog.String("reason", a.Reason))
}
