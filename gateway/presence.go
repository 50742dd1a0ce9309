package gateway

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// recheckEvery is how often it is asked whether those who listen may still do so: a
// stream lasts for as long as its client likes, a token does not.
const recheckEvery = 5 * time.Minute

// presences are the requests that last: streams on which clients listen, now. The
// zero value is ready to use.
type presences struct {
	mu  sync.Mutex // guards all
	all map[*presence]struct{}
}

type presence struct {
	from visitor
	end  func()
}

// stay enters a request that lasts. end is called, once or more, when its client may
// not listen any longer; it must not block. The returned function ends the stay.
func (g *Gateway) stay(from visitor, end func()) (leave func()) {
	v := &presence{from, end}
	t := &g.present
	t.mu.Lock()
	if t.all == nil {
		t.all = make(map[*presence]struct{})
	}
	t.all[v] = struct{}{}
	t.mu.Unlock()
	if now := g.guard.Load(); now != from.by { // a reload came between
		v.recheck(from.request.Context(), now)
	}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.all, v)
	}
}

// recheck ends those whose clients are not let in any more, or as somebody else. It
// may wait for issuers, though not for long.
func (t *presences) recheck(ctx context.Context, by *guard) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	t.mu.Lock()
	all := make([]*presence, 0, len(t.all))
	for v := range t.all {
		all = append(all, v)
	}
	t.mu.Unlock()
	for _, v := range all {
		v.recheck(ctx, by)
	}
}

func (v *presence) recheck(ctx context.Context, by *guard) {
	p, challenge, err := by.identify(ctx, v.from.request)
	switch {
	case ctx.Err() != nil:
	case challenge != nil && challenge.Status == http.StatusServiceUnavailable: // nobody knows at this moment
	case err != nil, challenge != nil, ownerOf(p) != ownerOf(v.from.principal):
		v.end()
	}
}
