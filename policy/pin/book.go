package pin

import (
	"maps"

	"github.com/interlock-mcp/interlock/policy"
)

// State is how a definition stands to what was approved.
type State string

// The states.
const (
	Approved State = "approved"
	New      State = "new"     // never approved
	Changed  State = "changed" // approved, and another now
	Gone     State = "gone"    // approved, and not offered now
	// Unfit is what has no canonical form and cannot be approved: an object with a key
	// twice, which two readers may read differently.
	Unfit State = "unfit"
)

// book is what was approved. It does not change.
type book struct {
	entries map[key]*entry
	// known are the upstreams that have an entry.
	known map[string]bool
}

func newBook(entries map[key]*entry) *book {
	b := &book{entries: entries, known: make(map[string]bool)}
	for k := range entries {
		b.known[k.upstream] = true
	}
	return b
}

// with is b and more, whose entries win.
func (b *book) with(more map[key]*entry) *book {
	all := make(map[key]*entry, len(b.entries)+len(more))
	maps.Copy(all, b.entries)
	maps.Copy(all, more)
	return newBook(all)
}

// judge says how d stands, and what was approved in its place, nil for nothing.
func (b *book) judge(d *policy.Definition) (State, *entry) {
	e := b.entries[keyOf(d)]
	switch {
	case e == nil:
		return New, nil
	case e.hash == d.Hash():
		return Approved, e
	}
	return Changed, e
}
