//go:build !windows

package main

import (
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
)

var (
	stopSignals   = []os.Signal{syscall.SIGINT, syscall.SIGTERM}
	reloadSignals = []os.Signal{syscall.SIGHUP}
)

func isStop(sig os.Signal) bool { return slices.Contains(stopSignals, sig) }

// taken tells whether a listener's error is that another has the address.
func taken(err error) bool { return errors.Is(err, syscall.EADDRINUSE) }

// surviveClosedPipes makes a write to a closed stdout an error, where it would
// end the process on the spot: a client that goes away without closing stdin is
// no reason to leave servers to the watcher. The signal is caught, not ignored,
// since children would inherit that. The returned function undoes it.
func surviveClosedPipes() (undo func()) {
	c := make(chan os.Signal, 1) // nobody reads it: the write's error says it all
	signal.Notify(c, syscall.SIGPIPE)
	return func() { signal.Stop(c) }
}
