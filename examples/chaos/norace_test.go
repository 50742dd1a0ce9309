//go:build !race

package main

const raceEnabled = false

// slow is what a time may be multiplied by.
const slow = 1
