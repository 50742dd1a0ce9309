package gateway

import (
	"context"

	"github.com/interlock-mcp/interlock/upstream"
)

// verb is what an operator orders.
type verb string

const (
	verbStart   verb = "start"
	verbStop    verb = "stop"
	verbKill    verb = "kill"
	verbRestart verb = "restart"
)

// given is an order to one upstream.
type given struct {
	Name       string
	With, Left []string
	do         func(context.Context) error
}

// Wait blocks for the outcome.
func (x *given) Wait(ctx context.Context) error { return x.do(ctx) }

// give gives orders without waiting.
func (g *Gateway) give(v verb, names []string) []*given {
	now, cancel := context.WithCancel(context.Background())
	cancel()
	var out []*given
	for _, name := range names {
		u := g.set.Upstream(name)
		if u == nil {
			continue
		}
		do := map[verb]func(*upstream.Upstream, context.Context) error{
			verbStart: (*upstream.Upstream).Start, verbStop: (*upstream.Upstream).Stop,
			verbKill: (*upstream.Upstream).Stop, verbRestart: (*upstream.Upstream).Restart,
		}[v]
		_ = do(u, now) // the order is given; its outcome is Wait's
		out = append(out, &given{Name: name, do: func(ctx context.Context) error {
			if v == verbRestart {
				return u.Start(ctx)
			}
			return do(u, ctx)
		}})
	}
	return out
}
