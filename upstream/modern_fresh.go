package upstream

import (
	"math"
	"strconv"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// minRefresh is how far apart lists are read again at least because their time
// is over.
const minRefresh = 5 * time.Second

// maxTTL caps what a server may say of its lists.
const maxTTL = 24 * time.Hour

// freshness gathers what the pages of a modern server's lists say of how long and
// by whom they may be kept (server/utilities/caching of 2026-07-28): the shortest
// time, and private if any is.
type freshness struct {
	inv  *Inventory
	told bool // a page was seen
}

// page takes over what one page says. A legacy server says nothing.
func (f *freshness) page(m jsonrpc.Message) {
	if f.inv.Version < latestModern {
		return
	}
	ttl, scope := cacheHints(m)
	if !f.told || ttl < f.inv.TTL {
		f.inv.TTL = ttl
	}
	f.told = true
	f.inv.Private = f.inv.Private || scope != "public"
}

// cacheHints reads ttlMs and cacheScope of a result. What is missing or wrong is
// 0, or "".
func cacheHints(m jsonrpc.Message) (ttl time.Duration, scope string) {
	for key, v := range jsonrpc.Members(m.Raw, m.Result) {
		switch key {
		case "ttlMs":
			if ms, err := strconv.ParseFloat(string(v.Of(m.Raw)), 64); err == nil && ms > 0 {
				ttl = time.Duration(math.Min(ms, float64(maxTTL/time.Millisecond))) * time.Millisecond
			}
		case "cacheScope":
			scope = m.Text(v)
		}
	}
	return ttl, scope
}

// Stale reports whether the time is over for which the server said that its lists
// may be kept. Where it said nothing they are never stale: then it tells when
// they change, or nobody knows.
func (i *Inventory) Stale(now time.Time) bool {
	return i.TTL > 0 && now.Sub(i.Learnt) > max(i.TTL, minRefresh)
}

// Freshen has the lists read again, in the background, if their time is over. It
// is for whoever shows them; it costs nothing where there is nothing to do.
func (u *Upstream) Freshen() {
	if inv := u.inventory.Load(); inv != nil && inv.TTL > 0 && inv.Stale(time.Now()) {
		poke(u.listed)
	}
}

// listed takes note of which arguments of which tools are mirrored in headers.
func (l *modernLink) listed(inv *Inventory) {
	if l.mirrors != nil {
		l.mirrors.Store(readToolHeaders(inv))
	}
}

// listed tells the link what it lists, if the link wants to know.
func (l *live) listed(inv *Inventory) {
	if x, ok := l.Link.(interface{ listed(*Inventory) }); ok {
		x.listed(inv)
	}
}
