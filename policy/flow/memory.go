package flow

import (
	"container/list"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// memory is what everybody has received, by key. The zero memory is ready once it
// has forgetAfter.
type memory struct {
	forgetAfter time.Duration

	mu    sync.Mutex // guards all below
	known map[string]*list.Element
	order list.List // of *entry, the one that received something last at the front
}

// maxKnown bounds how many are remembered. Whoever received nothing for longest is
// forgotten first.
const maxKnown = 20_000

type entry struct {
	key  string
	last time.Time // when the last of it came
	seen
}

// seen is what somebody has received.
type seen struct {
	kinds              kinds
	private, untrusted sources
}

// sources are the names of upstreams, the first few of them.
type sources struct {
	names []string
	more  bool
}

const maxSources = 3

// and returns s with one more.
func (s sources) and(upstream string) sources {
	switch {
	case slices.Contains(s.names, upstream):
	case len(s.names) == maxSources:
		s.more = true
	default:
		s.names = append(s.names, upstream) // who has a copy reads no further than before
	}
	return s
}

func (s sources) String() string {
	var b strings.Builder
	for i, name := range s.names {
		switch {
		case i == 0:
		case i == len(s.names)-1 && !s.more:
			b.WriteString(" and ")
		default:
			b.WriteString(", ")
		}
		b.WriteString(strconv.Quote(name))
	}
	if s.more {
		b.WriteString(" and others")
	}
	return b.String()
}

// of returns what a key has received.
func (m *memory) of(key string, now time.Time) seen {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now)
	if at, ok := m.known[key]; ok {
		return at.Value.(*entry).seen
	}
	return seen{}
}

// add notes that something of the kinds came from an upstream, and returns all
// kinds of before and after it.
func (m *memory) add(key, upstream string, k kinds, now time.Time) (before, after kinds) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.forget(now)
	at, ok := m.known[key]
	if !ok {
		if m.known == nil {
			m.known = make(map[string]*list.Element)
		}
		if len(m.known) == maxKnown {
			m.drop(m.order.Back())
		}
		at = m.order.PushFront(&entry{key: key})
		m.known[key] = at
	}
	m.order.MoveToFront(at)
	e := at.Value.(*entry)
	before, e.last = e.kinds, now
	e.kinds |= k
	if k&private != 0 {
		e.private = e.private.and(upstream)
	}
	if k&untrusted != 0 {
		e.untrusted = e.untrusted.and(upstream)
	}
	return before, e.kinds
}

// forget drops what is too old. The oldest are at the back.
func (m *memory) forget(now time.Time) {
	for at := m.order.Back(); at != nil && now.Sub(at.Value.(*entry).last) >= m.forgetAfter; at = m.order.Back() {
		m.drop(at)
	}
}

func (m *memory) drop(at *list.Element) {
	m.order.Remove(at)
	delete(m.known, at.Value.(*entry).key)
}
