package upstream

// Watcher is another process that ends what is left when this one was killed.
// The nil Watcher watches nothing.
type Watcher struct {
	instance string // the beginning of every marker of this process's children
}

// add has the process group pid watched, and all that carries the marker.
func (w *Watcher) add(marker string, pid int) {}

// remove is for a child that is gone with all that came of it.
func (w *Watcher) remove(marker string) {}
