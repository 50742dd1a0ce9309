//go:build race

package main

const raceEnabled = true

// slow is what a time may be multiplied by.
const slow = 5
