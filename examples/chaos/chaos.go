package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// options are what a run is made of. The seed and the length decide the faults.
type options struct {
	binary  string // the gateway's
	seed    uint64
	length  time.Duration
	gap     time.Duration // between faults, on average
	clients int
	think   time.Duration // between the calls of a client, on average
	// patience is how long a client waits for an answer.
	patience time.Duration
	// strict holds the run to its figures too, not to its outcomes alone.
	strict bool
	slow   int // as in drillOptions
	out    io.Writer
}

// callTimeout is that of the servers. A call waits for a slot or a start no longer
// than queueTimeout before it.
const callTimeout, queueTimeout = 3 * time.Second, time.Second

// witness is the server that nothing is done to: what happens to its calls is
// somebody else's fault.
const witness = "witness"

// run is one gateway with its peers, clients and faults.
type run struct {
	options
	gateway *gateway
	ledger  *ledger
	peers   []*peer // the last is the witness
	orders  sync.Mutex
	lists   figures // the times of lists
	calm    times   // of the witness's calls while there are no faults
	storm   times   // and while there are
	raging  chan struct{}
}

// chaos runs clients and faults against a gateway and returns the rows of the
// report, and an error that says which promises were broken.
func chaos(ctx context.Context, o options) (rows []*row, err error) {
	dir, err := os.MkdirTemp("", "il") // a unix socket's path is short
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	r := &run{options: o, ledger: newLedger(), raging: make(chan struct{})}
	if err := r.build(ctx, dir); err != nil {
		return nil, err
	}
	defer func() {
		for _, p := range r.peers {
			p.close()
		}
	}()
	defer r.gateway.close()
	if err := r.gateway.start(ctx); err != nil {
		return nil, err
	}
	broken := r.drive(ctx)
	took, stopped := r.gateway.stop()
	if stopped == nil && o.strict && took > 20*time.Second {
		stopped = fmt.Errorf("P5: TERM took %v", took)
	}
	var files []string
	for _, p := range r.peers {
		files = append(files, p.nonces)
	}
	if err := r.ledger.settle(files...); err != nil {
		return nil, err
	}
	rows = r.ledger.report()
	if o.strict {
		rows = append(rows, r.bars()...)
	}
	return rows, errors.Join(broken, stopped, r.ledger.err(), missed(rows))
}

// kinds are those of the ten servers that fail.
func kinds() []kind {
	four := []kind{{}, {remote: true}, {modern: true}, {remote: true, modern: true}}
	return slices.Concat(four, four, []kind{{}, {remote: true}})
}

// build makes the peers, the witness, and the gateway.
func (r *run) build(ctx context.Context, dir string) error {
	kinds := append(kinds(), kind{})
	upstreams := make(map[string]map[string]any)
	for i, k := range kinds {
		name := fmt.Sprintf("u%d", i)
		if i == len(kinds)-1 {
			name = witness
		}
		p, err := newPeer(ctx, dir, name, k)
		if err != nil {
			return err
		}
		r.peers = append(r.peers, p)
		upstreams[name] = with(p.config(), map[string]any{
			"required": true, "call_timeout": callTimeout.String(), "max_call_timeout": "10s", "start_timeout": "20s", "stop_timeout": "500ms",
			"limits":  map[string]any{"queue_timeout": queueTimeout.String()},
			"health":  map[string]any{"interval": "1s", "timeout": "1s"},
			"restart": map[string]any{"policy": "always", "delay": "200ms", "max_delay": "2s", "stable": "2s"},
		})
	}
	// A machine that stands still for a second is no fault of the gateway's.
	upstreams[witness] = with(upstreams[witness], map[string]any{
		"call_timeout": "30s", "limits": map[string]any{"queue_timeout": "30s"}, "health": map[string]any{"interval": "10s", "timeout": "5s"},
	})
	var err error
	r.gateway, err = newGateway(r.binary, dir, upstreams)
	return err
}

// drive has the clients call, without faults first, then with them, then until
// all is well again. The error says what of the gateway did not come back.
func (r *run) drive(ctx context.Context) error {
	schedule := schedule(r.seed, kinds(), r.length, r.gap)
	before, err := r.witnessed(ctx)
	if err != nil {
		return err
	}
	calling, end := context.WithCancel(ctx)
	defer end()
	web := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: r.clients}}
	var clients sync.WaitGroup
	for i := range r.clients {
		c := &client{name: fmt.Sprintf("c%d", i), url: "http://" + r.gateway.addr + "/mcp", modern: i%2 == 1, web: web, patience: r.patience}
		if err := c.connect(ctx); err != nil {
			return err
		}
		clients.Go(func() { r.call(calling, c, rand.New(rand.NewPCG(r.seed, uint64(i)))) })
	}
	wait(ctx, 2*time.Second)
	used, err := r.gateway.usage(ctx)
	if err != nil {
		return err
	}
	close(r.raging)
	began := time.Now()
	var injected sync.WaitGroup
	for _, e := range schedule {
		wait(ctx, e.At-time.Since(began))
		injected.Go(func() { r.inject(ctx, e) })
	}
	wait(ctx, r.length-time.Since(began))
	injected.Wait()
	end()
	clients.Wait()
	web.CloseIdleConnections()
	return errors.Join(r.recovered(ctx, before), r.back(ctx, used))
}

// inject makes one fault happen and returns when it is over.
func (r *run) inject(ctx context.Context, e event) {
	p := r.peers[e.Peer]
	end := p.begin(e.Kind)
	defer end()
	r.ledger.injected(e.Kind)
	kindOf(e.Kind).inject(ctx, r, p, e)
	wait(ctx, time.Second) // what it leaves behind is its own, too
}

// try gives an order. That it cannot be carried out may be due to other faults.
func (r *run) try(ctx context.Context, verb string, p *peer) {
	if _, err := r.gateway.ordered(ctx, verb, p.name); err != nil && ctx.Err() == nil {
		r.ledger.violation("%s %s: %v", verb, p.name, err)
	}
}

// reload changes the file and tells the gateway.
func (r *run) reload(_ context.Context, change func(map[string]map[string]any)) {
	check(r.gateway.write(change))
	reload(r.gateway.cmd.Process)
}

// spoil puts something else into the file, and then what was there.
func (r *run) spoil(with string) {
	check(r.gateway.replace([]byte(with)))
	reload(r.gateway.cmd.Process)
	check(r.gateway.write(nil))
	reload(r.gateway.cmd.Process)
}

// recovered blocks until a call of every peer is answered, and looks at the
// witness.
func (r *run) recovered(ctx context.Context, before upstream) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	c := &client{name: "after", url: "http://" + r.gateway.addr + "/mcp", modern: true, web: &http.Client{Transport: new(http.Transport)}, patience: r.patience}
	defer c.web.CloseIdleConnections()
	n := 0
	for _, p := range r.peers {
		if err := r.gateway.await(ctx, "well again at "+p.name, func() bool { n++; return r.once(ctx, c, p, n) == answered }); err != nil {
			return fmt.Errorf("%w\n%+v", err, r.gateway.upstreams(ctx)[p.name])
		}
	}
	now, err := r.witnessed(ctx)
	if err == nil && (now.PID != before.PID || now.Generation != before.Generation) {
		err = fmt.Errorf("P8: the witness was restarted: %+v, was %+v", now, before)
	}
	return err
}

// witnessed is what the gateway says of the witness, once it says anything.
func (r *run) witnessed(ctx context.Context) (u upstream, err error) {
	err = r.gateway.await(ctx, "telling of the witness", func() bool {
		u = r.gateway.upstreams(ctx)[witness]
		return u.PID != 0
	})
	return u, err
}

// back blocks until the gateway holds about what it held before the faults (P6).
func (r *run) back(ctx context.Context, before usage) error {
	return r.gateway.back(ctx, func(now usage) bool { return now.near(before) && now.Memory < 2*before.Memory+64<<20 }, before)
}

// bars are the figures of the promises that have one.
func (r *run) bars() []*row {
	storm, starved := r.storm.after(&r.calm)
	var worst time.Duration
	for _, w := range r.ledger.report() {
		worst = max(worst, w.Worst)
	}
	longest := queueTimeout + callTimeout + 1999*time.Millisecond // a reload may have made it 3.999s
	return []*row{
		bar("P1 answer", 0, worst, longest),
		bar("P4 others later", r.storm.through.count(), storm, r.allowed(50*time.Millisecond)),
		bar("P7 lists p99", r.lists.count(), r.lists.p99()-starved, r.allowed(100*time.Millisecond)),
	}
}

// allowed is how long something may take.
func (o *options) allowed(d time.Duration) time.Duration { return d * time.Duration(max(o.slow, 1)) }
