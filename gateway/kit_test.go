package gateway

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

func TestMain(m *testing.M) {
	if mode := os.Getenv(upstreamtest.Mode); mode != "" {
		os.Exit(upstreamtest.Main(mode))
	}
	goleak.VerifyTestMain(m)
}

// rig is a whole gateway in front of scripted servers, on a real listener.
type rig struct {
	*Gateway
	t      *testing.T
	dialer *linktest.Dialer
	url    string
	web    *http.Client
	stop   func()
}

// settings returns a configuration with an upstream for each name; a name may
// carry a transport: "remote=http".
func settings(t *testing.T, names ...string) *config.Config {
	t.Helper()
	cfg := config.Defaults()
	cfg.StateDir = t.TempDir()
	for _, n := range names {
		name, kind, _ := strings.Cut(n, "=")
		u := upstream.Defaults()
		u.Name = name
		if kind == "http" {
			u.URL = "http://127.0.0.1:1/mcp"
		} else {
			u.Command = "fake"
		}
		cfg.Upstreams = append(cfg.Upstreams, u)
	}
	return &cfg
}

// start runs a gateway for cfg until the test ends or stop is called.
func start(t *testing.T, cfg *config.Config, d *linktest.Dialer) *rig {
	t.Helper()
	r := startWith(t, cfg, Options{Dialer: d})
	r.dialer = d
	return r
}

// startWith is start with options of the test's own.
func startWith(t *testing.T, cfg *config.Config, o Options) *rig {
	t.Helper()
	o.Version = "test"
	g, err := New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	return serveGateway(t, g)
}

// serveGateway runs g until the test ends or stop is called.
func serveGateway(t *testing.T, g *Gateway) *rig {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	r := &rig{Gateway: g, t: t}
	shut := r.listen()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			g.Drain(done0())
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
			shut()
		})
	}
	t.Cleanup(r.stop)
	return r
}

// listen serves the gateway on a real listener, in a bubble of time on pipes.
func (r *rig) listen() (shut func()) {
	if inBubble() {
		l := addrtest.NewPipe()
		srv := r.Server()
		served := make(chan struct{})
		go func() { defer close(served); _ = srv.Serve(r.Listener(l)) }()
		t := &http.Transport{DialContext: l.Dial, TLSClientConfig: anyServer()}
		r.url, r.web = r.scheme()+"localhost", &http.Client{Transport: t}
		return func() { _ = srv.Close(); <-served; t.CloseIdleConnections() }
	}
	srv := httptest.NewUnstartedServer(nil)
	srv.Config = r.Server()
	srv.Listener = r.Listener(srv.Listener)
	srv.Start()
	r.url, r.web = r.scheme()+srv.Listener.Addr().String(), srv.Client()
	r.web.Transport.(*http.Transport).TLSClientConfig = anyServer()
	r.web.Timeout = time.Minute // a test that hangs says where
	return func() { srv.CloseClientConnections(); srv.Close() }
}

func (r *rig) scheme() string {
	if r.cfg.Load().Server.TLS.Enabled() {
		return "https://"
	}
	return "http://"
}

// anyServer is for clients that do not ask whom they talk to.
func anyServer() *tls.Config { return &tls.Config{InsecureSkipVerify: true} } //nolint:gosec // for tests

// inBubble reports whether the test runs under synctest, whose clock stands at
// the year 2000 at first.
func inBubble() bool { return time.Now().Year() < 2020 }

func done0() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// running blocks until every upstream runs, and clients see what it offers.
func (r *rig) running() *rig {
	r.t.Helper()
	return r.until(func() bool {
		return !slices.ContainsFunc(r.set.Upstreams(), func(u *upstream.Upstream) bool { return u.Status().State != upstream.Running })
	})
}

// until blocks until upstreams are as is says, and clients see what they have come to.
func (r *rig) until(is func() bool) *rig {
	r.t.Helper()
	patience := 5 * time.Minute
	if inBubble() {
		patience = 24 * time.Hour
	}
	limit, stop := context.WithTimeout(r.t.Context(), patience)
	defer stop()
	for !is() || !r.Alive(limit) {
		select {
		case <-r.Changed():
		case <-limit.Done():
			var came []string
			for _, u := range r.set.Upstreams() {
				came = append(came, u.Name()+" is "+string(u.Status().State))
			}
			r.t.Fatalf("the upstreams did not come to that: %q", came)
		}
	}
	return r
}

// errored is for until: the upstream of that name is in error.
func (r *rig) errored(name string) func() bool {
	return func() bool { return r.set.Upstream(name).Status().State == upstream.Errored }
}

// client is a legacy client over streamable HTTP.
type client struct {
	r       *rig
	path    string
	session string
	version string
	key     string // sent as a bearer token, "" for none
}

// connect initializes a session with the capabilities, a JSON object.
func (r *rig) connect(capabilities string) *client {
	return r.connectAt("/mcp", "2025-11-25", capabilities)
}

func (r *rig) connectAt(path, version, capabilities string) *client {
	r.t.Helper()
	return (&client{r: r, path: path, version: version}).begin(capabilities)
}

// begin initializes the client's session.
func (c *client) begin(capabilities string) *client {
	r, version := c.r, c.version
	r.t.Helper()
	resp := c.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":%q,"capabilities":%s,"clientInfo":{"name":"t","version":"1"}}}`, version, capabilities))
	c.session = resp.header.Get("Mcp-Session-Id")
	if c.session == "" {
		r.t.Fatalf("initialize: %d %s", resp.status, resp.body)
	}
	c.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return c
}

// reply is an HTTP answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// request makes a request with the session's headers.
func (c *client) request(ctx context.Context, method, body string) *http.Request {
	c.r.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.r.url+c.path, strings.NewReader(body))
	if err != nil {
		c.r.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if c.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.key)
	}
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
		req.Header.Set("Mcp-Protocol-Version", c.version)
	}
	return req
}

func (c *client) do(req *http.Request) reply {
	c.r.t.Helper()
	resp, err := c.r.web.Do(req)
	if err != nil {
		c.r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		c.r.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(body)}
}

// post sends a body and reads the whole answer.
func (c *client) post(body string) reply {
	c.r.t.Helper()
	return c.do(c.request(c.r.t.Context(), http.MethodPost, body))
}

// events opens a stream and returns its events until it ends.
func (c *client) events(ctx context.Context, req *http.Request) <-chan jsonrpc.Event {
	c.r.t.Helper()
	resp, err := c.r.web.Do(req.WithContext(ctx))
	if err != nil {
		c.r.t.Fatal(err)
	}
	if ct := resp.Header.Get("Content-Type"); ct != "text/event-stream" {
		body, _ := io.ReadAll(resp.Body)
		c.r.t.Fatalf("no stream but %d %s %s", resp.StatusCode, ct, body)
	}
	out := make(chan jsonrpc.Event, 100)
	go func() {
		defer close(out)
		defer resp.Body.Close()
		in := jsonrpc.NewEventReader(resp.Body, 1<<20)
		for {
			e, err := in.Next()
			if err != nil {
				return
			}
			out <- e
		}
	}()
	return out
}

// listen opens the standing stream.
func (c *client) listen(ctx context.Context) <-chan jsonrpc.Event {
	return c.events(ctx, c.request(ctx, http.MethodGet, ""))
}

// next returns the next message on a stream, skipping events without one.
func (c *client) next(events <-chan jsonrpc.Event) string {
	c.r.t.Helper()
	for e := range events {
		if len(e.Data) > 0 {
			return string(e.Data)
		}
	}
	return ""
}

// result decodes the result of an answer.
func (r reply) result(t *testing.T) map[string]any {
	t.Helper()
	var m struct {
		Result map[string]any
		Error  json.RawMessage
	}
	if err := json.Unmarshal([]byte(r.body), &m); err != nil || m.Result == nil {
		t.Fatalf("no result: %d %s", r.status, r.body)
	}
	return m.Result
}

// rpcCode returns the code of the JSON-RPC error in an answer, 0 for none.
func (r reply) rpcCode() int {
	var m struct{ Error struct{ Code int } }
	_ = json.Unmarshal([]byte(r.body), &m)
	return m.Error.Code
}

// calls is a tools/call as a client writes it.
func calls(id, tool, arguments string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":%q,"arguments":%s}}`, id, tool, arguments)
}

// echo answers tools/call with its own params as text, and the rest well.
func echo(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
	if method != "tools/call" {
		return nil, nil
	}
	sent := r.Edits.Apply(nil, r.Message.Raw)
	m, err := jsonrpc.ParseServer(sent)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString(`{"content":[{"type":"text","text":`)
	b.Write(jsonrpc.AppendString(nil, string(m.Params.Of(m.Raw))))
	b.WriteString(`}]}`)
	return b.Bytes(), nil
}

// dialer reaches a server a that has one tool.
func dialer(tool string) *linktest.Dialer {
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{tool}
	return d
}
