package main

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// kind is what sort of server a peer is.
type kind struct {
	remote bool // over HTTP, in this process, behind a proxy; else a child of the gateway
	modern bool // of 2026-07-28; else of the handshake era
}

// peer is a server behind the gateway that can be made to fail and mended again.
// It is safe for concurrent use.
type peer struct {
	kind

	name   string
	dir    string
	nonces string // the file that its calls are recorded in
	pids   string // the file of its processes
	modes  string // the file of the modes that hold now, for a child
	born   string // the modes that a child is in from its beginning, each after a comma

	fake  *upstreamtest.Remote // for a remote
	web   *http.Server
	proxy *proxy

	entrance *entrance // before a remote that wants a token; nil for none

	mu     sync.Mutex     // guards the rest
	inside http.Handler   // of web: the fake, or its entrance
	wanted map[string]int // how many faults want a mode now
	faults []string       // the names of those at work, the latest last
}

// newPeer makes one that keeps its files in dir. modes are those that it is in
// for ever; "static:" is before those of a child that only its environment can
// set. The caller must close it.
func newPeer(ctx context.Context, dir, name string, k kind, modes ...string) (*peer, error) {
	p := &peer{kind: k, name: name, dir: dir, wanted: make(map[string]int)}
	p.nonces, p.pids, p.modes = p.file("nonces"), p.file("pids"), p.file("modes")
	if k.modern {
		modes = append(modes, "modern")
	} else if k.remote {
		modes = append(modes, "session")
	}
	for _, m := range modes {
		if from, ok := strings.CutPrefix(m, "static:"); ok {
			p.born += "," + from
		} else {
			p.wanted[m]++
		}
	}
	if !k.remote {
		return p, p.show()
	}
	p.fake = upstreamtest.NewRemote("", map[string]string{upstreamtest.NonceFile: p.nonces})
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.inside = p.fake
	p.web = &http.Server{Addr: l.Addr().String(), Handler: p, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = p.web.Serve(l) }()
	if p.proxy, err = newProxy(name, l.Addr().String()); err != nil {
		_ = p.web.Close()
		return nil, err
	}
	return p, p.show()
}

// ServeHTTP implements http.Handler, for a remote.
func (p *peer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	inside := p.inside
	p.mu.Unlock()
	inside.ServeHTTP(w, r)
}

// guard puts an entrance before a remote.
func (p *peer) guard(e *entrance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.entrance, p.inside = e, e
}

// file is one of the files that it keeps.
func (p *peer) file(what string) string { return filepath.Join(p.dir, p.name+"."+what) }

// lines counts those of a file.
func (p *peer) lines(what string) int {
	b, _ := os.ReadFile(p.file(what))
	return bytes.Count(b, []byte("\n"))
}

// close ends what of a peer runs in this process.
func (p *peer) close() {
	if p.proxy != nil {
		p.proxy.close()
		_ = p.web.Close()
	}
}

// config is the peer's entry in the gateway's configuration.
func (p *peer) config() map[string]any {
	if p.remote {
		return map[string]any{"url": "http://" + p.proxy.address() + "/mcp"}
	}
	self, err := os.Executable()
	if err != nil {
		panic(err) // the running program has no file
	}
	return map[string]any{"command": self, "env": map[string]any{
		upstreamtest.Mode: "chaos" + p.born, upstreamtest.Control: p.modes, upstreamtest.NonceFile: p.nonces, upstreamtest.PIDFile: p.pids,
		upstreamtest.ListFile: p.file("lists"), upstreamtest.EventFile: p.file("events"),
		"GORACE": "atexit_sleep_ms=0",
	}}
}

// begin notes that a fault is at work, with the modes that it needs. The
// function returned ends it.
func (p *peer) begin(fault string, modes ...string) (end func()) {
	p.mu.Lock()
	p.faults = append(p.faults, fault)
	for _, m := range modes {
		p.wanted[m]++
	}
	p.mu.Unlock()
	check(p.show())
	return sync.OnceFunc(func() {
		p.mu.Lock()
		for i, f := range p.faults {
			if f == fault {
				p.faults = append(p.faults[:i:i], p.faults[i+1:]...)
				break
			}
		}
		for _, m := range modes {
			if p.wanted[m]--; p.wanted[m] == 0 {
				delete(p.wanted, m)
			}
		}
		p.mu.Unlock()
		check(p.show())
	})
}

// fault is the name of the latest fault at work, "" for none.
func (p *peer) fault() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.faults) == 0 {
		return ""
	}
	return p.faults[len(p.faults)-1]
}

// show gives the modes to the server.
func (p *peer) show() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []string
	for m := range p.wanted {
		list = append(list, m)
	}
	modes := strings.Join(list, ",")
	if p.remote {
		p.fake.SetModes(modes)
		return nil
	}
	// Renamed into place: a child never reads half of it.
	if err := os.WriteFile(p.modes+".new", []byte(modes), 0o600); err != nil {
		return err
	}
	return os.Rename(p.modes+".new", p.modes)
}

// pid is the child's latest process, 0 before the first.
func (p *peer) pid() int {
	b, _ := os.ReadFile(p.pids)
	lines := strings.Fields(string(b))
	if len(lines) == 0 {
		return 0
	}
	pid, _ := strconv.Atoi(lines[len(lines)-1])
	return pid
}

// check panics: the files of a test that cannot be written are no fault of those
// that are made here.
func check(err error) {
	if err != nil {
		panic(fmt.Sprintf("chaos: %v", err))
	}
}
