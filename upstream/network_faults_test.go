package upstream_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// network is a remote server with a network before it that can be made bad.
type network struct {
	t     *testing.T
	fake  *upstreamtest.Remote
	proxy *toxiproxy.Proxy
	set   *upstream.Set
}

// fresh reports whether each request is to have a connection of its own: a fault
// begins with one, and what the proxy closes is closed a moment later.
func fresh(modes string) bool { return strings.Contains(modes, "fresh") }

// behind runs a set with one remote, a, until the test ends.
func behind(t *testing.T, modes string, change func(*upstream.Config)) *network {
	t.Helper()
	n := &network{t: t, fake: upstreamtest.NewRemote(modes, map[string]string{upstreamtest.NonceFile: filepath.Join(t.TempDir(), "nonces")})}
	srv := httptest.NewUnstartedServer(n.fake)
	srv.Config.SetKeepAlivesEnabled(!fresh(modes))
	srv.Start()
	t.Cleanup(srv.Close)
	n.proxy = toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "a", addrtest.Free(t), srv.Listener.Addr().String())
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Stop)
	c := upstream.Defaults()
	c.Name, c.URL = "a", "http://"+n.proxy.Listen+"/mcp"
	c.CallTimeout = patient
	if change != nil {
		change(&c)
	}
	dialer, err := upstream.NewDialer(upstream.DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n.set = upstream.NewSet(upstream.Options{Dialer: dialer})
	if _, err := n.set.Apply([]upstream.Config{c}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error)
	go func() { over <- n.set.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-over })
	late := time.After(patient)
	for n.set.Upstream("a").Status().State != upstream.Running {
		select {
		case <-n.set.Changed():
		case <-late:
			t.Fatal("it did not start")
		}
	}
	return n
}

// patient is how long a test waits for what must come.
const patient = time.Minute

// bad puts a toxic in the way; the function returned takes it away, and with it
// the connections that it was in.
func (n *network) bad(toxic string) (mend func()) {
	n.t.Helper()
	x, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	if err != nil {
		n.t.Fatal(err)
	}
	return func() {
		if err := n.proxy.Toxics.RemoveToxic(context.Background(), x.Name); err != nil {
			n.t.Error(err)
		}
	}
}

// F14: what a network does to a call, and what is said of it: `no` only when no
// byte of it was written. Once the network is well calls go through again.
func TestNetworkFaults(t *testing.T) {
	for _, c := range []struct {
		name, toxic string
		executed    upstream.Executed // "" for an answer
		reason      string
	}{
		{"refused", "", upstream.ExecutedNo, "dial"},
		{"black hole on the way there", `{"type":"timeout","stream":"upstream","attributes":{"timeout":0}}`, upstream.ExecutedUnknown, "timeout"},
		{"black hole on the way back", `{"type":"timeout","attributes":{"timeout":0}}`, upstream.ExecutedUnknown, "timeout"},
		{"reset on the way there", `{"type":"reset_peer","stream":"upstream","attributes":{"timeout":0}}`, upstream.ExecutedUnknown, "reset"},
		{"reset on the way back", `{"type":"reset_peer","attributes":{"timeout":0}}`, upstream.ExecutedUnknown, "reset"},
		{"ends after some bytes of the request", `{"type":"limit_data","stream":"upstream","attributes":{"bytes":100}}`, upstream.ExecutedUnknown, "reset"},
		{"ends after some bytes of the answer", `{"type":"limit_data","attributes":{"bytes":100}}`, upstream.ExecutedUnknown, "reset"},
		{"slow to come", `{"type":"latency","attributes":{"latency":200}}`, "", ""},
		{"slow to flow", `{"type":"slicer","attributes":{"average_size":20,"size_variation":5,"delay":1000}}`, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			modes := "session"
			if c.toxic == "" {
				modes += ",fresh"
			}
			n := behind(t, modes, func(u *upstream.Config) {
				if c.reason == "timeout" {
					u.CallTimeout = 300 * time.Millisecond
				}
			})
			var mend func()
			if c.toxic == "" {
				n.proxy.Stop()
				mend = func() {
					if err := n.proxy.Start(); err != nil {
						t.Error(err)
					}
				}
			} else {
				mend = n.bad(c.toxic)
			}
			_, err := n.set.Upstream("a").Call(t.Context(), tool("nonce"))
			var e *upstream.CallError
			if errors.As(err, &e); c.executed == "" && err != nil || c.executed != "" && (e == nil || e.Executed != c.executed || e.Reason != c.reason) {
				t.Errorf("%+v, want executed %q, reason %q", err, c.executed, c.reason)
			}
			// Where nothing was written nothing came; and nothing is sent twice.
			if asked := n.fake.Asked(); asked > 1 || c.executed == upstream.ExecutedNo && asked != 0 {
				t.Errorf("the server was asked %d times", asked)
			}
			mend()
			late := time.After(3 * patient) // its recovery has pauses
			for {                           // until the recovery, or the next connection, finds it well
				if _, err = n.set.Upstream("a").Call(t.Context(), tool("echo")); err == nil {
					return
				}
				select {
				case <-time.After(10 * time.Millisecond):
				case <-late:
					t.Fatal(err)
				}
			}
		})
	}
}

// F15: the way back ends after each number of bytes of an answer, as JSON and as
// a stream: a success if the result was whole, else unknown; never sent twice.
func TestAnswersCutAnywhere(t *testing.T) {
	for _, streamed := range []bool{false, true} {
		t.Run(fmt.Sprintf("stream=%v", streamed), func(t *testing.T) {
			t.Parallel()
			n := behind(t, "fresh", func(u *upstream.Config) { u.Breaker.Failures, u.Breaker.MinRequests = 1e6, 1e6 })
			a := n.set.Upstream("a")
			ask := func() (string, error) {
				c := tool("echo")
				if streamed {
					c = nonce(t)
				}
				m, err := a.Call(t.Context(), c)
				return string(m.Result.Of(m.Raw)), err
			}
			whole, err := ask()
			if err != nil {
				t.Fatal(err)
			}
			// The whole answer with its head is shorter than that.
			cut, came := 0, 0
			for bytes := 1; bytes < 700; bytes += 7 {
				mend := n.bad(fmt.Sprintf(`{"type":"limit_data","attributes":{"bytes":%d}}`, bytes))
				before := n.fake.Asked()
				got, err := ask()
				var e *upstream.CallError
				switch {
				case err == nil && got == whole:
					came++
				case errors.As(err, &e) && e.Executed == upstream.ExecutedUnknown && e.Reason == "reset":
					if came > 0 {
						t.Errorf("cut after %d bytes: unknown, and with fewer it was whole", bytes)
					}
					cut++
				default:
					t.Fatalf("cut after %d bytes: %s, %v", bytes, got, err)
				}
				if sent := n.fake.Asked() - before; sent > 1 {
					t.Errorf("cut after %d bytes: sent %d times", bytes, sent)
				}
				mend()
			}
			if cut < 10 || came < 10 {
				t.Errorf("%d were cut, %d whole", cut, came)
			}
		})
	}
}

// nonce is a call of the tool nonce, which answers on a stream.
func nonce(t *testing.T) *upstream.Call {
	t.Helper()
	c := tool("nonce")
	var err error
	c.Request.Message, err = jsonrpc.Parse([]byte(`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"nonce","arguments":{"nonce":"n"},"_meta":{"progressToken":1}}}`))
	if err != nil {
		t.Fatal(err)
	}
	c.Request.Peer = deaf{}
	return c
}

// deaf is a client that hears nothing.
type deaf struct{}

func (deaf) Notified(jsonrpc.Message) {}
func (deaf) Asked(*upstream.Question) {}
