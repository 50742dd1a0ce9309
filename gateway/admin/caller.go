package admin

import (
	"context"
	"net"
)

// Caller is who sent a request.
type Caller struct {
	// Who is for logs: "uid 1000" on a unix socket where the system tells it, else
	// "socket"; "token" over TCP.
	Who string
	// Socket says that the request came over the unix socket, whose caller may run
	// programs as the gateway's user anyway.
	Socket bool
}

type callerKey struct{}

// CallerOf returns who asked, the zero Caller if that was no request of the API.
func CallerOf(ctx context.Context) Caller {
	c, _ := ctx.Value(callerKey{}).(Caller)
	return c
}

// WithCaller returns ctx with who asks.
func WithCaller(ctx context.Context, c Caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// caller is who is at the other end of a connection that l accepted.
func (l *Listener) caller(c net.Conn) Caller {
	if l.socket == "" {
		return Caller{Who: "token"}
	}
	who := "socket"
	if u, ok := c.(*net.UnixConn); ok {
		if name := peer(u); name != "" {
			who = name
		}
	}
	return Caller{Who: who, Socket: true}
}

type closingKey struct{}

// closing returns the context that ends with the API's server. Streams and waits
// end by it.
func closing(ctx context.Context) context.Context {
	if c, ok := ctx.Value(closingKey{}).(context.Context); ok {
		return c
	}
	return context.WithoutCancel(ctx)
}
