package upstream

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// wants is what links are asked for again when they are made anew.
type wants struct {
	mu    sync.Mutex       // guards all; not held while a server is asked
	links map[string]*want // by the name of the link
}

type want struct {
	level string
	subs  map[string]*subscription // by URI
}

// subscription is a resource that somebody wants the updates of.
type subscription struct {
	refs int           // guarded by wants.mu
	turn chan struct{} // capacity 1: who put a token in talks to the server about it
	on   bool          // the server was asked; guarded by turn
}

func (w *wants) of(key string) *want {
	x := w.links[key]
	if x == nil {
		x = &want{subs: make(map[string]*subscription)}
		w.links[key] = x
	}
	return x
}

// Subscribe asks for the updates of a resource on the scope's link. Several may
// ask for the same: each needs its own Unsubscribe. It is renewed when the link
// is made anew. The error is a *CallError, a *ServerError with the server's
// refusal, or context.Cause(ctx); then there is nothing to take back.
func (u *Upstream) Subscribe(ctx context.Context, scope Scope, uri string) error {
	w := &u.wants
	w.mu.Lock()
	subs := w.of(scope.link()).subs
	s := subs[uri]
	if s == nil {
		s = &subscription{turn: make(chan struct{}, 1)}
		subs[uri] = s
	}
	s.refs++
	w.mu.Unlock()

	err := u.talk(ctx, s, func() error {
		if s.on {
			return nil
		}
		err := u.ask(ctx, scope, "resources/subscribe", uri)
		s.on = err == nil
		return err
	})
	if err != nil {
		w.drop(scope.link(), uri, s)
	}
	return err
}

// Unsubscribe takes back one Subscribe. Its errors are those of Subscribe; the
// subscription has ended whatever it returns.
func (u *Upstream) Unsubscribe(ctx context.Context, scope Scope, uri string) error {
	w := &u.wants
	w.mu.Lock()
	s := w.of(scope.link()).subs[uri]
	if s == nil || s.refs == 0 {
		w.mu.Unlock()
		return nil
	}
	s.refs--
	w.mu.Unlock()
	err := u.talk(ctx, s, func() error {
		w.mu.Lock()
		wanted := s.refs > 0
		w.mu.Unlock()
		if wanted || !s.on {
			return nil
		}
		s.on = false
		if u.peek(scope.link()) == nil {
			return nil // nobody is there who would still send
		}
		return u.ask(ctx, scope, "resources/unsubscribe", uri)
	})
	w.tidy(scope.link(), uri, s)
	return err
}

// talk runs f while nobody else talks to the server about s.
func (u *Upstream) talk(ctx context.Context, s *subscription, f func() error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
		return f()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (w *wants) drop(key string, uri string, s *subscription) {
	w.mu.Lock()
	s.refs--
	w.mu.Unlock()
	w.tidy(key, uri, s)
}

// tidy forgets s if nobody wants it.
func (w *wants) tidy(key string, uri string, s *subscription) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.links[key]; x != nil && x.subs[uri] == s && s.refs == 0 {
		delete(x.subs, uri)
		if len(x.subs) == 0 && x.level == "" {
			delete(w.links, key)
		}
	}
}

// ask makes a call whose answer is empty.
func (u *Upstream) ask(ctx context.Context, scope Scope, method, uri string) error {
	c := &Call{Scope: scope, Request: *newRequest(method, uriParams(uri)), Method: method, Idempotent: true}
	ended := traced(ctx, c)
	m, err := u.Call(ctx, c)
	if err == nil && m.Kind == jsonrpc.Failure {
		err = newServerError(m)
	}
	ended(m, err)
	return err
}

func uriParams(uri string) []byte {
	return append(jsonrpc.AppendString([]byte(`{"uri":`), uri), '}')
}

// SetLevel asks for log messages of that level on the scope's link, now and
// whenever the link is made anew. A server without logging is not asked.
func (u *Upstream) SetLevel(ctx context.Context, scope Scope, level string) {
	u.wants.mu.Lock()
	u.wants.of(scope.link()).level = level
	u.wants.mu.Unlock()
	if l := u.peek(scope.link()); l != nil {
		u.sendLevel(ctx, l, level)
	}
}

func (u *Upstream) sendLevel(ctx context.Context, l *live, level string) {
	h := l.Hello().Capabilities
	if _, ok := jsonrpc.Lookup(h, jsonrpc.Whole(h), "logging"); !ok {
		return
	}
	params := append(jsonrpc.AppendString([]byte(`{"level":`), level), '}')
	if _, err := l.Do(ctx, onBehalf(ctx, newRequest("logging/setLevel", params))); err != nil && ctx.Err() == nil {
		u.set.o.Log.DebugContext(ctx, "log level not set", "upstream", u.name, "error", err)
	}
}

// levelTimeout is how long a new link may take to accept a log level before it
// is used without.
const levelTimeout = 2 * time.Second

// relevel asks a new link for the log level that is wanted on it and returns that
// when the server has answered, so that the first call on the link loses none of
// its lines.
func (u *Upstream) relevel(ctx context.Context, l *live) string {
	level := u.wants.level(l.scope.link())
	if level != "" {
		ctx, cancel := context.WithTimeout(ctx, levelTimeout)
		defer cancel()
		u.sendLevel(ctx, l, level)
	}
	return level
}

// level returns the log level that is wanted on the link of a scope.
func (w *wants) level(key string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if x := w.links[key]; x != nil {
		return x.level
	}
	return ""
}

// heard reports whether somebody wants the updates of a resource on the link of a
// scope.
func (w *wants) heard(key string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.links[key].heard()
}

// heard reports whether any resource's updates are wanted.
func (x *want) heard() bool {
	if x != nil {
		for _, s := range x.subs {
			if s.refs > 0 {
				return true
			}
		}
	}
	return false
}

// any reports whether somebody wants the updates of a resource.
func (w *wants) any() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, x := range w.links {
		if x.heard() {
			return true
		}
	}
	return false
}

// renew asks a new link, in a task, for what the last one was asked for, but for
// the log level that it was told already.
func (u *Upstream) renew(l *live, told string) {
	w := &u.wants
	w.mu.Lock()
	defer w.mu.Unlock()
	x := w.links[l.scope.link()]
	if x == nil {
		return
	}
	level := x.level
	var uris []string
	for uri, s := range x.subs {
		if s.refs > 0 {
			uris = append(uris, uri)
		}
	}
	timeout := u.Config().StartTimeout
	u.tasks.run(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		if level != told {
			u.sendLevel(ctx, l, level)
		}
		for _, uri := range uris {
			m, err := l.Do(ctx, newRequest("resources/subscribe", uriParams(uri)))
			if err == nil && m.Kind == jsonrpc.Failure {
				err = newServerError(m)
			}
			if err != nil {
				u.set.o.Log.Warn("subscription not renewed", "upstream", u.name, "uri", uri, "error", err)
			}
			var way *TransportError
			if errors.As(err, &way) && way.Lost || ctx.Err() != nil {
				return
			}
		}
	})
}

// Notify sends a notification on a link that is there; where there is none,
// there is nobody to tell, and nil is returned. Else the error is a
// *TransportError.
func (u *Upstream) Notify(ctx context.Context, scope Scope, raw []byte) error {
	if l := u.peek(scope.link()); l != nil {
		return l.Notify(ctx, raw)
	}
	return nil
}

// peek returns the link of a scope, nil if there is none.
func (u *Upstream) peek(key string) *live {
	if key == "" {
		return u.phase.Load().link
	}
	return u.pool.peek(key)
}

// Release says that the client session of that key is gone: its link, if it has
// one, is closed, and its subscriptions end. It does not block.
func (u *Upstream) Release(scopeKey string) {
	if scopeKey == "" {
		return
	}
	u.pool.release(scopeKey)
	u.wants.mu.Lock()
	defer u.wants.mu.Unlock()
	delete(u.wants.links, scopeKey)
}
