package telemetry

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// scrapeLog takes what promhttp says of series that cannot be shown, and tells
// it seldom.
type scrapeLog struct {
	log *slog.Logger // nil for nobody

	mu   sync.Mutex // guards told
	told time.Time
}

// Println implements promhttp.Logger.
func (l *scrapeLog) Println(v ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.log == nil || !l.told.IsZero() && time.Since(l.told) < logEvery {
		return
	}
	l.told = time.Now()
	l.log.Warn("metrics cannot all be shown", "error", fmt.Sprint(v...))
}
