package gateway

import (
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
)

// keptEvents is how many events can be read afterwards.
const keptEvents = 1000

// events are the last things that happened. The zero value is ready; its methods
// may be called from any goroutine and do not wait for readers.
type events struct {
	mu      sync.Mutex // guards the rest
	ring    []admin.Event
	seq     uint64        // of the last one, 0 for none
	changed chan struct{} // closed at the next one; nil while nobody waits
}

// add keeps e under the next number, at the time it says or now.
func (l *events) add(e admin.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	e.Seq = l.seq
	if e.At.IsZero() {
		e.At = time.Now()
	}
	if len(l.ring) < keptEvents {
		l.ring = append(l.ring, e)
	} else {
		l.ring[(l.seq-1)%keptEvents] = e
	}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// after returns what Gateway.Events does.
func (l *events) after(seq uint64) ([]admin.Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	if seq > l.seq { // of another run of the gateway
		seq = 0
	}
	seq = max(seq, l.seq-uint64(len(l.ring)))
	list := make([]admin.Event, 0, l.seq-seq)
	for ; seq < l.seq; seq++ {
		list = append(list, l.ring[seq%keptEvents])
	}
	return list, l.changed
}

// Events returns those of the last 1,000 events whose Seq is greater than after,
// oldest first, and a channel that is closed when there is another one. A number
// that was not given yet is one of an earlier run of the gateway: all are
// returned. A gap between after and the first says how many were forgotten.
func (g *Gateway) Events(after uint64) (list []admin.Event, changed <-chan struct{}) {
	return g.events.after(after)
}

// happened adds an event; Seq is set here, and At if it is zero. It does not
// block.
func (g *Gateway) happened(e admin.Event) {
	g.events.add(e)
	g.exportEvent(&e)
}
