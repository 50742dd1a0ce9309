package main

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// killed measures how long the client that was there before the kill waits until
// its session is served again, with default settings. A child's floor is its own
// start; for a server over HTTP the clock begins when it is back.
func killed(upstream string) func(context.Context, *stage) ([]*way, error) {
	return func(_ context.Context, s *stage) ([]*way, error) {
		lock := &way{name: interlock}
		if upstream == "http" {
			lock.run = func(ctx context.Context, _ time.Duration) (figures, error) { return s.killRemote(ctx) }
			return []*way{lock}, nil
		}
		alone := &way{name: "the child alone"}
		alone.run = func(ctx context.Context, _ time.Duration) (figures, error) {
			return timed(servedMS, func() error { return s.startAlone(ctx) })
		}
		lock.run = func(ctx context.Context, _ time.Duration) (figures, error) { return s.killChild(ctx) }
		return []*way{alone, lock.over(alone.name)}, nil
	}
}

func (s *stage) killChild(ctx context.Context) (figures, error) {
	with, err := s.overStdio(1)
	if err != nil {
		return nil, err
	}
	lock, err := s.gateway(ctx, with)
	if err != nil {
		return nil, err
	}
	defer s.drop(lock.middle)
	callers, err := lock.connect(ctx, 1)
	if err != nil {
		return nil, err
	}
	c := callers[0]
	defer c.wire.close()
	pid := 0
	if err := c.once(func(c *caller, id int) error { pid, err = askPID(c, id); return err }); err != nil {
		return nil, err
	}
	return timed(servedMS, func() error {
		if err := killProcess(pid); err != nil {
			return err
		}
		return c.until(ctx, func(c *caller, id int) error { // the old one may answer at its end
			now, err := askPID(c, id)
			if err == nil && now == pid {
				err = &answerError{id: id, body: "by the process that was killed"}
			}
			return err
		})
	})
}

func (s *stage) killRemote(ctx context.Context) (figures, error) {
	address, err := s.address()
	if err != nil {
		return nil, err
	}
	up, err := again(ctx, role{name: "upstream-http", listen: address})
	if err != nil {
		return nil, err
	}
	defer func() { up.stop() }()
	lock, err := s.gateway(ctx, overHTTP(up.urls...))
	if err != nil {
		return nil, err
	}
	defer s.drop(lock.middle)
	callers, err := lock.connect(ctx, 1)
	if err != nil {
		return nil, err
	}
	c := callers[0]
	defer c.wire.close()
	if err := c.once(echo); err != nil {
		return nil, err
	}
	up.kill()
	down, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	err = c.until(down, echo)
	cancel()
	if err == nil {
		return nil, fmt.Errorf("a call was answered while its server was down")
	}
	if down.Err() == nil {
		return nil, err
	}
	if up, err = again(ctx, role{name: "upstream-http", listen: address}); err != nil {
		return nil, err
	}
	return timed(servedMS, func() error { return c.until(ctx, echo) })
}

// refused measures how long a client waits to be told that a server is down.
func refused(ctx context.Context, s *stage) ([]*way, error) {
	address, err := s.address()
	if err != nil {
		return nil, err
	}
	up, err := again(ctx, role{name: "upstream-http", listen: address})
	if err != nil {
		return nil, err
	}
	defer up.stop()
	lock, err := s.gateway(ctx, overHTTP(up.urls...))
	if err != nil {
		return nil, err
	}
	up.kill()
	callers, err := lock.connect(ctx, 1)
	if err != nil {
		return nil, err
	}
	defer callers[0].wire.close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := callers[0].until(ctx, refusal); err != nil {
		return nil, fmt.Errorf("the breaker does not open: %w", err)
	}
	lock.used = callers[0].next
	return []*way{lock.under(refusal, 1)}, nil
}

// refusal is a call that must be answered by a breaker that is open. Once a try
// to come back has failed, that is the reason that is told.
func refusal(c *caller, id int) error {
	c.begin(id, "echo")
	res, err := c.send(id, `"message":"x"}}}`)
	if err != nil {
		return err
	}
	told := bytes.Contains(res.body, []byte(`"reason":"breaker_open"`)) || bytes.Contains(res.body, []byte(`"reason":"error"`))
	if !told || !bytes.Contains(res.body, []byte(`"executed":"no"`)) {
		return wrong(id, res)
	}
	return nil
}
