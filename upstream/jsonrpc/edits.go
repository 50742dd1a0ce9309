package jsonrpc

import "slices"

// Edits is a set of splices to apply to one message. The zero value is empty
// and ready to use; it must not be copied, but by Clone and Copy. Spans must not
// overlap, except that replacing a span again takes the place of what was
// there. The order of adding does not matter, except that insertions at one
// place keep the order they were added in. Bytes given are kept, not copied.
type Edits struct {
	list []edit
	buf  [5]edit // enough for a call: id, name, progress token, members of _meta

	fresh []Member // those that SetMeta inserts, all by one edit
	made  *byte    // where the bytes of that edit begin
	bared Span     // an object that Drop left without members
}

type edit struct {
	at  Span
	new []byte
}

// Replace puts b in the place of the bytes at s. An absent span is ignored.
func (e *Edits) Replace(s Span, b []byte) {
	if s.Ok() {
		e.add(edit{at: s, new: b})
	}
}

// Insert puts b before the byte at offset at.
func (e *Edits) Insert(at int, b []byte) { e.add(edit{at: Between(at, at), new: b}) }

// Delete removes the bytes at s.
func (e *Edits) Delete(s Span) { e.Replace(s, nil) }

// Empty reports whether there is nothing to change.
func (e *Edits) Empty() bool { return e == nil || len(e.list) == 0 }

// Clone returns a copy that can be added to without changing e. A nil e gives
// an empty set.
func (e *Edits) Clone() *Edits {
	c := new(Edits)
	c.Copy(e)
	return c
}

// Copy makes e a copy of from that can be added to without changing it. A nil
// from gives an empty set.
func (e *Edits) Copy(from *Edits) {
	e.list, e.fresh, e.made, e.bared = nil, nil, nil, Span{}
	if from != nil {
		e.list = append(e.buf[:0], from.list...)
		e.fresh, e.made, e.bared = slices.Clip(from.fresh), from.made, from.bared
	}
}

// add keeps the list in order of place, by insertion: lists are a handful long.
// At one place insertions go before a replacement.
func (e *Edits) add(x edit) {
	if e.list == nil {
		e.list = e.buf[:0]
	}
	i := len(e.list)
	for ; i > 0; i-- {
		before := e.list[i-1].at
		if before == x.at && x.at.Ok() {
			e.list[i-1] = x
			return
		}
		if before.Start < x.at.Start || before.Start == x.at.Start && before.End <= x.at.End {
			break
		}
	}
	e.list = append(e.list, edit{})
	copy(e.list[i+1:], e.list[i:])
	e.list[i] = x
}

// Apply appends raw with the edits made to dst and returns it. dst must not
// alias raw.
func (e *Edits) Apply(dst, raw []byte) []byte {
	if e.Empty() {
		return append(dst, raw...)
	}
	dst = slices.Grow(dst, e.Size(raw))
	from := int32(0)
	for _, x := range e.list {
		dst = append(dst, raw[from:x.at.Start]...)
		dst = append(dst, x.new...)
		from = x.at.End
	}
	return append(dst, raw[from:]...)
}

// Size is the length of raw with the edits made.
func (e *Edits) Size(raw []byte) int {
	n := len(raw)
	if e != nil {
		for _, x := range e.list {
			n += len(x.new) - x.at.Len()
		}
	}
	return n
}

// Pieces appends raw with the edits made to dst, in pieces that alias raw and
// what was given. It copies nothing, for a vectored write of what is long.
func (e *Edits) Pieces(dst [][]byte, raw []byte) [][]byte {
	piece := func(b []byte) {
		if len(b) > 0 {
			dst = append(dst, b)
		}
	}
	from := int32(0)
	if e != nil {
		for _, x := range e.list {
			piece(raw[from:x.at.Start])
			piece(x.new)
			from = x.at.End
		}
	}
	piece(raw[from:])
	return dst
}
