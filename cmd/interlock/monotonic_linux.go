package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// reloading is the state at the beginning of a reload. Type=notify-reload wants
// the time of the monotonic clock in it.
func reloading() string {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return "RELOADING=1"
	}
	return fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", t.Nano()/1000)
}
