package telemetry

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"unicode"

	"github.com/lmittmann/tint"
)

// NewLogger returns a logger that writes to w as c.Logs says. terminal tells
// whether w is one: auto then means text, with colours, else JSON. Lines logged
// with the context of a span carry its trace_id and span_id.
func NewLogger(c Config, w io.Writer, terminal bool) *slog.Logger {
	least, err := level(c.Logs.Level)
	if err != nil {
		least = slog.LevelInfo
	}
	var h slog.Handler
	switch {
	case c.Logs.Format == "json" || c.Logs.Format != "text" && !terminal:
		h = slog.NewJSONHandler(w, &slog.HandlerOptions{Level: least})
	case terminal:
		h = tint.NewTextHandler(w, &tint.Options{Level: least, TimeFormat: "15:04:05.000", ReplaceAttr: harmless})
	default:
		h = slog.NewTextHandler(w, &slog.HandlerOptions{Level: least, ReplaceAttr: unnamed})
	}
	return slog.New(correlated{h})
}

// harmless makes visible what could move or colour the terminal's text: servers
// choose some of the values, and tint lets escape sequences pass.
func harmless(groups []string, a slog.Attr) slog.Attr {
	a = unnamed(groups, a)
	if k := a.Value.Kind(); k != slog.KindString && k != slog.KindAny {
		return a
	}
	if _, level := a.Value.Any().(slog.Level); level {
		return a
	}
	v := a.Value.String()
	if shown := strings.Map(visible, v); shown != v {
		return slog.String(a.Key, shown)
	}
	return a
}

// unnamed leaves out the name of an event: who reads a text reads the message.
func unnamed(_ []string, a slog.Attr) slog.Attr {
	if a.Key == EventName {
		return slog.Attr{}
	}
	return a
}

// visible returns r, or a picture of it if it does not print.
func visible(r rune) rune {
	switch {
	case unicode.IsPrint(r):
		return r
	case r < 0x20:
		return '\u2400' + r
	}
	return unicode.ReplacementChar
}

// correlated adds the ids of the span in the context.
type correlated struct{ slog.Handler }

func (h correlated) Handle(ctx context.Context, r slog.Record) error {
	if s := FromContext(ctx); s != nil {
		r = r.Clone()
		r.AddAttrs(slog.String(LogTraceID, s.TraceID()), slog.String(LogSpanID, s.SpanID()))
	}
	return h.Handler.Handle(ctx, r)
}

func (h correlated) WithAttrs(attrs []slog.Attr) slog.Handler {
	return correlated{h.Handler.WithAttrs(attrs)}
}

func (h correlated) WithGroup(name string) slog.Handler { return correlated{h.Handler.WithGroup(name)} }
