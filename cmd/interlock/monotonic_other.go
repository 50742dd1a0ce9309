//go:build !linux

package main

// reloading is for systemd, which is on Linux alone.
func reloading() string { return "" }
