package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// call makes one client call until ctx is done: mostly the tool nonce of some
// peer, lists now and then, and some calls that it gives up.
func (r *run) call(ctx context.Context, c *client, rng *rand.Rand) {
	for n := 0; ctx.Err() == nil; n++ {
		p := r.peers[rng.IntN(len(r.peers))]
		switch dice := rng.IntN(100); {
		case dice < 5:
			r.list(ctx, c)
		case dice < 10:
			r.giveUp(ctx, c, p, n, time.Duration(rng.IntN(50))*time.Millisecond)
		default:
			r.once(ctx, c, p, n)
		}
		wait(ctx, time.Duration(rng.ExpFloat64()*float64(r.think)))
	}
}

// nonceCall is the next call of the tool nonce.
func (c *client) nonceCall(p *peer, nonce string, token bool) (body string, id int, name string) {
	name = p.name + "__nonce"
	body, id = c.request("tools/call", fmt.Sprintf(`"name":%q,"arguments":{"nonce":%q}`, name, nonce), token)
	return body, id, name
}

// once calls the n-th nonce of a client at p and enters the outcome. The end of
// ctx does not cut it.
func (r *run) once(ctx context.Context, c *client, p *peer, n int) verdict {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.patience)
	defer cancel()
	e := entry{nonce: fmt.Sprintf("%s.%d", c.name, n), fault: p.fault()}
	body, id, name := c.nonceCall(p, e.nonce, n%2 == 0)
	began := time.Now()
	all, err := c.exchange(ctx, body, "tools/call", name)
	took := time.Since(began)
	said := r.ledger.judge(e, id, all, took, err, false)
	if p.name == witness {
		if said != answered {
			r.ledger.violation("P8: a call to the witness was not answered by it: %+v", all)
		}
		to := r.figure()
		to.through.add(took)
		began = time.Now()
		r.gateway.status(ctx, "http://"+r.peers[1].web.Addr)
		to.direct.add(time.Since(began))
	}
	return said
}

// figure is where the times of the witness belong now.
func (r *run) figure() *times {
	select {
	case <-r.raging:
		return &r.storm
	default:
		return &r.calm
	}
}

// giveUp calls and, after a while, cancels or goes away.
func (r *run) giveUp(ctx context.Context, c *client, p *peer, n int, after time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.patience)
	defer cancel()
	e := entry{nonce: fmt.Sprintf("%s.%d", c.name, n), fault: p.fault()}
	body, id, name := c.nonceCall(p, e.nonce, n%2 == 0)
	began := time.Now()
	calling, leave := context.WithCancel(ctx)
	defer leave()
	var leaving sync.WaitGroup
	leaving.Go(func() {
		wait(calling, after)
		if c.modern || n%2 == 0 {
			leave()
		} else if err := c.cancel(ctx, id); err != nil {
			r.ledger.violation("P1: the cancel of %s: %v", e.nonce, err)
		}
	})
	all, err := c.exchange(calling, body, "tools/call", name)
	leave()
	leaving.Wait()
	r.ledger.judge(e, id, all, time.Since(began), err, true)
}

// list asks for the tools. The witness's are always there.
func (r *run) list(ctx context.Context, c *client) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.patience)
	defer cancel()
	body, _ := c.request("tools/list", "", false)
	began := time.Now()
	all, err := c.exchange(ctx, body, "tools/list", "")
	r.lists.add(time.Since(began))
	if err != nil || len(all) != 1 || all[0].Result == nil {
		r.ledger.violation("P7: a list was answered %+v, %v", all, err)
		return
	}
	for _, t := range all[0].Result.Tools {
		if t.Name == witness+"__nonce" {
			return
		}
	}
	r.ledger.violation("P7: the witness was not listed")
}

// figures are durations. It is safe for concurrent use.
type figures struct {
	mu  sync.Mutex // guards all
	all []time.Duration
}

func (f *figures) add(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, d)
}

// p99 is the duration below which 99 % of all are, 0 if there are none.
func (f *figures) p99() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.all) == 0 {
		return 0
	}
	slices.Sort(f.all)
	return f.all[min(len(f.all)*99/100, len(f.all)-1)]
}

func (f *figures) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.all)
}
