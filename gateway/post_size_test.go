package gateway

import (
	"testing"
	"unsafe"
)

// A request is one allocation, of the allocator's class of 1536 bytes. One byte more
// takes 256.
func TestPostFitsItsClass(t *testing.T) {
	if n := unsafe.Sizeof(post{}); n > 1536 {
		t.Errorf("a post takes %d bytes, want 1536 at most: what not all requests need does not belong into it", n)
	}
}
