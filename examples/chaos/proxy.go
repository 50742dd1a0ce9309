package main

import (
	"context"
	"strings"
	"sync"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/rs/zerolog"
)

// proxy is the network between the gateway and a remote peer.
type proxy struct {
	*toxiproxy.Proxy
	release func() // gives its address back

	// toxic is held while a toxic is in the way. Two at once race with one another:
	// limit_data looks at a chunk that bandwidth cuts up already.
	toxic sync.Mutex
}

// newProxy starts one on a port of its own, which stays its own while it refuses.
func newProxy(name, target string) (*proxy, error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics have a logger of their own
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	address, release, err := addrtest.Reserve()
	if err != nil {
		return nil, err
	}
	p := &proxy{Proxy: toxiproxy.NewProxy(server, name, address, target), release: release}
	if err := p.Start(); err != nil {
		release()
		return nil, err
	}
	return p, nil
}

// address is where it listens, also while it refuses.
func (p *proxy) address() string {
	p.Lock()
	defer p.Unlock()
	return p.Listen
}

// add puts a toxic in the way, JSON as toxiproxy has it, once no other is there. The
// function returned takes it away.
func (p *proxy) add(toxic string) (remove func(), err error) {
	p.toxic.Lock()
	t, err := p.Toxics.AddToxicJson(strings.NewReader(toxic))
	if err != nil {
		p.toxic.Unlock()
		return nil, err
	}
	return func() {
		defer p.toxic.Unlock()
		_ = p.Toxics.RemoveToxic(context.Background(), t.Name)
	}, nil
}

// refuse cuts all connections and refuses new ones, until the function returned
// is called.
func (p *proxy) refuse() (accept func()) {
	p.Stop()
	return func() { _ = p.Start() } // it may have been started by another fault's end
}

func (p *proxy) close() {
	p.Toxics.ResetToxics(context.Background())
	p.Stop()
	p.release()
}
