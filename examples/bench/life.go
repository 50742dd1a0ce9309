package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"
)

// coldStart measures the time to a complete list from nothing: no state of an
// earlier run, and clients that come as soon as there is a port. Its floor is
// what five such servers need when bench itself starts them.
func coldStart(_ context.Context, s *stage) ([]*way, error) {
	const servers = 5
	alone := &way{name: "five servers alone"}
	alone.run = func(ctx context.Context, _ time.Duration) (figures, error) {
		return timed(coldMS, func() error {
			errs := make([]error, servers)
			var wg sync.WaitGroup
			for i := range servers {
				wg.Go(func() { errs[i] = s.startAlone(ctx) })
			}
			wg.Wait()
			return errors.Join(errs...)
		})
	}
	lock := &way{name: interlock, floor: alone.name}
	lock.run = func(ctx context.Context, _ time.Duration) (figures, error) {
		with, err := s.overStdio(servers)
		if err != nil {
			return nil, err
		}
		var p *party
		defer func() {
			if p != nil {
				s.drop(p)
			}
		}()
		asked := 0
		f, err := timed(coldMS, func() error {
			if p, err = s.launch(ctx, with); err != nil {
				return err
			}
			w, err := dialSoon(ctx, p.urls[0])
			if err != nil {
				return fmt.Errorf("interlock serve: %w\n%s", err, &p.log)
			}
			defer w.close()
			if _, err := begin(w); err != nil {
				return err
			}
			c := &caller{wire: w, targets: []target{{}}, next: 1}
			return c.until(ctx, func(c *caller, id int) error {
				asked++
				return listed(servers*len(ownTools))(c, id)
			})
		})
		f[shortLists] = float64(asked - 1)
		return f, err
	}
	return []*way{alone, lock}, nil
}

// startAlone starts a stdio server and has its list.
func (s *stage) startAlone(ctx context.Context) error {
	p, err := again(ctx, role{name: "upstream-stdio"})
	if err != nil {
		return err
	}
	defer p.stop()
	w := &pipeWire{p: p, in: p.out}
	c := &caller{wire: w, targets: []target{{}}, next: 1}
	return c.once(listed(len(ownTools)))
}

// timed has the time that f took as a metric, in milliseconds.
func timed(metric string, f func() error) (figures, error) {
	began := time.Now()
	err := f()
	return figures{metric: float64(time.Since(began)) / float64(time.Millisecond)}, err
}

// dialSoon connects as soon as somebody listens.
func dialSoon(ctx context.Context, url string) (*httpWire, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		w, err := dial(ctx, []target{{url: url}})
		if err == nil || ctx.Err() != nil {
			return w, err
		}
		wait(ctx, 200*time.Microsecond)
	}
}

// memories measures gateways that have done nothing but start and list once.
func memories(numbers []int) func(context.Context, *stage) ([]*way, error) {
	return func(ctx context.Context, s *stage) ([]*way, error) {
		const tools = 20
		up, err := s.start(ctx, role{name: "upstream-http", tools: tools})
		if err != nil {
			return nil, err
		}
		var ways []*way
		for _, n := range numbers {
			w := &way{name: fmt.Sprintf("%d upstreams", n)}
			w.run = func(ctx context.Context, _ time.Duration) (figures, error) {
				var urls []string
				for i := range n {
					urls = append(urls, fmt.Sprintf("%s/%d", up.urls[0], i))
				}
				lock, err := s.gateway(ctx, overHTTP(urls...))
				if err != nil {
					return nil, err
				}
				defer s.drop(lock.middle)
				if _, err := lock.pour(ctx, listed(n*tools), 1, time.Nanosecond); err != nil {
					return nil, err
				}
				pid := lock.middle.pid()
				anon, err := anonymous(pid)
				if err != nil {
					return nil, err
				}
				all, err := resident(pid)
				return figures{anonMiB: anon, rss: all}, err
			}
			ways = append(ways, w)
		}
		return ways, nil
	}
}

// until asks every now and then and returns once the answer is the right one.
func (c *caller) until(ctx context.Context, a ask) error {
	for ctx.Err() == nil {
		err := c.once(a)
		if err == nil {
			return nil
		}
		if _, ok := errors.AsType[*answerError](err); !ok {
			return err
		}
		wait(ctx, 500*time.Microsecond)
	}
	return ctx.Err()
}

// askPID asks a server for its process id.
func askPID(c *caller, id int) (int, error) {
	c.begin(id, "pid")
	res, err := c.send(id, `"message":""}}}`)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(string(bytes.Trim(value(res.body, `"text":`), `"`)))
	if err != nil || pid < 2 {
		return 0, wrong(id, res)
	}
	return pid, nil
}

// killProcess is kill -9.
func killProcess(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}
