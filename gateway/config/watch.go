package config

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/fsnotify/fsnotify"
)

// debounce is how long the files must be left alone before they are compared;
// patience bounds that where they never are; sweep is how often they are
// compared without an event, for file systems that send none.
const (
	debounce = 200 * time.Millisecond
	patience = 2 * time.Second
	sweep    = 10 * time.Second
)

// Watch blocks until ctx is done, and calls changed, on its own goroutine, each
// time the content of a file is another than before. It watches the folders of
// the files, so that a file may be replaced by renaming, by a swapped symbolic
// link (as Kubernetes does) or by deleting and making it anew; as long as a file
// is gone, it has not changed. The error is nil when ctx is done.
//
// The files are those of Config.Sources; when a reload changes these, end this
// Watch and begin another.
func Watch(ctx context.Context, files []string, changed func()) error {
	return watch(ctx, files, sweep, changed, func() {})
}

// watch calls compared after each comparison, and the call of changed that it led
// to; the first time when it has learnt what the files are.
func watch(ctx context.Context, files []string, sweep time.Duration, changed, compared func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watching files: %w", err)
	}
	defer func() { _ = w.Close() }()
	v := &watcher{watcher: w, files: files, last: map[string][sha256.Size]byte{}}
	v.follow()
	v.compare()
	compared()

	tick := time.NewTicker(sweep)
	defer tick.Stop()
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	var first time.Time // the first event since the last comparison
	for {
		due := false
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.Events:
			if !ok {
				return errors.New("watching files: the watcher ended")
			}
			if first.IsZero() {
				first = time.Now()
			}
			quiet.Reset(min(debounce, max(0, patience-time.Since(first))))
		case <-w.Errors: //nolint:errcheck // whatever it is, the answer is the same
			// Events were lost, or a folder is gone: look for ourselves.
			quiet.Reset(debounce)
		case <-quiet.C:
			due = true
		case <-tick.C:
			due = first.IsZero()
		}
		if due {
			first = time.Time{}
			v.follow()
			if v.compare() {
				changed()
			}
			compared()
		}
	}
}

// watcher is what Watch knows.
type watcher struct {
	watcher *fsnotify.Watcher
	files   []string
	last    map[string][sha256.Size]byte
}

// follow watches the folder of each file and of each link on the way to it. A
// folder that is not there is tried again at the next sweep.
func (v *watcher) follow() {
	for _, file := range v.files {
		for range 10 {
			_ = v.watcher.Add(filepath.Dir(file))
			target, err := os.Readlink(file)
			if err != nil {
				break
			}
			if !filepath.IsAbs(target) {
				target = filepath.Join(filepath.Dir(file), target)
			}
			file = target
		}
	}
}

// compare tells whether a file's content is another than at the last time.
func (v *watcher) compare() bool {
	differ := false
	for _, file := range v.files {
		data, err := readFile(file)
		if err != nil {
			continue
		}
		sum := sha256.Sum256(data)
		if old, ok := v.last[file]; !ok || old != sum {
			v.last[file], differ = sum, true
		}
	}
	return differ
}
