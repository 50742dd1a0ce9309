package upstream

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func TestTailKeepsTheEnd(t *testing.T) {
	var tail Tail
	for i := range 100_000 {
		fmt.Fprintf(&tail, "line %d\n", i)
	}
	if got, want := tail.Lines(2), []string{"line 99998", "line 99999"}; !slices.Equal(got, want) {
		t.Errorf("lines = %q, want %q", got, want)
	}
	size := 0
	for _, l := range tail.Lines(1 << 20) {
		size += len(l) + 1
	}
	if size > tailSize || size < tailSize-100 {
		t.Errorf("kept %d bytes, want about %d", size, tailSize)
	}
	huge := bytes.Repeat([]byte("x"), 3*tailSize)
	if n, err := tail.Write(huge); n != len(huge) || err != nil {
		t.Errorf("Write = %d, %v", n, err)
	}
	fmt.Fprint(&tail, "\nthe \x1b[31mlast\xff\r\n")
	if got, want := tail.Lines(1), []string{"the \ufffd[31mlast\ufffd"}; !slices.Equal(got, want) {
		t.Errorf("lines = %q, want %q", got, want)
	}
}
