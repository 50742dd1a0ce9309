package plugin

import (
	"context"
	"log/slog"

	"github.com/hashicorp/go-hclog"
)

// debugLog has go-plugin log to slog. What is worth more than debug is said by
// the owner of the process, who knows whether it was meant.
type debugLog struct {
	hclog.Logger // the null logger: what is not below is nothing
	log          *slog.Logger
}

func newDebugLog(log *slog.Logger) hclog.Logger { return &debugLog{hclog.NewNullLogger(), log} }

func (l *debugLog) Log(level hclog.Level, msg string, args ...any) {
	if level > hclog.Trace {
		l.log.Log(context.Background(), slog.LevelDebug, "go-plugin: "+msg, args...) //nolint:sloglint // another library's message
	}
}

func (l *debugLog) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *debugLog) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *debugLog) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *debugLog) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *debugLog) With(args ...any) hclog.Logger { return &debugLog{l.Logger, l.log.With(args...)} }
func (l *debugLog) Named(string) hclog.Logger     { return l }
