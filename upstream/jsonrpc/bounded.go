package jsonrpc

import (
	"strconv"
	"sync"
)

// TooLongError is a line or an SSE event longer than the reader's cap. It was
// skipped to its end, so the stream goes on; Head and Tail are what was kept of
// it (at most 4 KiB each), from which ScanID may find the message's id.
type TooLongError struct {
	Size       int64
	Head, Tail []byte
}

func (e *TooLongError) Error() string {
	return "message of " + strconv.FormatInt(e.Size, 10) + " bytes is over the limit"
}

// keep is how much of either end of a message over the cap is kept.
const keep = 4 << 10

// bounded gathers one message piece by piece, up to a cap. It holds the pieces
// in chunks, not in one growing slice, so that it never holds more than the cap
// and one chunk; of a message over the cap it holds the two ends.
type bounded struct {
	max  int
	size int64
	full []*chunk // all but the last are full
	used int      // of the last chunk
	long *TooLongError
}

type chunk [64 << 10]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// add appends p, which it copies.
func (b *bounded) add(p []byte) {
	b.size += int64(len(p))
	if b.long == nil {
		if b.size <= int64(b.max) {
			b.copy(p)
			return
		}
		b.spill()
	}
	b.long.ends(p)
}

// ends keeps what belongs to the ends of a message that goes on with p.
func (e *TooLongError) ends(p []byte) {
	e.Head = append(e.Head, p[:min(keep-len(e.Head), len(p))]...)
	p = p[max(len(p)-keep, 0):]
	if n := len(e.Tail) + len(p) - keep; n > 0 {
		e.Tail = append(e.Tail[:0], e.Tail[n:]...)
	}
	e.Tail = append(e.Tail, p...)
}

// copy puts p into the chunks.
func (b *bounded) copy(p []byte) {
	for len(p) > 0 {
		if len(b.full) == 0 || b.used == len(chunk{}) {
			b.full = append(b.full, chunks.Get().(*chunk))
			b.used = 0
		}
		n := copy(b.full[len(b.full)-1][b.used:], p)
		b.used += n
		p = p[n:]
	}
}

// spill gives up what was gathered but for its ends.
func (b *bounded) spill() {
	b.long = &TooLongError{Head: make([]byte, 0, keep), Tail: make([]byte, 0, keep)}
	for p := range b.pieces {
		b.long.ends(p)
	}
	b.free()
}

// take returns what was gathered, in memory of its own, and begins anew. An
// empty message is not nil. A message over the cap is a *TooLongError.
func (b *bounded) take() ([]byte, error) {
	size, long := b.size, b.long
	b.size, b.long = 0, nil
	if long != nil {
		long.Size = size
		return nil, long
	}
	out := make([]byte, 0, size)
	for p := range b.pieces {
		out = append(out, p...)
	}
	b.free()
	return out, nil
}

// pieces yields what was gathered, in order.
func (b *bounded) pieces(yield func([]byte) bool) {
	for i, c := range b.full {
		p := c[:]
		if i == len(b.full)-1 {
			p = c[:b.used]
		}
		if !yield(p) {
			return
		}
	}
}

// drop gives up what was gathered.
func (b *bounded) drop() {
	b.size, b.long = 0, nil
	b.free()
}

func (b *bounded) free() {
	for i, c := range b.full {
		chunks.Put(c)
		b.full[i] = nil
	}
	b.full, b.used = b.full[:0], 0
}
