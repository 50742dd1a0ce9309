package upstream

import (
	"fmt"
	"slices"
	"testing"
)

func TestSamplesKeepTheLast(t *testing.T) {
	var s samples
	texts := func() (out []string) {
		for _, x := range s.list() {
			out = append(out, x.Err)
		}
		return out
	}
	add := func(from, to, limit int) {
		for i := from; i <= to; i++ {
			s.add(Sample{Err: fmt.Sprint(i)}, limit)
		}
	}
	for _, step := range []struct {
		from, to, limit int
		want            []string
	}{
		{1, 2, 4, []string{"1", "2"}},
		{3, 6, 4, []string{"3", "4", "5", "6"}},
		{7, 7, 2, []string{"6", "7"}},
		{8, 8, 5, []string{"6", "7", "8"}},
		{9, 11, 5, []string{"7", "8", "9", "10", "11"}},
		{12, 12, 7, []string{"7", "8", "9", "10", "11", "12"}},
		{13, 13, 1, []string{"13"}},
		{14, 15, 1, []string{"15"}},
	} {
		add(step.from, step.to, step.limit)
		if got := texts(); !slices.Equal(got, step.want) {
			t.Errorf("after %d of %d: %v, want %v", step.to, step.limit, got, step.want)
		}
		if x, ok := s.last(func(*Sample) bool { return true }); !ok || x.Err != step.want[len(step.want)-1] {
			t.Errorf("last = %v, want %s", x.Err, step.want[len(step.want)-1])
		}
	}
}
