package upstream

import (
	"testing"
	"time"
)

func TestParsePS(t *testing.T) {
	// As macOS writes it; 41's parent is 40, 42's is 41 in another group, 43 is a
	// stranger's.
	const out = `
    1     0     1  11000   1:02.03
   40     9    40  12000   0:00.50
   42    41    42   1000   0:00.25
   41    40    40    500  10:00.00
   43     9    43    700   0:01.00
`
	u, ok := parsePS(out, 40)
	if want := (Usage{Processes: 3, CPU: 10*time.Minute + 750*time.Millisecond, Memory: 13500 << 10}); u != want || !ok {
		t.Errorf("%+v, want %+v", u, want)
	}
	if u, ok := parsePS(out, 50); ok {
		t.Errorf("a process that is not there: %+v", u)
	}
	for s, want := range map[string]time.Duration{
		"0:00.01": 10 * time.Millisecond, "02:03": 123 * time.Second, "01:00:00": time.Hour,
		"2-01:00:00": 49 * time.Hour, "1-00:01": 24*time.Hour + time.Second, "": 0, "x": 0,
	} {
		if got := parsePSTime(s); got != want {
			t.Errorf("%q = %v, want %v", s, got, want)
		}
	}
}
