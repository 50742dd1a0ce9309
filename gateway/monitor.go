package gateway

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream"
)

// Check probes the named upstreams now, all for none, and blocks for at most the
// health.timeout of each. They are probed at the same time.
func (g *Gateway) Check(ctx context.Context, names []string) map[string]admin.Check {
	type found struct {
		name string
		admin.Check
	}
	names = g.orAll(names)
	came := make(chan found)
	for _, name := range names {
		go func() { came <- found{name, g.checkOne(ctx, name)} }()
	}
	out := make(map[string]admin.Check, len(names))
	for range names {
		x := <-came
		out[x.name] = x.Check
	}
	return out
}

func (g *Gateway) checkOne(ctx context.Context, name string) admin.Check {
	u := g.set.Upstream(name)
	if u == nil {
		e := g.noUpstream(name)
		text := e.Detail + ": " + e.Mend
		return admin.Check{Error: &text}
	}
	s := u.Check(ctx)
	c := admin.Check{Healthy: s.Healthy, Status: string(s.Status), Neutral: s.Neutral}
	if s.Took > 0 {
		c.ResponseTime = seconds(s.Took)
	}
	if s.Err != "" {
		c.Error = &s.Err
	}
	return c
}

// Stats returns the monitor's figures of the last window, of the named upstreams
// or, for none, of all.
func (g *Gateway) Stats(window time.Duration, names []string) []admin.Stats {
	var out []admin.Stats
	for _, name := range g.orAll(names) {
		if u := g.set.Upstream(name); u != nil {
			out = append(out, statsOf(name, u.Stats(window), window))
		}
	}
	return out
}

func statsOf(name string, s upstream.Stats, window time.Duration) admin.Stats {
	out := admin.Stats{Name: name, Window: window.Seconds()}
	if s.Checks > 0 {
		out.TotalChecks, out.HealthyChecks = &s.Checks, &s.Healthy
		share := 100 * float64(s.Healthy) / float64(s.Checks)
		out.Availability = &share
	}
	if s.Timed > 0 {
		out.AvgResponseTime, out.MaxResponseTime, out.MinResponseTime = seconds(s.Avg), seconds(s.Max), seconds(s.Min)
	}
	if c := s.Calls; c.Count > 0 {
		errs := c.Errors
		if errs == nil {
			errs = map[string]int{}
		}
		out.Calls = &admin.CallStats{Count: c.Count, Errors: errs, P50: c.P50.Seconds(), P95: c.P95.Seconds(), P99: c.P99.Seconds()}
	}
	return out
}

func seconds(d time.Duration) *float64 {
	s := d.Seconds()
	return &s
}

// orAll returns names, or those of all upstreams for none.
func (g *Gateway) orAll(names []string) []string {
	if len(names) > 0 {
		return names
	}
	for _, u := range g.set.Upstreams() {
		names = append(names, u.Name())
	}
	return names
}

// Logs returns the last n lines that an upstream wrote on stderr, oldest first.
func (g *Gateway) Logs(name string, n int) ([]admin.LogLine, error) {
	u := g.set.Upstream(name)
	if u == nil {
		return nil, g.noUpstream(name)
	}
	lines := u.Stderr().Log(n)
	out := make([]admin.LogLine, len(lines))
	for i, l := range lines {
		out[i] = admin.LogLine(l)
	}
	return out, nil
}

// Follow yields what Logs returns and then what comes, until ctx is done.
func (g *Gateway) Follow(ctx context.Context, name string, n int) (iter.Seq[admin.LogLine], error) {
	u := g.set.Upstream(name)
	if u == nil {
		return nil, g.noUpstream(name)
	}
	return func(yield func(admin.LogLine) bool) {
		for l := range u.Stderr().Follow(ctx, n) {
			if !yield(admin.LogLine(l)) {
				return
			}
		}
	}, nil
}

// Status returns the state of an upstream.
func (g *Gateway) Status(name string) (string, error) {
	u := g.set.Upstream(name)
	if u == nil {
		return "", g.noUpstream(name)
	}
	return string(u.Status().State), nil
}

// Info returns all there is to know of an upstream. It reads the process table.
func (g *Gateway) Info(name string) (admin.Info, error) {
	u := g.set.Upstream(name)
	if u == nil {
		return admin.Info{}, g.noUpstream(name)
	}
	i := admin.Info{Upstream: g.upstreamView(u), Source: g.source(name)}
	if running := i.State == string(upstream.Running) || i.State == string(upstream.Unknown); running && !i.Started.IsZero() {
		i.Uptime = time.Since(i.Started).Seconds()
	}
	if use, ok := u.Usage(); ok {
		i.Usage = &admin.Usage{Processes: use.Processes, CPU: use.CPU.Seconds(), Memory: use.Memory}
	}
	if inv := u.Inventory(); inv != nil {
		i.Offers = admin.Offers{
			Tools: fields(inv.Tools, "name"), Prompts: fields(inv.Prompts, "name"),
			Resources: append(fields(inv.Resources, "uri"), fields(inv.Templates, "uriTemplate")...),
		}
	}
	for _, n := range g.Graph().Nodes {
		if n.Name == name {
			i.DependsOn, i.Dependents, i.Stages = n.DependsOn, n.Dependents, n.Stages
		}
	}
	var err error
	i.Config, err = json.Marshal(g.cfg.Load().Keys(*u.Config()))
	return i, err
}

// Config returns the running configuration as a JSON object under the keys of the
// file, with *** for what may be secret.
func (g *Gateway) Config() (json.RawMessage, error) {
	return json.Marshal(g.cfg.Load().Tree())
}

// fields returns one member of each of a list of JSON objects.
func fields(items []json.RawMessage, key string) []string {
	out := make([]string, 0, len(items))
	for _, item := range items {
		var object map[string]json.RawMessage
		var text string
		if json.Unmarshal(item, &object) == nil && json.Unmarshal(object[key], &text) == nil {
			out = append(out, text)
		}
	}
	return out
}

// Graph returns the upstreams and what they depend on.
func (g *Gateway) Graph() admin.Graph {
	from := g.set.Graph()
	out := admin.Graph{Order: from.Order, Critical: from.Critical, CriticalTime: from.CriticalTime.Seconds()}
	for _, n := range from.Nodes {
		node := admin.Node{
			Name: n.Name, State: string(n.State), Health: n.Health, Dependents: n.Dependents, Level: n.Level, Took: n.Took.Seconds(),
		}
		for _, d := range n.DependsOn {
			node.DependsOn = append(node.DependsOn, admin.Dependency{Name: d.On, Condition: string(d.Condition), Restart: d.Restart})
		}
		for _, s := range n.Stages {
			node.Stages = append(node.Stages, admin.Stage{Name: s.Name, Began: s.Began, Took: s.Took.Seconds()})
		}
		out.Nodes = append(out.Nodes, node)
	}
	return out
}
