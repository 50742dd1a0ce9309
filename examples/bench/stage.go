package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// stage is the set of processes that one case needs.
type stage struct {
	binary  string // the gateway's
	era     string // of the protocol, on both sides
	dir     string
	parties []*party
	made    int      // gateways so far; each has a directory of its own
	release []func() // give its addresses back
}

// newStage makes an empty one. The caller must close it.
func newStage(binary string) (*stage, error) {
	dir, err := os.MkdirTemp("", "il") // a unix socket's path is short
	return &stage{binary: binary, dir: dir}, err
}

// close stops all, upstreams last.
func (s *stage) close() {
	for _, p := range slices.Backward(s.parties) {
		p.stop()
	}
	_ = os.RemoveAll(s.dir)
	for _, release := range s.release {
		release()
	}
}

// address is one that nothing else listens on until the stage is closed.
func (s *stage) address() (string, error) {
	address, release, err := addrtest.Reserve()
	if err == nil {
		s.release = append(s.release, release)
	}
	return address, err
}

// drop stops one party before the others.
func (s *stage) drop(p *party) {
	p.stop()
	s.parties = slices.DeleteFunc(s.parties, func(q *party) bool { return p == q })
}

func (s *stage) start(ctx context.Context, r role) (*party, error) {
	r.era = s.era
	p, err := again(ctx, r)
	if err == nil {
		s.parties = append(s.parties, p)
	}
	return p, err
}

// settings are those of a gateway that a case wants other than the defaults.
type settings struct {
	server    map[string]any
	upstreams map[string]map[string]any
	telemetry map[string]any
}

// overHTTP has an upstream for each URL: u0, u1 and so on.
func overHTTP(urls ...string) settings {
	all := settings{upstreams: map[string]map[string]any{}}
	for i, u := range urls {
		all.upstreams[fmt.Sprintf("u%d", i)] = map[string]any{"url": u}
	}
	return all
}

// overStdio has as many children.
func (s *stage) overStdio(n int) (settings, error) {
	all := settings{upstreams: map[string]map[string]any{}}
	self, err := os.Executable()
	for i := range n {
		all.upstreams[fmt.Sprintf("u%d", i)] = map[string]any{
			"command": self, "args": append([]string{"-role", "upstream-stdio"}, role{era: s.era}.args()...),
			"pass_env": []string{"GORACE"}, // for the tests, which are built so
		}
	}
	return all, err
}

// launch starts `interlock serve` and does not wait for anything. Its metrics
// are on, its traces go nowhere, and else it has the defaults.
func (s *stage) launch(ctx context.Context, with settings) (*party, error) {
	listen, err := s.address()
	if err != nil {
		return nil, err
	}
	metrics, err := s.address()
	if err != nil {
		return nil, err
	}
	server := map[string]any{"listen": listen}
	maps.Copy(server, with.server)
	telemetry := map[string]any{"logs": map[string]any{"level": "warn"}, "metrics": map[string]any{"listen": metrics}}
	maps.Copy(telemetry, with.telemetry)
	s.made++
	dir := filepath.Join(s.dir, fmt.Sprint(s.made))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"server": server, "state_dir": filepath.Join(dir, "state"), "upstreams": with.upstreams,
		"telemetry": telemetry,
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "interlock.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	p := &party{cmd: command(ctx, s.binary, "serve", "-c", file)}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.urls, p.metrics = []string{"http://" + listen + "/mcp"}, "http://"+metrics+"/metrics"
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	s.parties = append(s.parties, p)
	return p, nil
}

// gateway launches one, waits until all its upstreams run, and begins a session.
func (s *stage) gateway(ctx context.Context, with settings) (*way, error) {
	for _, u := range with.upstreams {
		u["required"] = true
	}
	p, err := s.launch(ctx, with)
	if err != nil {
		return nil, err
	}
	url := p.urls[0]
	if err := ready(ctx, url[:len(url)-len("/mcp")]+"/readyz"); err != nil {
		p.stop()
		return nil, fmt.Errorf("interlock serve: %w\n%s", err, &p.log)
	}
	if _, err := allocations(ctx, p.metrics); err != nil { // metrics count from their first reader on
		return nil, err
	}
	id := ""
	if s.era != modern {
		if id, err = session(ctx, url); err != nil {
			return nil, fmt.Errorf("interlock: %w", err)
		}
	}
	w := &way{name: interlock, middle: p}
	for i := range len(with.upstreams) {
		w.targets = append(w.targets, target{url: url, session: id, prefix: fmt.Sprintf("u%d__", i), era: s.era})
	}
	return w, nil
}

// session begins an MCP session and returns its id.
func session(ctx context.Context, url string) (string, error) {
	w, err := dial(ctx, []target{{url: url}})
	if err != nil {
		return "", err
	}
	defer w.close()
	return begin(w)
}

// begin begins a session over a wire whose first target has none yet.
func begin(w wire) (string, error) {
	res, err := w.exchange(0, []byte(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`))
	if err != nil {
		return "", err
	}
	if res.status != 200 || value(res.body, `"protocolVersion":`) == nil {
		return "", wrong(0, res)
	}
	id := res.session
	if h, ok := w.(*httpWire); ok && id != "" {
		h.enter(id)
	}
	_, err = w.exchange(0, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
	return id, err
}
