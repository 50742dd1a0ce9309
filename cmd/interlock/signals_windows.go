package main

import (
	"errors"
	"os"
	"slices"
	"syscall"
)

// Windows has no HUP; a changed file reloads.
var (
	stopSignals   = []os.Signal{os.Interrupt, syscall.SIGTERM}
	reloadSignals []os.Signal
)

func isStop(sig os.Signal) bool { return slices.Contains(stopSignals, sig) }

// taken tells whether a listener's error is that another has the address
// (WSAEADDRINUSE).
func taken(err error) bool { return errors.Is(err, syscall.Errno(10048)) }

// surviveClosedPipes does nothing: a write to a closed pipe is an error here.
func surviveClosedPipes() (undo func()) { return func() {} }
