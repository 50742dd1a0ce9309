package telemetry

import (
	"context"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// logEvery is how often trouble with a collector is worth a line.
	logEvery = 10 * time.Minute
	// restFor is how long a signal rests that the collector does not take.
	restFor = 10 * time.Minute
)

// trouble stands between what exports one signal and the collector. Errors reach
// our log, not too often, and never the global handler of the SDK, which prints.
// It is safe for concurrent use.
type trouble struct {
	signal signal
	log    *slog.Logger // nil for nobody
	losses atomic.Int64 // since the start

	mu      sync.Mutex // guards what follows
	failed  bool       // the last export
	missing bool       // what the collector does not have was told
	lost    int        // since the last line
	told    time.Time
	rests   time.Time // until when nothing is sent
}

// export sends n things (spans, data points, records) by calling send, which
// blocks as long as that takes, or forgets them while the signal rests. What
// could be retried has been when send returns.
func (t *trouble) export(n int, send func() error) {
	if t.resting(n) {
		return
	}
	t.came(n, send())
}

// resting reports whether the collector said that it does not take this signal,
// a short time ago. If so, n things are lost.
func (t *trouble) resting(n int) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !time.Now().Before(t.rests) {
		return false
	}
	t.lose(n)
	return true
}

// came takes what came of an export.
func (t *trouble) came(n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch now := time.Now(); {
	case err == nil:
		if t.failed {
			t.say(slog.LevelInfo, "telemetry is exported again")
		}
		t.failed, t.missing = false, false
		return
	case notTaken(err):
		t.lose(n)
		t.rests = now.Add(restFor)
		if !t.missing { // once, until it works
			t.missing, t.told = true, now
			t.say(slog.LevelWarn, "the collector does not take this signal", "error", short(err), "again_in", restFor,
				"mend", "leave "+string(t.signal)+" out of telemetry.otlp.signals, or send them where they are taken: "+t.signal.own("ENDPOINT"))
		}
	default:
		t.lose(refused(err, n))
		if t.told.IsZero() || now.Sub(t.told) >= logEvery {
			t.told = now
			t.say(slog.LevelWarn, "telemetry cannot be exported", "error", short(err))
		}
	}
	t.failed = true
}

// lose counts n things. t.mu is held.
func (t *trouble) lose(n int) {
	t.lost += n
	t.losses.Add(int64(n))
}

// overflowed is told of n things that were not even tried: they came faster than the
// collector takes them. Where exports fail their lines tell of these, too.
func (t *trouble) overflowed(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lose(n)
	if now := time.Now(); !t.failed && (t.told.IsZero() || now.Sub(t.told) >= logEvery) {
		t.told = now
		t.say(slog.LevelWarn, "telemetry comes faster than the collector takes it",
			"mend", "a smaller telemetry.traces.sample, or a larger OTEL_BSP_MAX_QUEUE_SIZE")
	}
}

// say logs a line that tells what was lost since the last one. t.mu is held.
func (t *trouble) say(level slog.Level, message string, more ...any) {
	lost := t.lost
	t.lost = 0
	if t.log == nil {
		return
	}
	all := append([]any{"signal", string(t.signal), "lost", lost}, more...)
	t.log.Log(context.Background(), level, message, all...) //nolint:sloglint // the constants are those of came
}

// maxTrouble is how long what a collector says may be in the log, in bytes: the
// exporters quote its answer, which can be megabytes.
const maxTrouble = 512

// short is the text of err, cut if it is long.
func short(err error) string {
	text := err.Error()
	if len(text) <= maxTrouble {
		return text
	}
	return strings.ToValidUTF8(text[:maxTrouble], "") + "…"
}

// answered finds the status in what the HTTP exporters say of an answer: they have
// no type for it.
var answered = regexp.MustCompile(`failed to send (?:metrics |logs )?to \S+: (\d{3}) `)

// notTaken reports whether err says that the collector does not know the signal:
// it has no such path, or no such method.
func notTaken(err error) bool {
	if status.Code(err) == codes.Unimplemented {
		return true
	}
	m := answered.FindStringSubmatch(err.Error())
	return m != nil && (m[1] == "404" || m[1] == "405" || m[1] == "501")
}

// rejected finds in an error of the exporters how many things the collector refused
// of those that it took for the rest.
var rejected = regexp.MustCompile(`OTLP partial success.*\((\d+) \S+( \S+)? rejected\)`)

// refused is how many of n things err says are lost.
func refused(err error, n int) int {
	if !strings.Contains(err.Error(), "OTLP partial success") {
		return n
	}
	if m := rejected.FindStringSubmatch(err.Error()); m != nil {
		if some, err := strconv.Atoi(m[1]); err == nil {
			return min(some, n)
		}
	}
	return 0
}
