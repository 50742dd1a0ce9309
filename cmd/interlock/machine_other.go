//go:build !linux

package main

// groupLimit knows no control groups.
//
//nolint:unused // not on Windows
func groupLimit() (least uint64, ok bool) { return 0, false }

// unwatchable knows no limit of watches.
func unwatchable([]string) string { return "" }
