//go:build !linux

package upstream

// standIn is of tests that only Linux has.
func standIn() (code int, ok bool) { return 0, false }
