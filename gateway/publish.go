package gateway

import (
	"context"
	"encoding/json"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// publisher is the state of the one goroutine that replaces the view.
type publisher struct {
	offered []offered // what the current catalog was built from
	cfg     *config.Config
	rules   *generation
	again   bool                 // everything is to be vetted anew
	told    map[said]bool        // what policies say, and everybody was told
	failing map[string]time.Time // since when an upstream in error has not run
	grace   *time.Timer          // fires when one of them has used up its list_grace
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
	cfg, rules := g.cfg.Load(), g.rules.now.Load()
	ups := g.set.Upstreams()
	g.observer.keep(ups)
	now := time.Now()
	waiting := pending(ups) // before the offers are read: what is learnt between is not in them
	next := offers(ups)
	wait := p.withhold(ups, next, now)
	if wait > 0 {
		p.grace.Reset(wait)
	}
	old := g.view.Load()
	if p.again || p.rules != rules || !same(p, next, cfg) {
		v := g.build(cfg, rules, ups, next)
		v.ready = old.ready
		p.offered, p.cfg, p.rules, p.again = next, cfg, rules, false
		g.view.Store(v)
		g.tellVerdicts(p, v)
		g.rules.published(rules)
		g.announce(old, v)
		old = v
	}
	g.settle(old, waiting)
}

// offers are what the upstreams have to offer, each listed that is meant to be up.
func offers(ups []*upstream.Upstream) []offered {
	all := make([]offered, len(ups))
	for i, u := range ups {
		all[i] = offered{name: u.Name(), inventory: u.Inventory(), config: u.Config(), listed: u.Status().Desired}
	}
	return all
}

// withhold unlists those that have not run for longer than their list_grace,
// whatever was tried meanwhile, and returns when the next one is due, 0 for none.
func (p *publisher) withhold(ups []*upstream.Upstream, all []offered, now time.Time) (wait time.Duration) {
	failing := make(map[string]time.Time)
	for i, u := range ups {
		st := u.Status()
		since, ok := p.failing[st.Name]
		switch {
		case !st.Desired, st.Idle, st.State == upstream.Running, st.State == upstream.Unknown:
			continue
		case !ok && st.State == upstream.Errored:
			since = st.Since
		case !ok:
			continue // its first start
		}
		failing[st.Name] = since
		grace := u.Config().ListGrace
		if grace <= 0 {
			continue
		}
		left := grace - now.Sub(since)
		all[i].listed = all[i].listed && left > 0
		if left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	p.failing = failing
	return wait
}

// pending reports whether an upstream that never listed may still do so soon:
// one that failed already is waited for no more, however often it is tried.
func pending(ups []*upstream.Upstream) bool {
	for _, u := range ups {
		st := u.Status()
		if u.Inventory() == nil && st.Desired && !st.Idle && st.Failure == nil && (st.State == upstream.NotStarted || st.State == upstream.Starting) {
			return true
		}
	}
	return false
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

func (g *Gateway) build(cfg *config.Config, rules *generation, ups []*upstream.Upstream, from []offered) *view {
	offers := make([]router.Offer, len(from))
	byName := make(map[string]*upstream.Upstream, len(ups))
	for i, o := range from {
		byName[o.name] = ups[i]
		offers[i] = offerOf(o)
	}
	info, err := json.Marshal(map[string]string{"name": cfg.Server.Name, "version": g.version})
	if err != nil { // two strings always marshal
		panic(err)
	}
	profiles := routerProfiles(cfg.Profiles)
	v := &view{
		meters: &meterTable{m: make(map[meterKey]*meters)}, names: new(wholeNames),
		cfg: cfg, catalog: router.Build(cfg.Names, offers, profiles...), rules: rules,
		upstreams: byName, order: ups, serverInfo: info,
	}
	if rules.chain.Empty() && !g.tel.Auditing() {
		return v
	}
	var before definitions
	if old := g.view.Load(); old != nil {
		before = old.definitions
	}
	var all []*policy.Definition
	v.definitions, all = before.define(from, v.catalog)
	if v.verdicts = rules.chain.Vet(all); vetted(offers, v.verdicts) {
		v.catalog = router.Build(cfg.Names, offers, profiles...)
	}
	return v
}

func offerOf(o offered) router.Offer {
	t := o.config.Tools
	offer := router.Offer{
		Upstream: o.name, Tags: o.config.Tags, Prefix: o.config.NamePrefix(), Listed: o.listed,
		Allow: t.Allow, Deny: t.Deny, Rename: t.Rename, Describe: t.Describe,
		Idempotent: t.Idempotent, TrustAnnotations: o.config.TrustAnnotations,
	}
	if inv := o.inventory; inv != nil {
		offer.Tools, offer.Prompts, offer.Resources, offer.Templates = inv.Tools, inv.Prompts, inv.Resources, inv.Templates
		offer.Capabilities, offer.Instructions = inv.Capabilities, inv.Instructions
		offer.Modern, offer.TTL, offer.Private = inv.Version >= modernVersion, inv.TTL, inv.Private || inv.Version < modernVersion
	}
	return offer
}

// announce tells each client whose lists changed from one view to the next.
func (g *Gateway) announce(old, v *view) {
	differ := differences(old, v)
	for _, s := range g.sessions.all() {
		if set := differ(s.view, s.whose()); set != 0 {
			s.listsChanged(set)
		}
	}
	g.listeners.changed(differ)
	if changed(old.catalog, v.catalog) != 0 {
		g.log.Debug("catalog published", "tools", len(v.catalog.Entries(router.Tools)))
	}
}

// differences returns what tells the lists that differ for a client from one view to
// the next.
func differences(old, v *view) func(asked string, p *policy.Principal) listSet {
	type pair struct{ before, after *router.Catalog }
	known := make(map[pair]listSet) // most clients see the same
	return func(asked string, p *policy.Principal) listSet {
		var both pair
		both.before, _ = old.catalogFor(asked, p)
		both.after, _ = v.catalogFor(asked, p)
		set, ok := known[both]
		if !ok {
			set = changed(both.before, both.after)
			known[both] = set
		}
		return set
	}
}

// listsChanged tells the client, or remembers it for when a stream is open.
func (s *session) listsChanged(set listSet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.version == "" { // it has not listed anything yet
		return
	}
	s.stale |= set
	if s.standing == nil || s.standing.live() {
		s.catchUp()
	}
}

// catchUp tells the client of the lists that changed. What it cannot be told now
// is kept for the next time. The caller holds mu.
func (s *session) catchUp() {
	for _, n := range listChanged {
		if s.stale&n.list != 0 && s.home.send(n.raw, needed) {
			s.stale &^= n.list
		}
	}
}

// runPublisher publishes until ctx is done.
func (g *Gateway) runPublisher(ctx context.Context) {
	p := &publisher{grace: time.NewTimer(time.Hour)}
	defer p.grace.Stop()
	sweep := time.NewTicker(keepAlive)
	defer sweep.Stop()
	defer close(g.retired)
	var asked chan struct{} // by who waits for this round
	for publish := true; ; {
		if publish {
			g.publish(p)
			select {
			case g.changes <- struct{}{}:
			default:
			}
		}
		if asked != nil {
			close(asked)
		}
		publish, asked = true, nil
		select {
		case <-ctx.Done():
			return
		case <-g.set.Changed():
		case <-g.reloaded:
		case <-g.rules.again:
			p.again = true
		case <-p.grace.C:
		case asked = <-g.pulse:
		case now := <-sweep.C:
			g.expire(now)
			publish = false
		}
	}
}

// expire ends the sessions that nobody used for session_timeout.
func (g *Gateway) expire(now time.Time) {
	for _, s := range g.sessions.expired(now, g.cfg.Load().Server.SessionTimeout) {
		g.endSession(s, ending{how: telemetry.EndingIdle})
	}
	for _, c := range g.moderns.expired(now, g.cfg.Load().Server.SessionTimeout) {
		g.release(c.session)
	}
}
