package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// How long a server of unknown era may take to answer server/discover before it
// is taken for a legacy one. A legacy process may ignore what it does not know;
// a remote has to answer something, and may be far away.
const (
	stdioProbeLimit  = time.Second
	remoteProbeLimit = 3 * time.Second
)

// Era remembers of which era a server turned out to be, so that it is asked only
// once: for all links to one process or origin, and, as part of the kept
// inventory, across restarts of the gateway (basic/versioning of 2026-07-28,
// Backward Compatibility). The zero value knows nothing. It is safe for
// concurrent use.
type Era struct {
	known atomic.Int32
	ended atomic.Bool // a process has ended on the question, and was started again for that
}

// What an Era holds.
const (
	unknownEra int32 = iota
	legacyEra
	modernEra
)

// set takes over what a handshake agreed on.
func (e *Era) set(version string) {
	switch {
	case version == "":
		e.known.Store(unknownEra)
	case version < latestModern:
		e.known.Store(legacyEra)
	default:
		e.known.Store(modernEra)
	}
}

// forget makes the next dial find out anew.
func (e *Era) forget() { e.known.Store(unknownEra) }

// era returns what is known of the server's, as far as the configuration leaves
// that open.
func (d *Dial) era() int32 {
	switch {
	case d.Config.Protocol == LegacyProtocol:
		return legacyEra
	case d.Config.Protocol == ModernProtocol:
		return modernEra
	case d.Era != nil:
		return d.Era.known.Load()
	}
	return unknownEra
}

// learnt remembers the era of a server that greeted.
func (d *Dial) learnt(h *Hello) {
	if d.Era != nil {
		d.Era.set(h.Version)
	}
}

// errNotModern is the outcome of server/discover with a server that speaks no
// modern revision, as far as one can tell.
var errNotModern = errors.New("it does not speak " + latestModern)

// errLateModern is met when a process was taken for a legacy one, and was only slow
// to begin: it has to be started again to be met as what it is.
var errLateModern = errors.New("it speaks " + latestModern + ", but was asked to initialize")

// greet finds out of which era a server is, where that is not known, and shakes
// hands with it: server/discover over modern, or initialize over legacy, which
// may be the same. It blocks until that is done; the era is in the Hello. limit
// is how long a server of unknown era has for its first answer. The error is a
// *StartError of the stage handshake; it wraps errLateModern where the server has
// to be made anew, and its era is remembered then.
func greet(ctx context.Context, d *Dial, limit time.Duration, modern, legacy transport) (*Hello, error) {
	var h *Hello
	err := errNotModern
	var late *probe
	switch d.era() {
	case modernEra:
		h, err = discover(ctx, modern, d)
	case unknownEra:
		late = beginProbe(ctx, modern, d)
		defer late.stop()
		h, err = late.await(ctx, limit)
	}
	if err == nil {
		d.learnt(h)
		return h, nil
	}
	if !errors.Is(err, errNotModern) || d.Config.Protocol == ModernProtocol {
		return nil, startError("handshake", fmt.Errorf("server/discover: %w", err))
	}
	h, err = handshake(ctx, legacy, d)
	switch {
	case err == nil && late != nil:
		// It answers in order, and what it was asked first it has answered by now.
		if found, odd := late.last(ctx, lateAnswer); odd == nil {
			d.learnt(found)
			if modern == legacy {
				return nil, startError("handshake", errLateModern)
			}
			h = found
		}
	case err != nil && d.Config.Protocol != LegacyProtocol && answered(err) && ctx.Err() == nil:
		// What was known is wrong, or it was too slow for the limit.
		if found, odd := discover(ctx, modern, d); odd == nil {
			h, err = found, nil
		}
	}
	if err != nil {
		return nil, err
	}
	d.learnt(h)
	return h, nil
}

// lateAnswer is how long a server that has answered initialize may take to answer
// what it was asked before.
const lateAnswer = 20 * time.Millisecond

var errProbeLimit = errors.New("no answer to server/discover in time")

// probe is a discover with a server that may ignore it, or be slow to begin.
type probe struct {
	stop context.CancelFunc
	done chan struct{} // closed when the rest is set
	h    *Hello
	err  error
}

// beginProbe begins to ask. The caller must call stop.
func beginProbe(ctx context.Context, t transport, d *Dial) *probe {
	p := &probe{done: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	p.stop = func() { cancel(); <-p.done }
	go func() {
		defer close(p.done)
		p.h, p.err = discover(ctx, t, d)
	}()
	return p
}

// await blocks until the server has answered, but no longer than limit.
func (p *probe) await(ctx context.Context, limit time.Duration) (*Hello, error) {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-p.done:
		return p.h, p.err
	case <-t.C:
		return nil, errors.Join(errNotModern, errProbeLimit)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// last is an await that ends the question: what has come by then counts, though
// it may not be known yet.
func (p *probe) last(ctx context.Context, limit time.Duration) (*Hello, error) {
	_, _ = p.await(ctx, limit)
	p.stop()
	return p.h, p.err
}

// errRefusedOwn is met when a server refuses a revision that it says it speaks.
var errRefusedOwn = errors.New("the server speaks " + latestModern + " and refused it")

// discover asks a server what it is (server/discover of 2026-07-28). The error
// wraps errNotModern if the answer is not that of a server which speaks a
// revision that we do; any other leaves the question open. A server that refuses a
// revision is asked again with one that it names (basic/versioning, "Unsupported
// Versions"), also if that is the same.
func discover(ctx context.Context, t transport, d *Dial) (*Hello, error) {
	h, err := discoverOnce(ctx, t, d)
	if errors.Is(err, errRefusedOwn) {
		h, err = discoverOnce(ctx, t, d)
	}
	return h, err
}

func discoverOnce(ctx context.Context, t transport, d *Dial) (*Hello, error) {
	r := onBehalf(ctx, newRequest("server/discover", nil))
	if r.Edits == nil {
		r.Edits = new(jsonrpc.Edits)
	}
	r.Edits.SetMeta(&r.Message, callerMeta(r.Client, d)...)
	m, err := t.Do(ctx, r)
	var way *TransportError
	switch {
	case errors.As(err, &way) && notModern(way):
		return nil, fmt.Errorf("%w: %w", errNotModern, err)
	case err != nil:
		return nil, err
	case m.Kind == jsonrpc.Failure:
		return nil, refusedDiscover(m)
	}
	return readDiscovered(m)
}

// notModern reports whether a failed server/discover is the way of a legacy
// server to say that it does not know it.
func notModern(e *TransportError) bool {
	switch e.Reason {
	case "malformed", "too_large":
		return true
	case "reset": // a connection; a lost link has nobody to fall back to
		return !e.Lost
	case "http_status":
		return e.Status < http.StatusBadGateway
	}
	return false
}

// endedAsked reports whether a process ended when it was asked what it is.
func endedAsked(err error) bool {
	start, ok := errors.AsType[*StartError](err)
	if !ok || start.Stage != "handshake" {
		return false
	}
	way, ok := errors.AsType[*TransportError](err)
	return ok && way.Lost && (way.Reason == "exit" || way.Reason == "reset" || way.Reason == "write")
}

// cancellable reports whether a request may be taken back: not those that begin
// all, which a server must see first and alone.
func cancellable(method string) bool { return method != "initialize" && method != "server/discover" }

// answered reports whether a handshake failed by the server's word.
func answered(err error) bool {
	if _, ok := errors.AsType[*ServerError](err); ok {
		return true
	}
	way, ok := errors.AsType[*TransportError](err)
	return ok && way.Reason == "http_status" && way.Status < http.StatusBadGateway
}

// Codes of 2026-07-28 that only a modern server sends.
const (
	codeHeaderMismatch     = -32020
	codeMissingCapability  = -32021
	codeUnsupportedVersion = -32022
)

// refusedDiscover reads an error that answers server/discover.
func refusedDiscover(m jsonrpc.Message) error {
	e := newServerError(m)
	switch e.Code {
	case codeUnsupportedVersion:
		supported, _ := jsonrpc.Lookup(m.Raw, m.Error, "data", "supported")
		if err := pickVersion(m.Raw, supported); err != nil {
			return fmt.Errorf("%w: %w", err, e)
		}
		return fmt.Errorf("%w: %w", errRefusedOwn, e)
	case codeHeaderMismatch, codeMissingCapability:
		return e
	}
	return fmt.Errorf("%w: %w", errNotModern, e)
}

// pickVersion chooses among the revisions in the array at s. nil means
// latestModern; errNotModern that there are legacy ones only, or none.
func pickVersion(raw []byte, s jsonrpc.Span) error {
	var versions []string
	for v := range jsonrpc.Elements(raw, s) {
		versions = append(versions, jsonrpc.Text(raw, v))
	}
	switch {
	case slices.Contains(versions, latestModern):
		return nil
	case len(versions) == 0, slices.ContainsFunc(legacyVersions[:], func(v string) bool { return slices.Contains(versions, v) }):
		return errNotModern
	}
	return fmt.Errorf("the server speaks the revisions %.200q, none of which this gateway does", versions)
}

// readDiscovered reads a DiscoverResult. What it keeps does not alias the
// message.
func readDiscovered(m jsonrpc.Message) (*Hello, error) {
	supported, _ := jsonrpc.Lookup(m.Raw, m.Result, "supportedVersions")
	if err := pickVersion(m.Raw, supported); err != nil {
		return nil, err
	}
	h := &Hello{Version: latestModern}
	if err := readServer(h, m); err != nil {
		return nil, err
	}
	if at, ok := jsonrpc.Lookup(m.Raw, m.Result, "_meta", metaServerInfo); ok && m.Raw[at.Start] == '{' {
		h.ServerInfo = append([]byte(nil), at.Of(m.Raw)...)
	}
	return h, nil
}
