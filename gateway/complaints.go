package gateway

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
)

// complaints takes what net/http has to say of connections into the log. Out of
// descriptors it complains every second for as long as that lasts, and of clients
// that break off it does for each: neither may fill a disk.
type complaints struct {
	slog.Handler // the log

	// told is when it was last said that clients cannot connect, in nanoseconds
	// since 1970.
	told *atomic.Int64
}

// complaintsEvery is how often it is said that clients cannot connect.
const complaintsEvery = time.Minute

func newComplaints(log *slog.Logger) complaints {
	return complaints{log.Handler(), new(atomic.Int64)}
}

// Enabled says yes: the level is decided in Handle.
func (c complaints) Enabled(context.Context, slog.Level) bool { return true }

// Handle takes one line of net/http's as its message.
func (c complaints) Handle(ctx context.Context, line slog.Record) error {
	level, text := slog.LevelDebug, "connection"
	switch {
	case strings.HasPrefix(line.Message, "http: Accept error"):
		now, told := line.Time.UnixNano(), c.told.Load()
		if now-told < complaintsEvery.Nanoseconds() || !c.told.CompareAndSwap(told, now) {
			return nil
		}
		level, text = slog.LevelWarn, "clients cannot connect"
	case strings.HasPrefix(line.Message, "http: panic"):
		level, text = slog.LevelError, "panic"
	}
	if !c.Handler.Enabled(ctx, level) {
		return nil
	}
	r := slog.NewRecord(line.Time, level, text, 0)
	r.AddAttrs(slog.String("error", line.Message))
	return c.Handler.Handle(ctx, r)
}
