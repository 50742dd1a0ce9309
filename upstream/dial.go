package upstream

import (
	"context"
	"fmt"
	"log/slog"
)

// DialerOptions is what all links share.
type DialerOptions struct {
	// Log may be nil for none.
	Log *slog.Logger
	// Watcher, if not nil, sees to it that no child process outlives this one.
	Watcher *Watcher
}

// NewDialer returns the Dialer that makes real links, by Config.Kind: child
// processes over stdio, remote servers over streamable HTTP or HTTP with SSE.
func NewDialer(o DialerOptions) (Dialer, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &dialer{log: o.Log, children: newReaper(o.Log, o.Watcher)}, nil
}

type dialer struct {
	log      *slog.Logger
	children *reaper
	remotes  remotes
}

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
