package upstream

import (
	"context"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// instant is a link that answers at once, and its own Dialer.
type instant struct {
	lost   chan struct{}
	answer jsonrpc.Message
}

func (l *instant) Dial(context.Context, *Dial) (Link, error) { return l, nil }
func (l *instant) Do(context.Context, *Request) (jsonrpc.Message, error) {
	return l.answer, nil
}
func (l *instant) Notify(context.Context, []byte) error { return nil }
func (l *instant) Hello() *Hello                        { return new(Hello) }
func (l *instant) Lost() <-chan struct{}                { return l.lost }
func (l *instant) Err() error                           { return nil }
func (l *instant) Close(context.Context) StopKind       { return Graceful }

// BenchmarkCall is what a call costs besides its link, with a closed breaker.
func BenchmarkCall(b *testing.B) {
	l := &instant{lost: make(chan struct{})}
	l.answer, _ = jsonrpc.ParseServer([]byte(`{"jsonrpc":"2.0","id":1,"result":{}}`))
	set := NewSet(Options{Dialer: l})
	c := Defaults()
	c.Name, c.Command = "a", "x"
	if _, err := set.Apply([]Config{c}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error)
	go func() { over <- set.Run(ctx) }()
	u := set.Upstream("a")
	if err := u.Start(ctx); err != nil {
		b.Fatal(err)
	}
	call := &Call{Request: *newRequest("tools/call", []byte(`{"name":"x"}`)), Method: "tools/call"}
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		ctx, cancel := context.WithCancel(ctx) // a client's own, as in life
		defer cancel()
		for p.Next() {
			if _, err := u.Call(ctx, call); err != nil {
				b.Error(err)
				return
			}
		}
	})
	cancel()
	<-over
}
