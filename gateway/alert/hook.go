package alert

import (
	"context"
	"sync"
	"time"
)

// maxQueue is how many alerts wait for one webhook at most: many upstreams can
// fail at the same moment.
const maxQueue = 1000

// hook is a webhook with what waits for it. Its goroutine takes from the queue.
type hook struct {
	s    *Sender
	url  URL           // never changes
	wake chan struct{} // capacity 1: there is something to take, or to wait for

	stop context.CancelFunc // of its goroutine, nil before that; guarded by the Sender's mutex

	mu    sync.Mutex // guards the rest
	w     Webhook
	queue []*Alert // the oldest first
	// held are the alerts of outages that have not lasted for min_down yet, by
	// upstream.
	held map[string]*outage
	told map[string]bool // the upstreams whose outage was told of
	full bool            // alerts were dropped, and that was logged
}

// outage is what is held back.
type outage struct {
	due    time.Time
	alerts []*Alert
}

func newHook(s *Sender, w Webhook) *hook {
	return &hook{
		s: s, url: w.URL, w: w, wake: make(chan struct{}, 1),
		held: make(map[string]*outage), told: make(map[string]bool),
	}
}

func (h *hook) configure(w Webhook) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.w = w
}

// add queues a, or holds it back, or drops it.
func (h *hook) add(a *Alert) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.release(now)
	held := h.held[a.Upstream]
	switch a.Event {
	case Recovered, BreakerClosed:
		switch {
		case held != nil:
			held.alerts = append(held.alerts, a)
			if a.Event == Recovered {
				h.suppress(a.Upstream)
			}
			return
		case !h.told[a.Upstream]: // it does not know of the outage
			h.count(a, Suppressed)
			return
		case a.Event == Recovered:
			delete(h.told, a.Upstream)
		}
	case Error, Exhausted, BreakerOpened:
		if held != nil {
			held.alerts = append(held.alerts, a)
			return
		}
		since := a.At
		if a.DownSince != nil {
			since = *a.DownSince
		}
		if due := since.Add(h.w.MinDown); now.Before(due) {
			h.held[a.Upstream] = &outage{due, []*Alert{a}}
			h.poke()
			return
		}
		h.told[a.Upstream] = true
	}
	h.push(a)
}

// over is Sender.Over.
func (h *hook) over(upstream string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.release(time.Now())
	h.suppress(upstream)
}

// forget is Sender.Forget.
func (h *hook) forget(upstream string) {
	h.over(upstream)
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.told, upstream)
}

// suppress forgets what is held back of an upstream. h.mu is held.
func (h *hook) suppress(upstream string) {
	if o := h.held[upstream]; o != nil {
		for _, a := range o.alerts {
			h.count(a, Suppressed)
		}
		delete(h.held, upstream)
	}
}

// release queues what was held back long enough, and returns how long the next
// has to wait, 0 for none. h.mu is held.
func (h *hook) release(now time.Time) (wait time.Duration) {
	for name, o := range h.held {
		left := o.due.Sub(now)
		if left > 0 {
			if wait == 0 || left < wait {
				wait = left
			}
			continue
		}
		delete(h.held, name)
		h.told[name] = true
		for _, a := range o.alerts {
			h.push(a)
		}
	}
	return wait
}

// push queues a, if the webhook wants it. The oldest makes room: the later ones
// say how things are. h.mu is held.
func (h *hook) push(a *Alert) {
	if !h.w.wants(a.Event) {
		return
	}
	if len(h.queue) == maxQueue {
		h.count(h.queue[0], Dropped)
		h.queue = h.queue[1:]
		if !h.full {
			h.full = true
			h.s.o.Log.Warn("alerts are dropped: too many wait for the webhook", "webhook", h.url.host(), "waiting", maxQueue)
		}
	}
	h.queue = append(h.queue, a)
	h.poke()
}

// drop forgets all that waits.
func (h *hook) drop(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name := range h.held {
		h.suppress(name)
	}
	for _, a := range h.queue {
		h.count(a, Dropped)
	}
	if n := len(h.queue); n > 0 {
		h.s.o.Log.Warn("alerts are dropped", "webhook", h.url.host(), "reason", why, "alerts", n)
	}
	h.queue = nil
}

func (h *hook) count(a *Alert, outcome string) {
	if h.w.wants(a.Event) {
		h.s.o.Count(a.Event, outcome)
	}
}

func (h *hook) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// take returns the next alert to deliver and how to, or nil and how long nothing
// will be due unless wake says otherwise, 0 for ever.
func (h *hook) take() (a *Alert, w Webhook, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	wait = h.release(time.Now())
	if len(h.queue) == 0 {
		h.full = false
		return nil, Webhook{}, wait
	}
	a, h.queue = h.queue[0], h.queue[1:]
	return a, h.w, 0
}
