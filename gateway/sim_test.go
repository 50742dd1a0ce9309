package gateway

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

var simSeed = flag.Int("seed", -1, "TestSimulatedDay: this seed alone")

const (
	simDay     = 24 * time.Hour
	simTimeout = 50 * time.Second // call_timeout
	simQueue   = 5 * time.Second
)

// day is a whole gateway on a simulated day: its servers, clients and operators,
// and what was counted. What happens is drawn from the seed.
type day struct {
	t      *testing.T
	rig    *rig
	dialer *linktest.Dialer
	cfg    *config.Config
	seed   uint64
	begun  time.Time
	steady map[string]bool // the upstreams that nothing befalls
	others []string

	mu     sync.Mutex // guards the rest
	ran    map[string]int
	counts map[string]int
	faults []string
}

func (d *day) wrong(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, fmt.Sprintf("%v: ", time.Since(d.begun))+fmt.Sprintf(format, args...))
}

func (d *day) count(what string, n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[what] += n
}

func (d *day) executed(server, nonce string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ran[server+" "+nonce]++
}

func (d *day) runs(server, nonce string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ran[server+" "+nonce]
}

// unlisted reports whether an upstream's tools may be unknown: it is removed or
// stopped, or has never listed as it is configured.
func (d *day) unlisted(name string) bool {
	u := d.rig.set.Upstream(name)
	return u == nil || !u.Status().Desired || u.Inventory() == nil
}

// rand returns the chances of one actor.
func (d *day) rand(actor uint64) *rand.Rand { return rand.New(rand.NewPCG(d.seed, actor)) }

// pause is a time of that mean.
func (d *day) pause(r *rand.Rand, mean time.Duration) time.Duration {
	return time.Duration(math.Min(r.ExpFloat64(), 5)*float64(mean)) + time.Duration(r.IntN(1e6))
}

// anyone draws an upstream.
func (d *day) anyone(r *rand.Rand) string {
	all := append(slices.Sorted(maps.Keys(d.steady)), d.others...)
	return all[r.IntN(len(all))]
}

// upstreams are ten: three that are well all day, seven that are not.
func (d *day) upstreams(r *rand.Rand) []upstream.Config {
	var all []upstream.Config
	add := func(name string) *upstream.Config {
		c := upstream.Defaults()
		c.Name, c.Command = name, "fake"
		c.CallTimeout, c.StartTimeout = simTimeout, 30*time.Second
		c.Limits.QueueTimeout = simQueue
		c.Health.Interval = time.Duration(30+r.IntN(60)) * time.Second
		all = append(all, c)
		return &all[len(all)-1]
	}
	remote := func(c *upstream.Config) { c.Command, c.URL = "", "http://127.0.0.1:1/mcp" }
	for i := range 3 {
		c := add(fmt.Sprintf("well%d", i))
		d.steady[c.Name] = true
		switch i {
		case 1:
			remote(c)
		case 2:
			c.Start, c.IdleStop = upstream.OnDemand, 10*time.Minute
		}
	}
	for i := range 7 {
		c := add(fmt.Sprintf("ill%d", i))
		d.others = append(d.others, c.Name)
		if r.IntN(3) == 0 {
			remote(c)
		}
		if r.IntN(4) == 0 {
			c.Start, c.IdleStop = upstream.OnDemand, time.Duration(r.IntN(20))*time.Minute
		}
		if r.IntN(3) == 0 {
			c.Restart.Policy = upstream.Always
		}
		for j := range i {
			if r.IntN(5) == 0 {
				c.DependsOn = append(c.DependsOn, upstream.Dependency{
					On: fmt.Sprintf("ill%d", j), Condition: upstream.ConditionRunning, Restart: r.IntN(3) == 0,
				})
			}
		}
		if r.IntN(4) == 0 {
			c.OnDependencyFailure = upstream.StartAnyway
		}
	}
	return all
}

// operate gives orders until ctx is done.
func (d *day) operate(ctx context.Context, r *rand.Rand) {
	for linktest.Sleep(ctx, d.pause(r, 45*time.Minute)) == nil {
		verb := []upstream.Verb{upstream.VerbStart, upstream.VerbStart, upstream.VerbStop, upstream.VerbKill, upstream.VerbRestart}[r.IntN(5)]
		var names []string
		for range 1 + r.IntN(3) {
			names = append(names, d.others[r.IntN(len(d.others))])
		}
		d.count("orders", 1)
		for _, o := range d.rig.set.Order(verb, names...) {
			wait, cancel := context.WithTimeout(ctx, time.Minute)
			_ = o.Wait(wait)
			cancel()
		}
		if verb == upstream.VerbStop || verb == upstream.VerbKill { // not for good
			_ = linktest.Sleep(ctx, d.pause(r, 20*time.Minute))
			d.rig.set.Order(upstream.VerbStart, names...)
		}
	}
}

// configure reloads until ctx is done, and in the end what there was at first.
func (d *day) configure(ctx context.Context, r *rand.Rand) {
	for linktest.Sleep(ctx, d.pause(r, 40*time.Minute)) == nil {
		next := *d.cfg
		next.Upstreams = slices.Clone(d.cfg.Upstreams)
		at := 3 + r.IntN(len(d.others))
		c := &next.Upstreams[at]
		bad := false
		switch r.IntN(5) {
		case 0:
			c.Args = []string{fmt.Sprint(r.IntN(1000))} // a restart
		case 1:
			c.Limits.InFlight = 100 + r.IntN(100) // applies live
		case 2:
			c.DependsOn, bad = append(slices.Clip(c.DependsOn), upstream.Dependency{On: "nobody", Condition: upstream.ConditionRunning}), true
		case 3:
			gone := c.Name
			next.Upstreams = slices.Delete(next.Upstreams, at, at+1)
			for i := range next.Upstreams {
				next.Upstreams[i].DependsOn = slices.DeleteFunc(slices.Clone(next.Upstreams[i].DependsOn), func(e upstream.Dependency) bool { return e.On == gone })
			}
		}
		before := d.rig.view.Load()
		_, err := d.rig.Apply(ctx, &next)
		d.count("reloads", 1)
		if bad {
			d.count("reloads that were invalid", 1)
			if synctest.Wait(); err == nil || d.rig.view.Load() != before {
				d.wrong("P8: an invalid reload was taken: %v", err)
			}
		} else if err != nil {
			d.wrong("P8: %v", err)
		}
	}
	if _, err := d.rig.Apply(d.t.Context(), d.cfg); err != nil {
		d.wrong("P8: %v", err)
	}
}

// run is the whole day, and an hour after.
func (d *day) run() {
	ctx, cancel := context.WithTimeout(d.t.Context(), simDay)
	defer cancel()
	servers := make([]*simServer, 0, 10)
	for _, c := range d.cfg.Upstreams {
		servers = append(servers, newSimServer(d, c.Name))
	}
	d.rig = start(d.t, d.cfg, d.dialer).running()
	var all sync.WaitGroup
	all.Go(func() { d.operate(ctx, d.rand(1)) })
	all.Go(func() { d.configure(ctx, d.rand(2)) })
	for i, s := range servers {
		if !d.steady[s.name] {
			all.Go(func() { s.trouble(ctx, d.rand(10+uint64(i))) })
		}
	}
	for i := range 7 {
		c := &simClient{day: d, name: fmt.Sprintf("c%d", i), rand: d.rand(100 + uint64(i))}
		if i < 4 {
			c.legacy = &client{r: d.rig, path: "/mcp", version: []string{"2025-11-25", "2025-06-18", "2025-03-26", "2025-11-25"}[i]}
		} else {
			c.modern = d.rig.caller(`{}`)
		}
		all.Go(func() { c.live(ctx) })
	}
	all.Wait()
	d.recover()
	d.quiet()
}

// recover sees, once nothing is wrong any more, that all that is meant to be up is
// so again by itself, and all else when an operator starts it.
func (d *day) recover() {
	check := func(when string) {
		time.Sleep(12 * time.Minute) // what is exhausted is tried, and a remote that nobody uses probed, each 10
		for _, u := range d.rig.set.Upstreams() {
			st := u.Status()
			fine := st.Idle || st.Health == "healthy" || st.OnDemand && st.Exhausted // that is tried when it is needed
			if st.Desired && !fine {
				d.wrong("%s %s is %s, %q: %+v", when, st.Name, st.State, st.Health, st.Failure)
			}
		}
	}
	check("after its faults")
	for _, o := range d.rig.set.Order(upstream.VerbStart, append(slices.Clone(d.others), slices.Sorted(maps.Keys(d.steady))...)...) {
		if err := o.Wait(d.t.Context()); err != nil {
			d.wrong("at the end %s does not start: %v", o.Name, err)
		}
	}
	check("at the end")
	c := &simClient{day: d, name: "last", rand: d.rand(1000), modern: d.rig.caller(`{}`)}
	for _, cfg := range d.cfg.Upstreams {
		nonce, params := c.work(cfg.Name, time.Second)
		got := c.send(context.Background(), c.request("tools/call", params))
		d.mu.Lock()
		d.steady[cfg.Name] = true
		d.mu.Unlock()
		c.judge(cfg.Name, nonce, time.Second, got)
	}
	c.list()
}

// quiet checks promise P6, an hour after the last client went.
func (d *day) quiet() {
	time.Sleep(d.cfg.Server.SessionTimeout + time.Minute)
	synctest.Wait()
	g := d.rig.Gateway
	for what, n := range map[string]int{
		"sessions": len(g.sessions.all()), "subscriptions": len(g.subs.by), "stand-ins for sessions": g.moderns.count,
		"POSTs": len(g.posts.all), "listeners": len(g.listeners.all), "listeners' subscriptions": len(g.listeners.subs.by),
		"parked calls": len(g.parks.byName), "bytes in the backlog": g.backlog.held, "levels": len(g.levels.byLink),
	} {
		if n != 0 {
			d.wrong("P6: %d %s are left", n, what)
		}
	}
	for _, u := range g.set.Upstreams() {
		st, open := u.Status(), 0
		for _, l := range d.dialer.Server(st.Name).Links() {
			if l.Err() == nil {
				open++
			}
		}
		want := 0
		if st.State == upstream.Running {
			want = 1
		}
		if st.InFlight != 0 || st.Queued != 0 || open != want {
			d.wrong("P6: %s, %s, has %d calls in flight, %d that wait and %d links", st.Name, st.State, st.InFlight, st.Queued, open)
		}
	}
}

// simSeeds are the days that are lived: fewer under the race detector, with which
// they take four times as long. `make model` lives more of them.
func simSeeds() []uint64 {
	if *simSeed >= 0 {
		return []uint64{uint64(*simSeed)}
	}
	n := 40
	switch {
	case os.Getenv("INTERLOCK_SOAK") != "":
		n = 1000
	case raceEnabled:
		n = 8
	}
	seeds := make([]uint64, n)
	for i := range seeds {
		seeds[i] = uint64(i)
	}
	return seeds
}

// TestSimulatedDay lives days of random faults, each with a gateway of its own,
// and checks the promises. -seed lives one of them again.
func TestSimulatedDay(t *testing.T) {
	total := make(map[string]int)
	for i, seed := range simSeeds() {
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			cfg := settings(t)
			synctest.Test(t, func(t *testing.T) {
				d := &day{
					t: t, dialer: new(linktest.Dialer), cfg: cfg, seed: seed, begun: time.Now(),
					steady: make(map[string]bool), ran: make(map[string]int), counts: make(map[string]int),
				}
				cfg.Upstreams = d.upstreams(d.rand(0))
				d.run()
				d.rig.stop()
				for _, f := range d.faults[:min(len(d.faults), 20)] {
					t.Error(f)
				}
				if len(d.faults) > 0 {
					t.Errorf("again: go test ./gateway -run SimulatedDay -seed %d", seed)
				}
				for what, n := range d.counts {
					total[what] += n
				}
				if *simSeed >= 0 {
					t.Log(table(d.counts))
				}
			})
		})
		if n := i + 1; n%50 == 0 || !ok {
			fmt.Printf("%d days, the last with seed %d\n", n, seed)
		}
	}
	t.Log(table(total))
}

// table shows what was counted.
func table(counts map[string]int) string {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(&b, "\n%-40s %9d", what, counts[what])
	}
	return b.String()
}

// pass lets the time of a day pass.
func pass(d time.Duration) { time.Sleep(d) }
