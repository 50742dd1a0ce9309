package main

import "testing"

func TestPace(t *testing.T) {
	for _, tc := range []struct {
		bytes uint64
		want  int
	}{
		{0, 500}, // as for the least heap: 20 MiB
		{1 << 20, 500},
		{5 << 20, 400},
		{20 << 20, 100},
		{30 << 20, 150},
		{40 << 20, 200},
		{200 << 20, 200},
		{1 << 30, 100}, // a large heap doubles, as always
	} {
		if got := pace(tc.bytes); got != tc.want {
			t.Errorf("pace(%d) = %d, want %d", tc.bytes, got, tc.want)
		}
	}
}
