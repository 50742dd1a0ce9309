package main

import (
	"fmt"
	"time"
)

// seconds is a time as a person reads it: 12.3ms, 1.25s, 2m05s.
func seconds(s float64) string {
	switch d := time.Duration(s * float64(time.Second)); {
	case d < 0:
		return "-"
	case d < time.Second:
		return millis(s)
	case d < time.Minute:
		return fmt.Sprintf("%.2fs", s)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	default:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
}

// millis is a response time: 12.3ms.
func millis(s float64) string { return fmt.Sprintf("%.1fms", s*1e3) }

// orNone writes what is known of a figure, and - where nothing is.
func orNone[T any](v *T, write func(T) string) string {
	if v == nil {
		return "-"
	}
	return write(*v)
}

// size is a number of bytes as a person reads it: 12.3 MiB.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for f >= unit && i < 3 {
		f, i = f/unit, i+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGT"[i])
}

// age is how long ago t was, in its largest unit.
func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	switch d := time.Since(t); {
	case d < time.Minute:
		return fmt.Sprintf("%ds", max(int(d.Seconds()), 0))
	case d < time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func count(n int, word string) string {
	if n != 1 {
		word += "s"
	}
	return fmt.Sprintf("%d %s", n, word)
}
