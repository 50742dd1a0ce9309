package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// How many stand-ins for sessions there are: of everybody, of one principal that
// said who it is, and of those who did not have to. What a principal may have is
// so much less than all that none can push the others' out.
const (
	maxModernClients   = 20_000
	maxModernOfOne     = 64
	maxModernAnonymous = 1024
)

// modernClients is the table of the stand-ins.
type modernClients struct {
	mu      sync.RWMutex // guards the rest
	nobody  standIns     // of the anonymous principal
	byOwner map[owner]*standIns
	count   int
}

// standIns are those of one principal, by view and by capabilities.
type standIns struct {
	byView map[string]map[string]*modernClient
	count  int
}

// of returns those of a principal, nil for none. The caller holds mu.
func (t *modernClients) of(p *policy.Principal) *standIns {
	if p.Anonymous() {
		return &t.nobody
	}
	return t.byOwner[ownerOf(p)]
}

func (o *standIns) find(view string, caps []byte) *modernClient {
	if o == nil {
		return nil
	}
	c := o.byView[view][string(caps)]
	if c != nil {
		c.users.Add(1) // while the lock is held: none is forgotten meanwhile
	}
	return c
}

// find returns the client of a principal in a view with these capabilities, a JSON
// object, with one more user. The one that made room for it, if there is one, is
// returned as out; the error is errFull.
func (t *modernClients) find(p *policy.Principal, view string, caps []byte) (c, out *modernClient, err error) {
	t.mu.RLock()
	c = t.of(p).find(view, caps)
	t.mu.RUnlock()
	if c != nil {
		return c, nil, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	mine := t.of(p)
	if c = mine.find(view, caps); c != nil {
		return c, nil, nil
	}
	most := maxModernOfOne
	if p.Anonymous() {
		most = maxModernAnonymous
	}
	full := true
	switch {
	case mine != nil && mine.count >= most:
		out = mine.longestIdle(nil)
	case t.count >= maxModernClients:
		t.each(func(o *standIns) { out = o.longestIdle(out) })
	default:
		full = false
	}
	if out != nil {
		t.forget(out)
	} else if full {
		return nil, nil, errFull
	}
	c = newModernClient(p, view, caps)
	c.users.Add(1)
	t.add(c, caps)
	return c, out, nil
}

// add puts c in the table. The caller holds mu.
func (t *modernClients) add(c *modernClient, caps []byte) {
	o := t.of(c.principal) // again: what made room may have been its only one
	if o == nil {
		if t.byOwner == nil {
			t.byOwner = make(map[owner]*standIns)
		}
		o = new(standIns)
		t.byOwner[ownerOf(c.principal)] = o
	}
	if o.byView == nil {
		o.byView = make(map[string]map[string]*modernClient)
	}
	if o.byView[c.view] == nil {
		o.byView[c.view] = make(map[string]*modernClient)
	}
	o.byView[c.view][string(caps)] = c
	o.count++
	t.count++
}

func newModernClient(p *policy.Principal, view string, caps []byte) *modernClient {
	name := append(append([]byte(view), 0), caps...)
	if key := p.Key(); key != "" {
		name = append(append(name, 0), key...)
	}
	sum := sha256.Sum256(name)
	t := ticket{
		Nonce: "modern-" + hex.EncodeToString(sum[:16]), Principal: p.Key(), Version: modernVersion, View: view,
		Capabilities: append([]byte(nil), caps...),
	}
	return &modernClient{session: newSession(t, ""), able: abilitiesOf(caps)}
}

// each calls f with those of each principal. The caller holds mu.
func (t *modernClients) each(f func(*standIns)) {
	f(&t.nobody)
	for _, o := range t.byOwner {
		f(o)
	}
}

// longestIdle returns the one that nobody has used for the longest time, of them
// and than.
func (o *standIns) longestIdle(than *modernClient) *modernClient {
	for _, clients := range o.byView {
		for _, c := range clients {
			if c.users.Load() == 0 && (than == nil || c.used.Load() < than.used.Load()) {
				than = c
			}
		}
	}
	return than
}

// forget takes c out of the table. The caller holds mu.
func (t *modernClients) forget(c *modernClient) {
	o := t.of(c.principal)
	delete(o.byView[c.view], string(c.client.raw))
	if len(o.byView[c.view]) == 0 {
		delete(o.byView, c.view)
	}
	o.count--
	t.count--
	if o.count == 0 {
		delete(t.byOwner, ownerOf(c.principal))
	}
}

// expired takes those out of the table that nobody used for the timeout, and
// returns them.
func (t *modernClients) expired(now time.Time, timeout time.Duration) []*modernClient {
	t.mu.Lock()
	defer t.mu.Unlock()
	var idle []*modernClient
	t.each(func(o *standIns) {
		for _, clients := range o.byView {
			for _, c := range clients {
				if c.users.Load() == 0 && now.Sub(time.Unix(0, c.used.Load())) > timeout {
					idle = append(idle, c)
				}
			}
		}
	})
	for _, c := range idle {
		t.forget(c)
	}
	return idle
}

// lastUsed returns when one was used last, the zero time for never, unless one is
// now.
func (t *modernClients) lastUsed() (last time.Time, used bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	t.each(func(o *standIns) {
		for _, clients := range o.byView {
			for _, c := range clients {
				used = used || c.users.Load() > 0
				if at := time.Unix(0, c.used.Load()); at.After(last) {
					last = at
				}
			}
		}
	})
	return last, used
}
