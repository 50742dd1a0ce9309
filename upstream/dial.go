package upstream

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// DialerOptions is what all links share.
type DialerOptions struct {
	// Log may be nil for none.
	Log *slog.Logger
	// Watcher, if not nil, sees to it that no child process outlives this one.
	Watcher *Watcher
	// StateDir is where it is kept which containers there are, "" for nowhere: then
	// those that a killed gateway leaves are not found by the next one.
	StateDir string
	// Credentials, if not nil, returns what gives the requests to a remote upstream
	// their Authorization, for a principal ("" for the gateway itself); nil for
	// nothing.
	Credentials func(c *Config, principal string) oauth.Source
}

// NewDialer returns the Dialer that makes real links, by Config.Kind: child
// processes over stdio, remote servers over streamable HTTP or HTTP with SSE.
func NewDialer(o DialerOptions) (Dialer, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	children := newReaper(o.Log, o.Watcher)
	children.containers = newContainers(o.Log, o.StateDir, children.instance)
	return &dialer{log: o.Log, children: children, credentials: o.Credentials}, nil
}

type dialer struct {
	log         *slog.Logger
	children    *reaper
	remotes     remotes
	credentials func(*Config, string) oauth.Source // nil for none
}

// Sweep implements Sweeper: it removes the containers that killed gateways left.
func (d *dialer) Sweep(ctx context.Context) { d.children.containers.sweep(ctx) }

// Dial implements Dialer.
func (d *dialer) Dial(ctx context.Context, x *Dial) (Link, error) {
	switch x.Config.Kind() {
	case Stdio:
		return dialStdio(ctx, x, d.children)
	case HTTP:
		return d.dialHTTP(ctx, x)
	case SSE:
		return d.dialSSE(ctx, x)
	}
	return nil, &StartError{Stage: "spawn", Err: fmt.Errorf("transport %q is not supported", x.Config.Kind())}
}
