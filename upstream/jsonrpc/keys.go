package jsonrpc

import (
	"hash/maphash"

	"github.com/go-json-experiment/json/jsontext"
)

// keys finds duplicates among the keys of objects. The keys of all open objects
// lie on one stack, each object's above its container's.
//
// A key is the offset of its first quote. A key with escapes is written anew in
// the one shortest way into spare, and its offset counts on from the end of raw;
// so two keys are equal when their bytes, closing quote included, are.
type keys struct {
	raw   []byte
	spare []byte
	// The stack is the first n of buf, or of heap once buf was too small. It is
	// no slice of buf: keys would then have to live on the heap.
	n    int
	buf  [32]uint32
	heap []uint32
}

// level is one open object. The zero value is not usable: see open.
type level struct {
	base int
	// sieve has a bit for each key that is there; most new keys fall through
	// it, and are compared with none.
	sieve uint64
	table *table // in place of the stack, once there are many keys
}

// many is how many keys an object may have before they are hashed.
const many = 32

func (k *keys) open() level { return level{base: k.n} }

func (k *keys) close(l *level) { k.n = l.base }

// of returns the keys of l.
func (k *keys) of(l *level) []uint32 {
	if k.heap != nil {
		return k.heap[l.base:k.n]
	}
	return k.buf[l.base:k.n]
}

func (k *keys) push(at uint32) {
	switch {
	case k.heap == nil && k.n < len(k.buf):
		k.buf[k.n] = at
	case k.heap == nil:
		k.heap = append(make([]uint32, 0, 8*len(k.buf)), k.buf[:]...)
		fallthrough
	default:
		k.heap = append(k.heap[:k.n], at)
	}
	k.n++
}

// canonical returns the key in its shortest form, and its offset. It is raw's
// own bytes unless the key has escapes.
func (k *keys) canonical(key Span, escaped bool) ([]byte, uint32) {
	if !escaped {
		return key.Of(k.raw), uint32(key.Start)
	}
	at := len(k.spare)
	// The key was scanned, so neither can fail but for lone surrogates, which
	// become U+FFFD in keys of a server and are refused in those of a client.
	plain, _ := jsontext.AppendUnquote(nil, key.Of(k.raw))
	k.spare, _ = jsontext.AppendQuote(k.spare, plain)
	return k.spare[at:], uint32(len(k.raw) + at)
}

// add puts a key, as canonical returned it, into l and reports whether it was
// there already.
func (k *keys) add(l *level, key []byte, at uint32) (dup bool) {
	if l.table != nil {
		return l.table.add(k, key, at)
	}
	bit := uint64(1) << ((uint(key[1])*7 + uint(key[len(key)-2])*3 + uint(len(key))) & 63)
	if l.sieve&bit != 0 {
		for _, other := range k.of(l) {
			if k.same(other, key) {
				return true
			}
		}
	}
	l.sieve |= bit
	k.push(at)
	if k.n-l.base == many {
		l.table = newTable(k, k.of(l))
		k.close(l)
	}
	return false
}

func (k *keys) same(at uint32, key []byte) bool {
	b := k.from(at)
	return len(b) >= len(key) && string(b[:len(key)]) == string(key)
}

// from returns what follows offset at: a key, and more.
func (k *keys) from(at uint32) []byte {
	if n := uint32(len(k.raw)); at >= n {
		return k.spare[at-n:]
	}
	return k.raw[at:]
}

// table is a hash table of keys, open-addressed and at most half full: a million
// keys cost 16 MiB and no object for each. Its seed is its own, so that nobody
// can choose keys that collide.
type table struct {
	seed  maphash.Seed
	slots []slot // a power of two
	n     int
}

type slot struct{ hash, at uint32 } // at is never 0 for a key

func newTable(k *keys, stack []uint32) *table {
	t := &table{seed: maphash.MakeSeed(), slots: make([]slot, 8*len(stack))}
	for _, at := range stack {
		sc := scanner{b: k.from(at)}
		sc.str() // it was scanned before
		t.add(k, sc.b[:sc.i], at)
	}
	return t
}

func (t *table) add(k *keys, key []byte, at uint32) (dup bool) {
	hash := uint32(maphash.Bytes(t.seed, key))
	free := t.find(hash, func(other uint32) bool { return k.same(other, key) })
	if free < 0 {
		return true
	}
	t.slots[free] = slot{hash, at}
	if t.n++; 2*t.n > len(t.slots) {
		old := t.slots
		t.slots = make([]slot, 2*len(old))
		for _, s := range old {
			if s.at != 0 {
				t.slots[t.find(s.hash, nil)] = s
			}
		}
	}
	return false
}

// find returns the free slot for hash, or -1 if a key of that hash is there and
// same says so; a nil same is never.
func (t *table) find(hash uint32, same func(at uint32) bool) int {
	mask := len(t.slots) - 1
	for i := int(hash) & mask; ; i = (i + 1) & mask {
		s := t.slots[i]
		if s.at == 0 {
			return i
		}
		if same != nil && s.hash == hash && same(s.at) {
			return -1
		}
	}
}
