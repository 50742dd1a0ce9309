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
}

// NewDialer returns the Dialer that makes real links, by Config.Kind: child
// processes over stdio, remote servers over streamable HTTP or HTTP with SSE.
func NewDialer(o DialerOptions) (Dialer, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &dialer{log: o.Log}, nil
}

type dialer struct {
	log     *slog.Logger
	remotes remotes
}

func (d *dialer) Dial(ctx context.Context, x *Dial) (Link, error) {
	if x.Config.Kind() == HTTP {
		return d.dialHTTP(ctx, x)
	}
	return nil, &StartError{Stage: "spawn", Err: fmt.Errorf("transport %q is not supported", x.Config.Kind())}
}
