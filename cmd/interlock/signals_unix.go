//go:build !windows

package main

import (
	"errors"
	"os"
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
