package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// Options are what a Gateway needs besides its configuration.
type Options struct {
	Log       *slog.Logger         // nil logs nothing
	Telemetry *telemetry.Telemetry // nil traces nothing
	Version   string
	// Load reads the configuration anew, for Reload; nil if there is nothing to
	// read.
	Load func() (*config.Config, error)
	// Reloaded is told of the outcome of each reload, whoever asked for it: of the
	// plan that was carried out, or of the error. It may be nil, and must not block
	// or call the gateway.
	Reloaded func(admin.Plan, error)
	// Added is the file in which upstreams that are added at run time are kept; ""
	// keeps them in memory alone.
	Added string
	// Dialer reaches upstreams; nil is the real one, with Watcher.
	Dialer upstream.Dialer
	// Watcher kills what is left of the children when the gateway is killed; it
	// may be nil.
	Watcher *upstream.Watcher

	// SignIns keeps the sign-ins at upstreams; nil is the vault in the state folder.
	SignIns oauth.Store
	// makePolicies makes the policies in the place of builtin.Make, in tests.
	makePolicies func([]builtin.Config, policy.Env, *builtin.Made) (*builtin.Made, error)
}

// Gateway is one MCP server made of many. Make it with New; Run must be running
// while clients are served.
type Gateway struct {
	log     *slog.Logger
	tel     *telemetry.Telemetry
	capture *capture // nil for none
	version string
	load    func() (*config.Config, error)
	overlay *overlay // guarded by reload
	set     *upstream.Set
	rules   *policies
	seal    *sealer
	signIns *signIns
	served  atomic.Pointer[string] // the address of the endpoint's listener, nil for none

	cfg      atomic.Pointer[config.Config]
	guard    atomic.Pointer[guard]
	view     atomic.Pointer[view] // written by the publisher alone once Run has begun
	listsBy  atomic.Int64         // Unix nanoseconds until which first lists may wait
	sessions *sessions
	subs     subscribers[*session, string] // of sessions on links that several share, and the URI each used

	lingering upstream.Overdue[*post] // answers awaited on POSTs
	watches   upstream.Overdue[*conn] // of connections whose loss is not watched for yet
	backlog   backlog

	// Of clients of 2026-07-28.
	moderns   modernClients
	levels    modernLevels
	posts     posts
	present   presences
	listeners *listeners
	parks     parks
	tasks     tasks
	owners    atomic.Uint64 // names given by nextOwner

	strays          strays        // messages of servers that belong to no call and wait for policies
	messagesDropped atomic.Uint64 // of those that waited for policies, for there were too many

	events   events
	observer *observer
	alerts   *alert.Sender
	changes  chan struct{}      // capacity 1: something an onlooker shows has changed
	reloaded chan struct{}      // capacity 1: the configuration has changed
	rekeyed  chan struct{}      // capacity 1: there is another Authenticator
	pulse    chan chan struct{} // capacity 0: the publisher closes what it is given after a round
	retired  chan struct{}      // closed when the publisher has ended

	draining atomic.Bool
	flight   sync.WaitGroup // requests being served
	door     sync.RWMutex   // held shared to enter, so that draining and Wait do not race

	hard      context.Context //nolint:containedctx // done when requests in flight must end
	endHard   context.CancelFunc
	closing   context.Context //nolint:containedctx // done when open streams must end
	endStream context.CancelFunc
	reload    sync.Mutex // one change of the configuration at a time
	// afterReload is never nil.
	afterReload func(admin.Plan, error)
}

var emptyCatalog = router.Build(router.Defaults(), nil)

// New returns a gateway for the configuration. Nothing is started yet. The
// error says which part of the configuration or of the state folder is at fault.
func New(cfg *config.Config, o Options) (*Gateway, error) {
	g := &Gateway{
		log: o.Log, tel: o.Telemetry, version: o.Version, load: o.Load,
		capture: newCapture(cfg.Telemetry.Traces.Capture), sessions: newSessions(), listeners: newListeners(),
		changes: make(chan struct{}, 1), reloaded: make(chan struct{}, 1), rekeyed: make(chan struct{}, 1), pulse: make(chan chan struct{}),
		retired: make(chan struct{}),
	}
	g.lingering.Late = (*post).lingers
	g.watches.Late = (*conn).goOn
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	g.hard, g.endHard = context.WithCancel(context.Background())
	g.closing, g.endStream = context.WithCancel(context.Background())
	if g.afterReload = o.Reloaded; o.Reloaded == nil {
		g.afterReload = func(admin.Plan, error) {}
	}
	var err error
	if g.overlay, err = openOverlay(o.Added, cfg); err != nil {
		g.log.Warn("upstreams that were added at run time are left out", "error", err)
	}
	cfg, warnings := g.overlay.survivors(cfg)
	for _, w := range warnings {
		g.log.Warn("upstreams that were added or removed at run time", "warning", w)
	}
	if g.seal, err = openSealer(cfg.StateDir); err != nil {
		return nil, err
	}
	g.rules = newPolicies(policy.Env{
		Log: g.log, StateDir: cfg.StateDir, Restarted: g.tel.PluginRestarted,
		Start: func(cmd *exec.Cmd) (policy.Process, error) {
			p, err := o.Watcher.Start(cmd)
			if err != nil {
				return nil, err
			}
			return p, nil
		},
	}, g.observing)
	if o.makePolicies != nil {
		g.rules.make = o.makePolicies
	}
	rules, err := g.rules.build(cfg.Policies)
	if err != nil {
		return nil, err
	}
	if err := g.begin(cfg, rules, o); err != nil {
		g.rules.drop(rules)
		return nil, err
	}
	return g, nil
}

// begin makes what stands on the configuration and its policies.
func (g *Gateway) begin(cfg *config.Config, rules *generation, o Options) (err error) {
	if g.signIns, err = newSignIns(g, cfg, o.SignIns); err != nil {
		return err
	}
	dialer := o.Dialer
	if dialer == nil {
		if dialer, err = upstream.NewDialer(upstream.DialerOptions{
			Log: g.log, Watcher: o.Watcher, StateDir: cfg.StateDir, Credentials: g.signIns.credentials,
		}); err != nil {
			return err
		}
	}
	info, err := json.Marshal(map[string]string{"name": "interlock", "version": o.Version})
	if err != nil {
		return err
	}
	g.alerts = alert.New(alert.Options{
		Log: g.log, Version: o.Version,
		Count: func(e alert.Event, outcome string) { g.tel.AlertSent(string(e), outcome) },
	})
	g.alerts.Apply(cfg.Alerts)
	g.observer = newObserver(g)
	g.set = upstream.NewSet(upstream.Options{
		Dialer: dialer, Log: g.log, StateDir: cfg.StateDir, ClientInfo: info, Handler: g,
		Observer: g.observer, Chronicle: newChronicle(g.tel), SessionEnded: g.upstreamSessionOver,
	})
	if _, err := g.set.Apply(cfg.Upstreams); err != nil {
		return fmt.Errorf("upstreams: %w", err)
	}
	g.cfg.Store(cfg)
	g.signIns.keep(cfg.Upstreams)
	auth, err := g.newAuthenticator(&cfg.Server)
	if err != nil {
		return fmt.Errorf("server.auth: %w", err)
	}
	secured, err := newSecured(cfg.Server.TLS)
	if err != nil {
		return err
	}
	g.rules.adopt(rules)
	g.guard.Store(newGuard(cfg.Server, auth, secured))
	g.listsBy.Store(time.Now().Add(cfg.Server.ListWait).UnixNano())
	// Clients are served from the first moment, with what was listed last time.
	ups := g.set.Upstreams()
	first := g.build(cfg, rules, ups, offers(ups))
	first.ready = make(chan struct{})
	g.view.Store(first)
	g.tel.Supervise(g.supervision)
	g.tel.Watch(process(time.Now()))
	return nil
}

// Run supervises the upstreams and publishes what they offer. It blocks until
// ctx is done and every upstream has stopped.
func (g *Gateway) Run(ctx context.Context) error {
	pubCtx, stop := context.WithCancel(context.WithoutCancel(ctx))
	var publisher sync.WaitGroup
	publisher.Go(func() { g.runPublisher(pubCtx) })
	publisher.Go(func() { g.runAuthenticators(pubCtx) })
	alerts, stopAlerts := context.WithCancel(context.WithoutCancel(ctx))
	var alerting sync.WaitGroup
	alerting.Go(func() { g.alerts.Run(alerts) })
	err := g.set.Run(ctx)
	stop()
	stopAlerts() // beside what follows
	publisher.Wait()
	g.endStream()
	g.giveUp()
	g.listeners.close()
	g.parks.close()
	g.signIns.close()
	for _, s := range g.sessions.all() {
		if s.end() {
			g.sessionOver(s, ending{how: telemetry.EndingShutdown})
		}
	}
	g.listeners.serve.Wait()
	g.parks.tasks.Wait()
	g.rules.close()
	alerting.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// Changed returns a channel that is poked after changes of upstreams or of the
// catalog. It has one reader.
func (g *Gateway) Changed() <-chan struct{} { return g.changes }

// Alive reports whether the publisher, which all changes go through, does its
// work. It blocks until that is certain, or ctx is done, which means no. What
// upstreams had come to when it was called is what clients see after a yes.
func (g *Gateway) Alive(ctx context.Context) bool {
	round := make(chan struct{})
	select {
	case g.pulse <- round:
	case <-g.retired:
		return false
	case <-ctx.Done():
		return false
	}
	select {
	case <-round:
		return true
	case <-ctx.Done():
		return false
	}
}

// enter lets a request in, unless the gateway drains. Each true needs a leave.
func (g *Gateway) enter() bool {
	g.door.RLock()
	defer g.door.RUnlock()
	if g.draining.Load() {
		return false
	}
	g.flight.Add(1)
	return true
}

func (g *Gateway) leave() { g.flight.Done() }

// Drain lets no new request in, closes the streams on which clients listen,
// waits for the requests in flight until ctx is done, and ends what is left with
// an answer. Then the streams are closed that answers travel on.
func (g *Gateway) Drain(ctx context.Context) {
	g.door.Lock()
	if !g.draining.Swap(true) {
		g.happened(admin.Event{Kind: "draining", Text: "the gateway is shutting down: calls in flight may end"})
	}
	g.door.Unlock()
	g.listeners.close()
	g.parks.close()
	for _, s := range g.sessions.all() {
		if s.standing != nil {
			s.standing.end()
		}
	}
	done := make(chan struct{})
	go func() {
		g.flight.Wait()
		g.parks.tasks.Wait() // their upstreams are told while there is a way to them
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		g.giveUp()
		select {
		case <-done:
		case <-time.After(time.Second): // an answer that nobody reads is not waited for
		}
	}
	g.endStream()
}

// Kill makes every stop of an upstream one by force. It does not block.
func (g *Gateway) Kill() {
	g.giveUp()
	g.set.Kill()
	g.alerts.Kill()
}

// giveUp ends all requests in flight with an answer.
func (g *Gateway) giveUp() {
	g.endHard() // those that begin from now on see it themselves
	for _, s := range g.sessions.all() {
		for _, x := range s.underWay() {
			x.cancel(errDraining)
		}
	}
	g.posts.cancel(errDraining)
}

// endSession ends a session and what it holds at upstreams.
func (g *Gateway) endSession(s *session, e ending) {
	if !s.end() {
		return
	}
	g.sessionOver(s, e)
	g.sessions.remove(s)
	s.mu.Lock()
	subs := s.subs
	s.subs = nil
	s.mu.Unlock()
	for _, sub := range subs {
		if sub.scope.Exclusive {
			g.subs.remove(s, sub) // the link goes, and the server's memory with it
			continue
		}
		g.subs.remove(s, sub)
		go g.dropSubscription(g.hard, s, sub)
	}
	g.release(s)
}

// release closes the links that the session owns.
func (g *Gateway) release(s *session) {
	for _, u := range g.set.Upstreams() {
		u.Release(s.key)
	}
	g.levels.forget(s.key)
}
