package main

import "testing"

func TestPace(t *testing.T) {
	for _, tc := range []struct {
		bytes uint64
		want  int
	}{
		{0, 300}, // as for the least heap: 12 MiB
		{1 << 20, 300},
		{6 << 20, 200},
		{12 << 20, 100},
		{18 << 20, 150},
		{24 << 20, 200},
		{200 << 20, 200},
		{1 << 30, 100}, // a large heap doubles, as always
	} {
		if got := pace(tc.bytes); got != tc.want {
			t.Errorf("pace(%d) = %d, want %d", tc.bytes, got, tc.want)
		}
	}
}
