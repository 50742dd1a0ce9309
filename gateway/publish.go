package gateway

import (
	"context"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
)

// publisher is the state of the one goroutine that replaces the view.
type publisher struct {
	offered []offered // what the current catalog was built from
	cfg     *config.Config
	grace   *time.Timer // fires when an upstream in error has used up its list_grace
}

// offered is what decides an upstream's part in the catalog.
type offered struct {
	name      string
	inventory *upstream.Inventory
	config    *upstream.Config
	listed    bool
}

// publish rebuilds the view if anything in it changed, and tells clients whose
// lists differ. Only the publisher's goroutine calls it.
func (g *Gateway) publish(p *publisher) {
	cfg := g.cfg.Load()
	ups := g.set.Upstreams()
	now := time.Now()
	next := make([]offered, len(ups))
	pending := false
	var wait time.Duration
	for i, u := range ups {
		st := u.Status()
		next[i] = offered{name: u.Name(), inventory: u.Inventory(), config: u.Config()}
		next[i].listed = st.Desired
		if grace := u.Config().ListGrace; grace > 0 && st.State == upstream.Errored {
			left := grace - now.Sub(st.Since)
			next[i].listed = next[i].listed && left > 0
			if left > 0 && (wait == 0 || left < wait) {
				wait = left
			}
		}
		if next[i].inventory == nil && st.Desired && (st.State == upstream.NotStarted || st.State == upstream.Starting) {
			pending = true
		}
	}
	if wait > 0 {
		p.grace.Reset(wait)
	}
	old := g.view.Load()
	if !same(p, next, cfg) {
		v := g.build(cfg, ups, next)
		v.ready = old.ready
		p.offered, p.cfg = next, cfg
		g.view.Store(v)
		g.announce(old, v)
		old = v
	}
	g.settle(old, pending)
}

// same reports whether the view already shows this.
func same(p *publisher, next []offered, cfg *config.Config) bool {
	if p.cfg != cfg || len(p.offered) != len(next) {
		return false
	}
	for i := range next {
		if p.offered[i] != next[i] {
			return false
		}
	}
	return true
}

// settle opens the way for lists that wait for upstreams never listed before,
// and closes it again when a reload brings new ones.
func (g *Gateway) settle(v *view, pending bool) {
	select {
	case <-v.ready:
		if pending {
			n := *v
			n.ready = make(chan struct{})
			g.view.Store(&n)
			g.listsBy.Store(time.Now().Add(v.cfg.Server.ListWait).UnixNano())
		}
	default:
		if !pending {
			close(v.ready)
		}
	}
}

func (g *Gateway) build(cfg *config.Config, ups []*upstream.Upstream, from []offered) *view {
	offers := make([]router.Offer, len(from))
	byName := make(map[string]*upstream.Upstream, len(ups))
	for i, o := range from {
		byName[o.name] = ups[i]
		offers[i] = offerOf(o)
	}
	return &view{
		cfg: cfg, catalog: router.Build(cfg.Names, offers), chain: g.chain,
		upstreams: byName, order: ups,
	}
}

func offerOf(o offered) router.Offer {
	t := o.config.Tools
	offer := router.Offer{
		Upstream: o.name, Prefix: o.config.NamePrefix(), Listed: o.listed,
		Allow: t.Allow, Deny: t.Deny, Rename: t.Rename, Describe: t.Describe,
		Idempotent: t.Idempotent, TrustAnnotations: o.config.TrustAnnotations,
	}
	if inv := o.inventory; inv != nil {
		offer.Tools, offer.Prompts, offer.Resources, offer.Templates = inv.Tools, inv.Prompts, inv.Resources, inv.Templates
		offer.Capabilities, offer.Instructions = inv.Capabilities, inv.Instructions
	}
	return offer
}

// announce tells each client whose lists changed from one view to the next.
func (g *Gateway) announce(old, v *view) {
	whole := changed(old.catalog, v.catalog)
	for _, s := range g.sessions.all() {
		set := whole
		if s.view != "" {
			before, _ := old.catalogFor(s.view)
			after, _ := v.catalogFor(s.view)
			set = changed(before, after)
		}
		if set != 0 {
			s.listsChanged(set)
		}
	}
	if whole != 0 {
		g.log.Debug("catalog published", "tools", len(v.catalog.Entries(router.Tools)))
	}
}

// listsChanged tells the client, or remembers it for when a stream is open.
func (s *session) listsChanged(set listSet) {
	s.mu.Lock()
	open := s.home != nil && s.version != "" && (s.standing == nil || s.standing.live())
	if !open {
		s.stale |= set
		s.mu.Unlock()
		return
	}
	home := s.home
	s.mu.Unlock()
	for _, n := range listChanged {
		if set&n.list != 0 {
			home.send(n.raw, true)
		}
	}
}

// catchUp tells the client of what changed while no stream was open.
func (s *session) catchUp() {
	s.mu.Lock()
	set := s.stale
	s.stale = 0
	s.mu.Unlock()
	for _, n := range listChanged {
		if set&n.list != 0 {
			s.tell(n.raw)
		}
	}
}

// runPublisher publishes until ctx is done.
func (g *Gateway) runPublisher(ctx context.Context) {
	p := &publisher{grace: time.NewTimer(time.Hour)}
	defer p.grace.Stop()
	sweep := time.NewTicker(15 * time.Second)
	defer sweep.Stop()
	for {
		g.publish(p)
		select {
		case g.changes <- struct{}{}:
		default:
		}
		select {
		case <-ctx.Done():
			return
		case <-g.set.Changed():
		case <-g.reloaded:
		case <-p.grace.C:
		case now := <-sweep.C:
			g.expire(now)
		}
	}
}

// expire ends the sessions that nobody used for session_timeout.
func (g *Gateway) expire(now time.Time) {
	for _, s := range g.sessions.expired(now, g.cfg.Load().Server.SessionTimeout) {
		g.endSession(s)
	}
}
