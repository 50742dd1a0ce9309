package upstream

import (
	"context"
	"errors"
	"net"
	"time"
)

// Knocker is a Dialer that can tell what little is needed to know that a remote
// is back, for much less than a handshake.
type Knocker interface {
	// Door finds the address of a remote, once, and returns a function that makes
	// a connection to it and ends it. The function blocks for that, and returns
	// nil if the connection was accepted, an error that wraps ErrRefused if there
	// is nobody there to accept it, and another error if that says nothing.
	Door(ctx context.Context, c *Config) (knock func(context.Context) error, err error)
}

// ErrRefused is a connection that a host refused: no server listens there.
var ErrRefused = errors.New("connection refused")

// A remote whose server ended is knocked at so often, at first and then, and for
// so long. One connection that is refused costs tens of microseconds.
const (
	knockFirst  = 5 * time.Millisecond
	knockOften  = time.Second
	knockPause  = 25 * time.Millisecond
	knockWindow = 5 * time.Second
	knockLimit  = time.Second
)

// knock waits for a remote whose server ended to be back, for knockWindow at
// most: servers are restarted, most often at once, and the pauses of restart are
// meant for what was tried. It reports whether the server accepts connections
// now. Being refused is no attempt. Whatever else is met ends the wait.
func (r *runner) knock(ctx context.Context) bool {
	k, ok := r.set.o.Dialer.(Knocker)
	if !ok {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, knockWindow)
	defer cancel()
	door, err := k.Door(ctx, r.Config())
	if err != nil {
		return false
	}
	for begun := time.Now(); ; {
		one, done := context.WithTimeout(ctx, knockLimit)
		err := door(one)
		done()
		pause := knockPause
		if time.Since(begun) < knockOften {
			pause = knockFirst
		}
		switch {
		case err == nil:
			return true
		case !errors.Is(err, ErrRefused) || sleep(ctx, pause) != nil:
			return false
		}
	}
}

// cutOff notes that a call or a probe met the end of the server rather than its
// word, if err says so.
func (u *Upstream) cutOff(err error) {
	if ended(err) {
		u.cut.Store(time.Now().UnixNano())
	}
}

// ended reports whether err is that of a connection that was not made or broke.
func ended(err error) bool {
	e, ok := errors.AsType[*TransportError](err)
	return ok && (e.Reason == "dial" || e.Reason == "write" || e.Reason == "reset")
}

// knockable reports whether a failure, which no attempt to mend followed yet, was
// the end of a remote's server.
func (r *runner) knockable(err error, now time.Time) bool {
	return r.Config().Kind() != Stdio && r.recovery.attempts == 0 && retryAfterOf(err) == 0 && r.gated(now) <= 0 &&
		(ended(err) || now.Sub(time.Unix(0, r.cut.Load())) < knockWindow)
}

// maxDoors is at how many addresses of one remote is knocked.
const maxDoors = 4

// Door implements Knocker. Behind a proxy nothing can be told.
func (d *dialer) Door(ctx context.Context, c *Config) (func(context.Context) error, error) {
	r, err := d.remotes.get(c)
	if err != nil {
		return nil, err
	}
	defer d.remotes.release(r)
	if r.proxied() {
		return nil, errors.New("the way is through a proxy")
	}
	port := r.url.Port()
	if port == "" {
		port = r.url.Scheme // package net knows it
	}
	hosts, err := net.DefaultResolver.LookupHost(ctx, r.url.Hostname())
	if err != nil {
		return nil, err
	}
	hosts = hosts[:min(len(hosts), maxDoors)]
	connect := r.connect
	return func(ctx context.Context) error {
		var first error
		for _, host := range hosts {
			conn, err := connect(ctx, "tcp", net.JoinHostPort(host, port))
			switch {
			case err == nil:
				conn.Close()
				return nil
			case !refused(err):
				return err
			case first == nil:
				first = errors.Join(ErrRefused, err)
			}
		}
		return first
	}, nil
}
