package upstream

import (
	"bufio"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
)

// farewell is how long the children of a killed gateway have between TERM and
// KILL: with the KILL and its effect less than two seconds.
const farewell = 500 * time.Millisecond

// WatcherMain is the watching process: it reads from r, the pipe, what there is
// to watch, blocks until the pipe ends, and then ends what is left, unless it
// was told that nothing is. It returns the exit code.
func WatcherMain(r io.Reader) int {
	ignoreSignals() // they are meant for the gateway, whose end is what counts
	left := orphans{groups: make(map[string]int)}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		switch {
		case len(f) == 2 && f[0] == "watch":
			left.instance = f[1]
		case len(f) == 3 && f[0] == "add":
			if group, err := strconv.Atoi(f[2]); err == nil && group > 1 {
				left.groups[f[1]] = group
			}
		case len(f) == 2 && f[0] == "remove":
			delete(left.groups, f[1])
		case len(f) == 1 && f[0] == "bye":
			return 0
		}
	}
	if left.instance == "" {
		return 2
	}
	if err := left.end(); err != nil {
		return 1
	}
	return 0
}

// orphans are the children of a gateway that is gone, and all that came of them.
type orphans struct {
	instance string
	groups   map[string]int // by marker
}

var errSurvived = errors.New("something survived a KILL")

// end sends TERM, and after a moment KILL until nothing is left.
func (o *orphans) end() error {
	_ = o.signal(sigTerm)
	for began := time.Now(); time.Since(began) < farewell; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // nobody tells when a stranger's child is gone
		if o.signal(0) == 0 {
			return nil
		}
	}
	for began := time.Now(); time.Since(began) < 2*killWait; time.Sleep(20 * time.Millisecond) { //nolint:forbidigo // nobody tells when a stranger's child is gone
		if o.signal(sigKill) == 0 {
			return nil
		}
	}
	return errSurvived
}
