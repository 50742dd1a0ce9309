package upstream

import (
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strconv"
	"sync/atomic"
	"time"
)

// writeTimeout is how long a child may leave its stdin unread.
const writeTimeout = 10 * time.Second

// reaper is what the child processes of one dialer have in common: the watcher
// that outlives the gateway, and the marks by which they are known.
type reaper struct {
	log      *slog.Logger
	watcher  *Watcher // nil for none
	instance string   // no two dialers have the same; it begins with the watcher's
	started  atomic.Uint64
	// writeTimeout is how long a child may leave its stdin unread before its
	// link is lost.
	writeTimeout time.Duration
	containers   *containers
}

// newReaper returns a reaper whose children w, if not nil, watches.
func newReaper(log *slog.Logger, w *Watcher) *reaper {
	r := &reaper{log: log, watcher: w, writeTimeout: writeTimeout, instance: newInstance()}
	if w != nil {
		r.instance = w.instance + "." + r.instance
	}
	r.containers = newContainers(log, "", r.instance)
	return r
}

// mark returns the marker of the next child.
func (r *reaper) mark() string {
	return r.instance + "." + strconv.FormatUint(r.started.Add(1), 10)
}

func newInstance() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}
