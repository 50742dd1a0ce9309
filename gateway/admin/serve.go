package admin

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// bodyTime is how long a request may take to arrive, with its body.
const bodyTime = 30 * time.Second

// Serve answers on l until ctx is done, then ends streams and waits, lets other
// requests finish for at most a second, ends the clients that are attached, closes
// l and returns nil, or the error that ended it before. It blocks until no
// connection is left.
func Serve(ctx context.Context, l *Listener, h http.Handler) error {
	attached, endAttached := context.WithCancel(context.WithoutCancel(ctx))
	took := &taken{ctx: attached}
	defer took.wait()
	defer endAttached()
	s := &http.Server{
		Handler:           guard(l.token, h),
		BaseContext:       took.within,
		ReadHeaderTimeout: 10 * time.Second,
		// It ends with the body: streams and waits may take any time.
		ReadTimeout:    bodyTime,
		IdleTimeout:    2 * time.Minute,
		MaxHeaderBytes: 64 << 10,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelDebug), // the endpoint's says it, once
		ConnContext: func(conn context.Context, c net.Conn) context.Context {
			return WithCaller(context.WithValue(conn, closingKey{}, ctx), l.caller(c))
		},
	}
	done := make(chan error, 1) // one value, so that the sender never waits
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(grace) != nil {
		_ = s.Close()
	}
	if err := <-done; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
