package alert

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Options are what a Sender needs besides its configuration.
type Options struct {
	// Log is told what could not be delivered; nil for nobody.
	Log *slog.Logger
	// Count is told what became of each alert at each webhook that wants it. It
	// may be nil and must not block.
	Count func(e Event, outcome string)
	// Version goes into the User-Agent.
	Version string
	// Transport makes the requests; nil is one of its own that obeys the
	// environment's proxies.
	Transport http.RoundTripper
}

// Sender delivers alerts to webhooks. Make it with New. Its methods may be
// called from any goroutine, and none but Run blocks.
type Sender struct {
	o       Options
	client  *http.Client
	changed chan struct{} // capacity 1: there are other hooks than before
	killed  chan struct{} // closed by Kill
	kill    sync.Once

	mu    sync.Mutex // guards hooks
	hooks []*hook
}

// flushTime is how long Run waits at its end for alerts that are under way.
const flushTime = 2 * time.Second

// New returns a Sender that tells nobody yet.
func New(o Options) *Sender {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Count == nil {
		o.Count = func(Event, string) {}
	}
	if o.Transport == nil {
		o.Transport = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second,
		}
	}
	return &Sender{
		o:       o,
		client:  &http.Client{Transport: o.Transport, CheckRedirect: sameHost},
		changed: make(chan struct{}, 1), killed: make(chan struct{}),
	}
}

// Apply makes c, which is valid, the configuration. A webhook whose url stays
// keeps what waits for it; what waits for one that is gone is dropped.
func (s *Sender) Apply(c Config) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.hooks
	s.hooks = nil
next:
	for _, w := range c.Webhooks {
		for i, h := range old {
			if h != nil && h.url == w.URL {
				h.configure(w)
				s.hooks, old[i] = append(s.hooks, h), nil
				continue next
			}
		}
		s.hooks = append(s.hooks, newHook(s, w))
	}
	for _, h := range old {
		if h != nil {
			if h.stop != nil {
				h.stop()
			}
			h.drop("its webhook is no longer configured")
		}
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// Send queues an alert for each webhook that wants it.
func (s *Sender) Send(a Alert) {
	a.ID = rand.Text()
	s.each(func(h *hook) { h.add(&a) })
}

// Over says that the upstream's outage has ended without a recovery, since
// somebody stopped it. What min_down holds back is not sent.
func (s *Sender) Over(upstream string) {
	s.each(func(h *hook) { h.over(upstream) })
}

// Forget is Over for an upstream that was removed.
func (s *Sender) Forget(upstream string) {
	s.each(func(h *hook) { h.forget(upstream) })
}

func (s *Sender) each(f func(*hook)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range s.hooks {
		f(h)
	}
}

// Kill makes Run end at once.
func (s *Sender) Kill() { s.kill.Do(func() { close(s.killed) }) }

// Run delivers until ctx is done, and then for two seconds at most, in which
// each alert that waits is tried once more. It blocks until its goroutines have
// ended. It may be called once.
func (s *Sender) Run(ctx context.Context) {
	hard, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	var hooks sync.WaitGroup
	for ctx.Err() == nil {
		s.each(func(h *hook) {
			if h.stop == nil {
				var own context.Context
				own, h.stop = context.WithCancel(hard)
				hooks.Go(func() { h.run(ctx, own) })
			}
		})
		select {
		case <-ctx.Done():
		case <-s.changed:
		}
	}
	flush := time.AfterFunc(flushTime, end)
	defer flush.Stop()
	done := make(chan struct{})
	go func() { hooks.Wait(); close(done) }()
	select {
	case <-done:
	case <-s.killed:
		end()
		<-done
	}
	s.each(func(h *hook) { h.drop("the gateway has ended") })
	if t, ok := s.o.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
