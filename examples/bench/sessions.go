package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"sync"
	"time"
)

// openSessions begins n sessions over a few connections and returns their ids.
func openSessions(ctx context.Context, at string, n int) ([]string, error) {
	const connections = 8
	ids := make([]string, n)
	errs := make([]error, connections)
	var wg sync.WaitGroup
	for i := range connections {
		wg.Go(func() {
			w, err := dial(ctx, []target{{url: at}})
			if err != nil {
				errs[i] = err
				return
			}
			defer w.close()
			for k := i; k < n && ctx.Err() == nil; k += connections {
				w.enter("")
				if ids[k], err = begin(w); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	return ids, errors.Join(errors.Join(errs...), ctx.Err())
}

// idleSessions measures what sessions that do nothing hold, in a gateway that
// has served calls before.
func idleSessions(numbers []int) func(context.Context, *stage) ([]*way, error) {
	return func(ctx context.Context, s *stage) ([]*way, error) {
		up, err := s.start(ctx, role{name: "upstream-http"})
		if err != nil {
			return nil, err
		}
		var ways []*way
		for _, n := range numbers {
			w := &way{name: fmt.Sprintf("%d sessions", n)}
			w.run = func(ctx context.Context, d time.Duration) (figures, error) {
				lock, err := s.gateway(ctx, overHTTP(up.urls...))
				if err != nil {
					return nil, err
				}
				defer s.drop(lock.middle)
				if _, err := lock.pour(ctx, echo, 8, min(d, 300*time.Millisecond)); err != nil {
					return nil, err
				}
				before, err := anonymous(lock.middle.pid())
				if err != nil {
					return nil, err
				}
				if _, err := openSessions(ctx, lock.middle.urls[0], n); err != nil {
					return nil, err
				}
				after, err := anonymous(lock.middle.pid())
				return figures{perSession: (after - before) * 1024 / float64(n), anonMiB: after}, err
			}
			ways = append(ways, w)
		}
		return ways, nil
	}
}

// fanOut opens n streams in sessions of their own, has the upstream change its
// list, and waits until each stream has been told.
func fanOut(n int) func(context.Context, *stage) ([]*way, error) {
	return func(ctx context.Context, s *stage) ([]*way, error) {
		with, err := s.overStdio(1)
		if err != nil {
			return nil, err
		}
		lock, err := s.gateway(ctx, with)
		if err != nil {
			return nil, err
		}
		before, err := children(lock.middle.pid())
		if err != nil {
			return nil, err
		}
		ids, err := openSessions(ctx, lock.middle.urls[0], n)
		if err != nil {
			return nil, err
		}
		if after, err := children(lock.middle.pid()); err != nil || after != before {
			return nil, fmt.Errorf("%d sessions took the gateway from %d to %d children (%w)", n, before, after, err)
		}
		told := make(chan time.Time, n) // one for each stream that was told of a change
		for _, id := range ids {
			if err := openStream(ctx, lock.middle.urls[0], id, told); err != nil {
				return nil, err
			}
		}
		w := &way{name: interlock, middle: lock.middle, targets: lock.targets}
		w.run = func(ctx context.Context, _ time.Duration) (figures, error) { return w.change(ctx, n, told) }
		return []*way{w}, nil
	}
}

func (w *way) change(ctx context.Context, n int, told <-chan time.Time) (figures, error) {
	callers, err := w.connect(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer callers[0].wire.close()
	w.used++
	m, err := watch(ctx, w.middle)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	if err := callers[0].once(change); err != nil {
		return nil, err
	}
	var l load
	late := time.NewTimer(patience)
	defer late.Stop()
	for range n {
		select {
		case at := <-told:
			l.latencies = append(l.latencies, at.Sub(began))
		case <-late.C:
			return nil, fmt.Errorf("%d of %d streams were told of the change", len(l.latencies), n)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	slices.Sort(l.latencies)
	f := figures{p50: quantile(l.latencies, 0.5), lastMS: quantile(l.latencies, 1) / 1000}
	if err := m.done(ctx, f, n); err != nil {
		return nil, err
	}
	return f, nil
}

// openStream opens the standing stream of a session and has its reader say when
// a list change came. It ends with ctx or with the server.
func openStream(ctx context.Context, at, session string, told chan<- time.Time) error {
	u, err := url.Parse(at)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { conn.Close() })
	if _, err := conn.Write(append(head("GET", u, session), "\r\n"...)); err != nil {
		return err
	}
	opened := make(chan error, 1)
	go func() {
		defer conn.Close()
		is := false // open
		b := make([]byte, 0, 1024)
		for {
			got, err := conn.Read(b[len(b):cap(b)])
			if err != nil {
				if !is {
					opened <- err
				}
				return
			}
			b = b[:len(b)+got]
			if i := bytes.Index(b, []byte("\r\n\r\n")); !is && i >= 0 {
				if !bytes.HasPrefix(b, []byte("HTTP/1.1 200")) {
					opened <- fmt.Errorf("GET: %.100s", b)
					return
				}
				is = true
				opened <- nil
				b = b[:copy(b, b[i:])]
			}
			if i := bytes.Index(b, []byte("tools/list_changed")); i >= 0 {
				told <- time.Now()
				b = b[:copy(b, b[i+len("tools/list_changed"):])]
			}
			if len(b) > cap(b)/2 {
				b = b[:copy(b, b[len(b)-64:])]
			}
		}
	}()
	return <-opened
}
