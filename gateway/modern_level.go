package gateway

import (
	"context"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
)

// levelTimeout is how long a call waits for its server to take a log level.
const levelTimeout = time.Second

// modernLevels are the mildest log levels that requests of 2026-07-28 have asked
// of servers of older revisions, which are told once and not with each request.
type modernLevels struct {
	mu     sync.RWMutex // guards mildest
	byLink map[linkName]string
}

// linkName tells links of all upstreams apart.
type linkName struct{ upstream, scope string }

// lower notes that somebody wants to see the level, and reports whether that is
// more than was wanted before.
func (t *modernLevels) lower(l linkName, level string) bool {
	t.mu.RLock()
	before, ok := t.byLink[l]
	t.mu.RUnlock()
	if ok && levels[before] <= levels[level] {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.byLink == nil {
		t.byLink = make(map[linkName]string)
	}
	t.byLink[l] = level
	return true
}

// forget drops what was asked of the links of a scope.
func (t *modernLevels) forget(scope string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for l := range t.byLink {
		if l.scope == scope {
			delete(t.byLink, l)
		}
	}
}

// with returns the milder of level and what was asked of the link.
func (t *modernLevels) with(l linkName, level string) string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if asked, ok := t.byLink[l]; ok && (level == "" || levels[asked] < levels[level]) {
		return asked
	}
	return level
}

// levelFor has a server of an older revision send log messages of the level that
// the request wants (2026-07-28 server/utilities/logging). It blocks for as long
// as the server takes for it, at most levelTimeout, when the level is new.
func (g *Gateway) levelFor(ctx context.Context, x *exchange, u *upstream.Upstream) {
	if x.modern.level == "" {
		return
	}
	scope := x.session.scope(u)
	link := linkName{u.Name(), scope.Key}
	if !g.levels.lower(link, x.modern.level) {
		return
	}
	level := g.levels.with(link, "")
	if !scope.Exclusive {
		level = g.mildest(u, scope, level)
	}
	ctx, cancel := context.WithTimeout(ctx, levelTimeout)
	defer cancel()
	u.SetLevel(ctx, scope, level)
}

// mildest returns the mildest of level and what sessions that see the upstream, and
// have that link with it, have set; "" for none.
func (g *Gateway) mildest(u *upstream.Upstream, scope upstream.Scope, level string) string {
	for _, s := range g.sessions.all() {
		if l := s.logLevel(); l != "" && (level == "" || levels[l] < levels[level]) && s.scope(u).Key == scope.Key && g.sees(s, u.Name()) {
			level = l
		}
	}
	return level
}
