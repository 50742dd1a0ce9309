package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a Sender and the receivers it can reach, in a bubble of time: real
// HTTP over pipes.
type world struct {
	*Sender
	t     *testing.T
	log   bytes.Buffer
	begun time.Time
	stop  func()

	mu     sync.Mutex // guards the rest, and log
	hosts  map[string]*receiver
	counts map[string]int // "event outcome"
}

// Write implements io.Writer for the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

func (w *world) logged() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.String()
}

// start runs a Sender until the test ends or stop is called.
func start(t *testing.T, hooks ...Webhook) *world {
	t.Helper()
	w := &world{t: t, hosts: make(map[string]*receiver), counts: make(map[string]int), begun: time.Now()}
	w.Sender = New(Options{
		Log: slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "1.2",
		Count: func(e Event, outcome string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.counts[string(e)+" "+outcome]++
		},
		Transport: &http.Transport{DialContext: w.dial},
	})
	w.Apply(Config{hooks})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	var once sync.Once
	w.stop = func() { once.Do(func() { cancel(); <-done }) }
	t.Cleanup(func() {
		w.stop()
		for _, r := range w.hosts {
			_ = r.server.Close()
			<-r.served
		}
		synctest.Wait()
		if s := w.logged(); strings.Contains(s, "s3cret") {
			t.Errorf("a secret is in the log:\n%s", s)
		}
	})
	return w
}

// count returns how often an outcome was told.
func (w *world) count(e Event, outcome string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[string(e)+" "+outcome]
}

// dial reaches the receiver of the host, and nothing for a host without one.
func (w *world) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(address)
	w.mu.Lock()
	r := w.hosts[host]
	w.mu.Unlock()
	if r == nil {
		return nil, fmt.Errorf("no host %s", host)
	}
	return r.pipe.Dial(ctx, network, address)
}

// receiver is a webhook's other end.
type receiver struct {
	w      *world
	server *http.Server
	served chan struct{}
	pipe   *addrtest.Pipe // to it

	mu  sync.Mutex // guards got
	got []arrival
}

// arrival is one attempt as its receiver saw it.
type arrival struct {
	after  time.Duration // since the beginning of the test
	header http.Header
	path   string
	body   string
	alert  Alert
}

// receive makes host answer as handle does, which is told the number of the
// attempt, from 1. A nil handle answers 204.
func (w *world) receive(host string, handle func(n int, w http.ResponseWriter, r *http.Request)) *receiver {
	r := &receiver{w: w, pipe: addrtest.NewPipe(), served: make(chan struct{})}
	r.server = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			w.t.Errorf("%s: reading the body: %v", host, err)
		}
		a := arrival{after: time.Since(w.begun), header: q.Header, path: q.URL.Path, body: string(body)}
		if err := json.Unmarshal(body, &a.alert); err != nil {
			w.t.Errorf("%s got %q: %v", host, body, err)
		}
		r.mu.Lock()
		r.got = append(r.got, a)
		n := len(r.got)
		r.mu.Unlock()
		if handle == nil {
			rw.WriteHeader(http.StatusNoContent)
			return
		}
		handle(n, rw, q)
	})}
	go func() { defer close(r.served); _ = r.server.Serve(r.pipe) }()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[host] = r
	return r
}

// arrivals returns the attempts so far.
func (r *receiver) arrivals() []arrival {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]arrival(nil), r.got...)
}

// events returns what arrived as "event upstream".
func (r *receiver) events() []string {
	var out []string
	for _, a := range r.arrivals() {
		out = append(out, string(a.alert.Event)+" "+a.alert.Upstream)
	}
	return out
}

// status answers with one code after the other, the last one for ever.
func status(codes ...int) func(int, http.ResponseWriter, *http.Request) {
	return func(n int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(codes[min(n, len(codes))-1]) }
}

// hangs answers nothing until the client goes away.
func hangs(_ int, _ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// down is an alert of an outage that began now.
func down(e Event, upstream string) Alert {
	now := time.Now()
	return Alert{Event: e, Upstream: upstream, State: "error", At: now, DownSince: &now}
}

// later sleeps, and waits until all that was due is done.
func later(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}
