package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// clientDrills are faults of clients, and of the gateway under them.
func clientDrills() []drill {
	return []drill{
		{fault: "F21", run: cancels, sick: failing(1, kind{}, nil)},
		{fault: "F22", run: goners, sick: failing(1, kind{}, nil)},
		{fault: "F25", run: slowReaders, sick: failing(1, kind{}, nil)},
		{fault: "F33", run: restartedUnder, ends: true, sick: failing(2, kind{}, nil)},
	}
}

// cancels: 10,000 calls are cancelled before, during and with their answer.
func cancels(ctx context.Context, s *stand) error {
	before, err := s.gateway.usage(ctx)
	if err != nil {
		return err
	}
	p := s.sick[0]
	if err := s.crowd(ctx, 32, 500*s.times, func(ctx context.Context, c *client, n int) {
		calling, stop := context.WithTimeout(ctx, c.patience)
		defer stop()
		e := entry{nonce: fmt.Sprintf("%s.%d", c.name, n), fault: s.row.Fault}
		body, id, name := c.nonceCall(p, e.nonce, false)
		var work sync.WaitGroup
		work.Go(func() {
			wait(ctx, time.Duration(n%5)*time.Millisecond)
			_ = c.cancel(ctx, id)
		})
		began := time.Now()
		all, err := c.exchange(calling, body, "tools/call", name)
		work.Wait()
		s.ledger.judge(e, id, all, time.Since(began), err, true)
	}); err != nil {
		return err
	}
	// How soon a server hears of it.
	c, err := s.legacy(ctx, "slow")
	if err != nil {
		return err
	}
	var worst time.Duration
	for range s.times {
		heard := p.lines("events")
		calling, leave := context.WithCancel(ctx)
		over := make(chan struct{})
		go func() {
			defer close(over)
			_, _ = s.tool(calling, c, p, "hold", `{}`, true)
		}()
		wait(ctx, 50*time.Millisecond)
		began := time.Now()
		_ = c.cancel(ctx, c.last)
		err := s.gateway.await(ctx, "told of a cancel", func() bool { return p.lines("events") > heard })
		worst = max(worst, time.Since(began))
		leave()
		<-over
		if err != nil {
			return err
		}
	}
	s.within("told after", worst, 120*time.Millisecond) // of which 20 are our own looking
	if b := s.gateway.upstreams(ctx)[p.name].Breaker; b != "closed" {
		s.missed("the breaker is %s", b)
	}
	return s.back(ctx, before)
}

// crowd has clients make so many calls together.
func (s *stand) crowd(ctx context.Context, clients, calls int, call func(ctx context.Context, c *client, n int)) error {
	var made atomic.Int64
	var work sync.WaitGroup
	defer work.Wait()
	for i := range clients {
		c, err := s.legacy(ctx, fmt.Sprintf("s%d", i))
		if err != nil {
			return err
		}
		work.Go(func() {
			for n := made.Add(1); n <= int64(calls); n = made.Add(1) {
				call(ctx, c, int(n))
			}
		})
	}
	work.Wait()
	s.row.Injected += calls
	return nil
}

// back blocks until the gateway holds what it held before (P6).
func (s *stand) back(ctx context.Context, before usage) error {
	s.web.CloseIdleConnections()
	return s.gateway.back(ctx, func(now usage) bool { return now.near(before) }, before)
}

// goners: 5,000 clients go in the middle of a call.
func goners(ctx context.Context, s *stand) error {
	before, err := s.gateway.usage(ctx)
	if err != nil {
		return err
	}
	p := s.sick[0]
	end := p.begin("slow", "slow=50")
	defer end()
	if err := s.crowd(ctx, 64, 250*s.times, func(ctx context.Context, c *client, n int) {
		calling, leave := context.WithTimeout(ctx, time.Duration(n%40)*time.Millisecond)
		defer leave()
		e := entry{nonce: fmt.Sprintf("%s.%d", c.name, n), fault: s.row.Fault}
		body, id, name := c.nonceCall(p, e.nonce, n%2 == 0)
		began := time.Now()
		all, err := c.exchange(calling, body, "tools/call", name)
		s.ledger.judge(e, id, all, time.Since(began), err, true)
	}); err != nil {
		return err
	}
	if err := s.back(ctx, before); err != nil {
		return err
	}
	now, err := s.gateway.usage(ctx)
	s.atMost("goroutines more", now.Goroutines-before.Goroutines, 20)
	return err
}

// slowReaders: 200 clients that read 1 KB/s of an answer of 4 MB.
func slowReaders(ctx context.Context, s *stand) error {
	p, before := s.sick[0], usage{}
	most, err := s.memory(ctx, func() (err error) {
		if before, err = s.gateway.usage(ctx); err != nil {
			return err
		}
		var work sync.WaitGroup
		reading, stop := context.WithTimeout(ctx, time.Duration(s.times)*time.Second)
		defer stop()
		for i := range 200 {
			c, err := s.legacy(ctx, fmt.Sprintf("r%d", i))
			if err != nil {
				return err
			}
			s.row.Injected++
			work.Go(func() { s.sip(reading, c, p) })
		}
		work.Wait()
		return nil
	})
	if err != nil {
		return err
	}
	s.atMost("MiB more", int(most>>20), 200*s.slow)
	return s.back(ctx, before)
}

// sip calls for a large answer and reads little of it.
func (s *stand) sip(ctx context.Context, c *client, p *peer) {
	web := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4096)
		}
		return conn, err
	}}}
	defer web.CloseIdleConnections()
	own := *c
	own.web = web
	body, _ := own.request("tools/call", fmt.Sprintf(`"name":%q,"arguments":{"bytes":4000000}`, p.name+"__big"), false)
	res, err := own.post(ctx, body, "", "")
	if err != nil {
		return // it is one of those that were cut off
	}
	defer res.Body.Close()
	for {
		if _, err := io.CopyN(io.Discard, res.Body, 1024); err != nil {
			return
		}
		wait(ctx, time.Second)
	}
}

// restartedUnder stops, or kills, and starts the gateway under clients that have
// sessions: each goes on with its own.
func restartedUnder(ctx context.Context, s *stand) error {
	clients, err := s.connected(ctx, 32)
	if err != nil {
		return err
	}
	lost := 0
	for n := range s.times {
		s.row.Injected++
		if n%2 == 0 {
			if _, err := s.gateway.stop(); err != nil {
				return err
			}
		} else {
			_ = s.gateway.cmd.Process.Kill()
			<-s.gateway.exited
		}
		s.web.CloseIdleConnections()
		if err := s.gateway.start(ctx); err != nil {
			return err
		}
		if err := s.all(func(p *peer) error { return s.state(ctx, p, "running") }); err != nil {
			return err
		}
		for i, c := range clients {
			if s.sickCall(ctx, c, s.sick[i%2], n) != answered {
				lost++
			}
		}
	}
	s.exactly("clients lost", lost, 0)
	_, err = s.gateway.stop()
	return err
}

// listen opens the standing stream of a client; each message of a method on it
// goes to the channel.
func (s *stand) listen(ctx context.Context, c *client, method string) (<-chan struct{}, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	req.Header.Set("Mcp-Session-Id", c.session)
	req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	res, err := c.web.Do(req) //nolint:bodyclose // it is, by the goroutine that reads it
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		res.Body.Close()
		return nil, errors.New("no stream but " + res.Status)
	}
	told := make(chan struct{}, 1000)
	go func() {
		defer res.Body.Close()
		_ = eachEvent(res.Body, func(m message) {
			if m.Method == method {
				told <- struct{}{}
			}
		})
	}()
	return told, nil
}
