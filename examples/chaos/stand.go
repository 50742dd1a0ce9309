package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"
)

// drill is one fault, again and again, by itself.
type drill struct {
	fault string // its row in docs/faults.md
	// sick makes the servers that fail; the gateway starts with them.
	sick func(s *stand) error
	// run injects the fault s.times times and fills s.row.
	run func(ctx context.Context, s *stand) error
	// spare, if not 0, is how much later others' calls may be at p99; by default
	// 50ms. many is for faults of 20 servers at once, whose processes alone keep
	// every processor busy: P4 is of one server's trouble.
	spare time.Duration
	// ends says that run ends the gateway itself.
	ends bool
}

const many = time.Hour

// stand is what a drill runs on: a gateway, the servers that fail, and beside
// them servers that are well, under load.
type stand struct {
	drillOptions

	dir       string
	gateway   *gateway
	ledger    *ledger
	sick      []*peer
	well      []*peer
	upstreams map[string]map[string]any
	web       *http.Client
	row       *row
	clients   int
}

// drillOptions are those of all drills.
type drillOptions struct {
	binary string
	times  int // how often a fault is injected
	beside int // how many servers are well beside it
	// slow is what times may be multiplied by: a gateway with the race detector
	// takes so much longer.
	slow int
}

// drills are all there are.
func drills() []drill {
	return slices.Concat(processDrills(), answerDrills(), networkDrills(), clientDrills())
}

// practise runs the drills that are named, or all, each alone and beside eight
// servers that are well. It tells each row as it comes and returns them all; the
// error says which promises were broken and which bars were missed.
func (o drillOptions) practise(ctx context.Context, names []string, tell func(*row)) (rows []*row, err error) {
	for _, d := range drills() {
		if len(names) > 0 && !slices.Contains(names, d.fault) {
			continue
		}
		for _, o.beside = range []int{0, 8} {
			r, broken := o.drilled(ctx, d)
			if err = errors.Join(err, broken); r != nil {
				rows = append(rows, r)
				tell(r)
			}
		}
	}
	if rows == nil && err == nil {
		err = fmt.Errorf("no drill is called %q", names)
	}
	return rows, errors.Join(err, missed(rows))
}

// drilled runs one drill and returns its row.
func (o drillOptions) drilled(ctx context.Context, d drill) (*row, error) {
	dir, err := os.MkdirTemp("", "il")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	s := &stand{
		drillOptions: o, dir: dir, ledger: newLedger(), upstreams: make(map[string]map[string]any),
		web: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 256}}, row: &row{Fault: d.fault + " alone"},
	}
	if o.beside > 0 {
		s.row.Fault = fmt.Sprintf("%s beside %d", d.fault, o.beside)
	}
	defer s.close()
	if err := s.begin(ctx, d); err != nil {
		return nil, fmt.Errorf("%s: %w", s.row.Fault, err)
	}
	held, err := s.gateway.usage(ctx)
	if err != nil {
		return nil, err
	}
	late, lists, err := s.load(ctx, d)
	if err == nil && !d.ends {
		err = s.back(ctx, held)
	}
	if !d.ends {
		_, stopped := s.gateway.stop()
		err = errors.Join(err, stopped)
	}
	if err == nil {
		err = s.settle()
	}
	spare := 50 * time.Millisecond
	if d.spare > 0 {
		spare = d.spare
	}
	if late > time.Duration(o.slow)*spare {
		s.missed("others %v later at p99", late.Round(time.Millisecond))
	}
	if lists > time.Duration(o.slow)*100*time.Millisecond && d.spare != many {
		s.missed("lists %v at p99", lists.Round(time.Millisecond))
	}
	if err = errors.Join(err, s.ledger.err()); err != nil {
		err = fmt.Errorf("%s: %w", s.row.Fault, err)
	}
	return s.row, err
}

// begin makes the servers and starts the gateway.
func (s *stand) begin(ctx context.Context, d drill) error {
	for i := range s.beside {
		p, err := s.add(ctx, fmt.Sprintf("well%d", i), kind{remote: i%2 == 1, modern: i%4 > 1}, nil)
		if err != nil {
			return err
		}
		s.upstreams[p.name]["required"] = true
		s.well = append(s.well, p)
	}
	if err := d.sick(s); err != nil {
		return err
	}
	var err error
	if s.gateway, err = newGateway(s.binary, s.dir, s.upstreams); err != nil {
		return err
	}
	return s.gateway.start(ctx)
}

// add makes a server with more keys in its entry.
func (s *stand) add(ctx context.Context, name string, k kind, keys map[string]any, modes ...string) (*peer, error) {
	p, err := newPeer(ctx, s.dir, name, k, modes...)
	if err != nil {
		return nil, err
	}
	s.upstreams[name] = with(p.config(), map[string]any{
		"call_timeout": "5s", "start_timeout": "20s", "stop_timeout": "500ms",
		"restart": map[string]any{"policy": "always", "delay": "10ms", "max_delay": "50ms", "stable": "10ms"},
	})
	maps.Copy(s.upstreams[name], keys)
	return p, nil
}

// fail adds so many servers that fail, u0 and on.
func (s *stand) fail(n int, k kind, keys map[string]any, modes ...string) error {
	for range n {
		p, err := s.add(context.Background(), fmt.Sprintf("u%d", len(s.sick)), k, keys, modes...)
		if err != nil {
			return err
		}
		s.sick = append(s.sick, p)
	}
	return nil
}

// failing is what a drill's sick is, mostly.
func failing(n int, k kind, keys map[string]any, modes ...string) func(*stand) error {
	return func(s *stand) error { return s.fail(n, k, keys, modes...) }
}

// load runs the drill beside calls to the servers that are well, and returns how
// much later those were answered at p99 than before it, and how soon lists were.
func (s *stand) load(ctx context.Context, d drill) (late, lists time.Duration, err error) {
	var before, beside times
	raging := make(chan struct{})
	calling, end := context.WithCancel(ctx)
	defer end()
	var work sync.WaitGroup
	for i := range min(2*s.beside, 16) {
		c, err := s.client(ctx, fmt.Sprintf("w%d", i))
		if err != nil {
			return 0, 0, err
		}
		work.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(i)))
			for n := 0; calling.Err() == nil; n++ {
				wait(calling, time.Duration(rng.ExpFloat64()*float64(40*time.Millisecond)))
				to := &before
				select {
				case <-raging:
					to = &beside
				default:
				}
				began := time.Now()
				said := s.call(calling, c, s.well[rng.IntN(len(s.well))], n, "", d.ends)
				to.through.add(time.Since(began))
				if said != answered && !d.ends {
					s.ledger.violation("P4: a call to a server that is well was not answered by it: %d", said)
				}
				if n%5 == 0 {
					body, _ := c.request("tools/list", "", false)
					began = time.Now()
					if m, err := c.exchange(ctx, body, "tools/list", ""); !d.ends && (err != nil || len(m) != 1 || m[0].Result == nil) {
						s.ledger.violation("P7: a list got %+v, %v", m, err)
					}
					to.lists.add(time.Since(began))
				}
				began = time.Now()
				s.gateway.status(calling, "http://"+s.well[1].web.Addr)
				to.direct.add(time.Since(began))
			}
		})
	}
	if s.beside > 0 {
		wait(ctx, 2*time.Second)
	}
	close(raging)
	err = d.run(ctx, s)
	end()
	work.Wait()
	if s.beside == 0 || d.ends {
		return 0, 0, err
	}
	late, starved := beside.after(&before)
	return late, beside.lists.p99() - starved, err
}

// times are those of calls through the gateway, and of requests past it, which
// tell how much of them is the machine's.
type times struct{ through, lists, direct figures }

// after is how much later than before calls were answered at p99, and how much of
// a time is the machine's: a call through the gateway waits for a processor in
// three processes, and twice in one of them; a direct request in one.
func (t *times) after(before *times) (late, starved time.Duration) {
	starved = max(0, 4*(t.direct.p99()-before.direct.p99()))
	return t.through.p99() - before.through.p99() - starved, starved
}

// client connects one; every second is modern.
func (s *stand) client(ctx context.Context, name string) (*client, error) {
	s.clients++
	c := &client{name: name, url: "http://" + s.gateway.addr + "/mcp", modern: s.clients%2 == 0, web: s.web, patience: 2 * time.Minute}
	return c, c.connect(ctx)
}

// connected connects n of them.
func (s *stand) connected(ctx context.Context, n int) ([]*client, error) {
	clients := make([]*client, 0, n)
	for i := range n {
		c, err := s.client(ctx, fmt.Sprintf("s%d", i))
		if err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// legacy connects a client of the handshake era.
func (s *stand) legacy(ctx context.Context, name string) (*client, error) {
	c := &client{name: name, url: "http://" + s.gateway.addr + "/mcp", web: s.web, patience: 2 * time.Minute}
	return c, c.connect(ctx)
}

// call calls the tool nonce of p and enters the outcome.
// gone excuses the lack of an answer: the gateway may have gone.
func (s *stand) call(ctx context.Context, c *client, p *peer, n int, fault string, gone bool) verdict {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.patience)
	defer cancel()
	e := entry{nonce: fmt.Sprintf("%s.%d", c.name, n), fault: fault}
	body, id, name := c.nonceCall(p, e.nonce, n%2 == 0)
	began := time.Now()
	all, err := c.exchange(ctx, body, "tools/call", name)
	return s.ledger.judge(e, id, all, time.Since(began), err, gone)
}

// sickCall is a call to a server that fails, in the drill's row.
func (s *stand) sickCall(ctx context.Context, c *client, p *peer, n int) verdict {
	return s.call(ctx, c, p, n, s.row.Fault, false)
}

// tool calls any tool of p and returns the messages in answer.
func (s *stand) tool(ctx context.Context, c *client, p *peer, tool, arguments string, token bool) ([]message, error) {
	ctx, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	name := p.name + "__" + tool
	body, _ := c.request("tools/call", fmt.Sprintf(`"name":%q,"arguments":%s`, name, arguments), token)
	return c.exchange(ctx, body, "tools/call", name)
}

// settle compares what was said with what ran, and takes the calls into the row.
func (s *stand) settle() error {
	var files []string
	for _, p := range append(s.sick, s.well...) {
		files = append(files, p.nonces)
	}
	if err := s.ledger.settle(files...); err != nil {
		return err
	}
	for _, r := range s.ledger.report() {
		if r.Fault == s.row.Fault {
			r.Injected, r.Figure, r.Bar, r.Missed = s.row.Injected, s.row.Figure, s.row.Bar, s.row.Missed
			s.row = r
		}
	}
	return nil
}

// within sets the row's figure and bar.
func (s *stand) within(what string, got, most time.Duration) {
	most *= time.Duration(s.slow)
	s.row.Figure, s.row.Bar = fmt.Sprintf("%s %v", what, got.Round(time.Millisecond)), "<= "+most.String()
	s.row.Missed = s.row.Missed || got > most
}

// exactly sets the row's figure and bar to counts.
func (s *stand) exactly(what string, got, want int) {
	s.row.Figure, s.row.Bar = fmt.Sprintf("%s %d", what, got), fmt.Sprint("= ", want)
	s.row.Missed = s.row.Missed || got != want
}

// atMost is the same for a count with a cap.
func (s *stand) atMost(what string, got, most int) {
	s.row.Figure, s.row.Bar = fmt.Sprintf("%s %d", what, got), fmt.Sprint("<= ", most)
	s.row.Missed = s.row.Missed || got > most
}

// missed adds what was missed beside the figure.
func (s *stand) missed(format string, args ...any) {
	s.row.Figure += "; " + fmt.Sprintf(format, args...)
	s.row.Missed = true
}

// state blocks until an upstream is in a state.
func (s *stand) state(ctx context.Context, p *peer, state string) error {
	return s.gateway.await(ctx, p.name+" "+state, func() bool { return s.gateway.upstreams(ctx)[p.name].State == state })
}

// memory runs f and returns by how many bytes the gateway's memory in use was
// above what it was before, at most.
func (s *stand) memory(ctx context.Context, f func() error) (int64, error) {
	before, err := s.gateway.usage(ctx)
	if err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	most := before.Memory
	for {
		select {
		case err := <-done:
			return most - before.Memory, err
		case <-time.After(30 * time.Millisecond):
			if now, err := s.gateway.usage(ctx); err == nil {
				most = max(most, now.Memory)
			}
		}
	}
}

func (s *stand) close() {
	for _, p := range append(s.sick, s.well...) {
		p.close()
	}
	if s.gateway != nil {
		s.gateway.close()
	}
}
