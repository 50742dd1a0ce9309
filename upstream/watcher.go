package upstream

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// WatchCommand is the hidden subcommand under which a program calls WatcherMain.
const WatchCommand = "__watch"

// watcherPause is how long after its watcher died a gateway starts another, if that
// one had not lived for as long. Else there is no pause: until there is another,
// nobody would end what a killed gateway leaves.
const watcherPause = time.Second

// Watcher is another process that ends what is left of the children when this
// process was killed. It holds one end of a pipe: the pipe's end without a
// farewell says that this process is gone. There is one in a process: it also
// makes this process the parent of its children's orphans, where the system can
// do that, and reaps them.
//
// The nil Watcher watches nothing. On Windows job objects do its work, and it is
// no process.
type Watcher struct {
	log      atomic.Pointer[slog.Logger]
	argv     []string
	instance string // the beginning of every marker of this process's children
	quit     chan struct{}
	tasks    sync.WaitGroup

	mu       sync.Mutex     // guards all below
	children map[string]int // process groups by marker
	pipe     *os.File       // nil while there is no watching process
}

// StartWatcher starts the watching process with the command line argv, which has
// to end in WatcherMain(os.Stdin); none stands for this program's own file with
// WatchCommand. The watching process is started again should it die, until Close.
func StartWatcher(log *slog.Logger, argv ...string) (*Watcher, error) {
	if len(argv) == 0 {
		self, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("watcher: %w", err)
		}
		argv = []string{self, WatchCommand}
	}
	w := &Watcher{
		argv: argv, instance: newInstance(),
		quit: make(chan struct{}), children: make(map[string]int),
	}
	w.log.Store(log)
	if !needsWatcher {
		return w, nil
	}
	cmd, err := w.spawn()
	if err != nil {
		return nil, fmt.Errorf("watcher: %w", err)
	}
	w.tasks.Go(func() { w.keep(cmd) })
	w.adoptOrphans()
	return w, nil
}

// LogTo has w log to another logger from now on.
func (w *Watcher) LogTo(log *slog.Logger) { w.log.Store(log) }

// Close ends the watching process. Call it when all links are closed: what is
// left from then on is not watched. It blocks until the process is gone.
func (w *Watcher) Close() {
	if w == nil {
		return
	}
	close(w.quit)
	w.mu.Lock()
	if w.pipe != nil {
		w.tell("bye")
		_ = w.pipe.Close()
		w.pipe = nil
	}
	w.mu.Unlock()
	w.tasks.Wait()
}

// spawn starts the watching process and tells it what there is to watch.
func (w *Watcher) spawn() (*exec.Cmd, error) {
	r, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	// Nothing of ours goes with it: not the terminal, not stderr, which somebody
	// may read to its end, and not an environment by which it could be found.
	cmd := &exec.Cmd{Path: w.argv[0], Args: w.argv, Env: []string{}, Dir: os.TempDir(), Stdin: r}
	detach(cmd)
	if err := cmd.Start(); err != nil {
		_ = pipe.Close()
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pipe = pipe
	w.tell("watch " + w.instance)
	for marker, group := range w.children {
		w.tell("add " + marker + " " + strconv.Itoa(group))
	}
	return cmd, nil
}

// keep waits for the watching process and replaces it, until Close.
func (w *Watcher) keep(cmd *exec.Cmd) {
	for {
		begun := time.Now()
		err := cmd.Wait()
		select {
		case <-w.quit:
			return
		default:
		}
		w.mu.Lock()
		if w.pipe != nil {
			_ = w.pipe.Close()
			w.pipe = nil
		}
		w.mu.Unlock()
		w.log.Load().Warn("watcher ended, starting another", "error", err)
		for pause := watcherPause - time.Since(begun); ; pause = watcherPause {
			if until(w.quit, max(pause, 0), nil) {
				return
			}
			if cmd, err = w.spawn(); err == nil {
				break
			}
			w.log.Load().Error("watcher not started", "error", err)
		}
	}
}

// tell writes one line. w.mu is held. A watching process that cannot be told is
// replaced by keep, and the new one is told everything.
func (w *Watcher) tell(line string) {
	if w.pipe != nil {
		_ = w.pipe.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(w.pipe, line+"\n")
	}
}

// add has the process group watched, and all that carries the marker.
func (w *Watcher) add(marker string, group int) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.children[marker] = group
	w.tell("add " + marker + " " + strconv.Itoa(group))
}

// remove is for a child that is gone with all that came of it.
func (w *Watcher) remove(marker string) {
	if w == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.children, marker)
	w.tell("remove " + marker)
}

// watched reports whether a process group is that of a child.
func (w *Watcher) watched(group int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, g := range w.children {
		if g == group {
			return true
		}
	}
	return false
}
