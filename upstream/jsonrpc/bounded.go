package jsonrpc

import (
	"bytes"
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
	max    int
	size   int64
	pieces [][]byte // each a chunk, full but for the last
	long   *TooLongError
}

type chunk [64 << 10]byte

var chunks = sync.Pool{New: func() any { return new(chunk) }}

// add appends p, which it copies.
func (b *bounded) add(p []byte) {
	b.size += int64(len(p))
	if b.long == nil && b.size > int64(b.max) {
		b.spill()
	}
	if b.long != nil {
		b.long.ends(p)
		return
	}
	for len(p) > 0 {
		n := len(b.pieces)
		if n == 0 || len(b.pieces[n-1]) == len(chunk{}) {
			b.pieces = append(b.pieces, chunks.Get().(*chunk)[:0])
			continue
		}
		last := b.pieces[n-1]
		took := copy(last[len(last):cap(last)], p)
		b.pieces[n-1] = last[:len(last)+took]
		p = p[took:]
	}
}

// spill gives up what was gathered but for its ends.
func (b *bounded) spill() {
	b.long = &TooLongError{Head: make([]byte, 0, keep), Tail: make([]byte, 0, keep)}
	for _, p := range b.pieces {
		b.long.ends(p)
	}
	b.free()
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

// take returns what was gathered, in memory of its own, and begins anew. An
// empty message is not nil. A message over the cap is a *TooLongError.
func (b *bounded) take() ([]byte, error) {
	defer b.drop()
	if b.long != nil {
		b.long.Size = b.size
		return nil, b.long
	}
	return bytes.Join(b.pieces, nil), nil
}

// drop gives up what was gathered and begins anew.
func (b *bounded) drop() {
	b.size, b.long = 0, nil
	b.free()
}

func (b *bounded) free() {
	for i, p := range b.pieces {
		chunks.Put((*chunk)(p[:len(chunk{})]))
		b.pieces[i] = nil
	}
	b.pieces = b.pieces[:0]
}
