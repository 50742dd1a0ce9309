package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// remote is the way to one remote server: its address, the headers it is sent
// and a pool of connections that all links to it share.
type remote struct {
	url       *url.URL
	header    http.Header // as configured; nobody writes to it
	host      string      // the configured Host, "" for the url's
	connect   connectFunc
	conns     *conns // for plain HTTP/1.1; nil where only transport will do
	transport *http.Transport
	refs      int // guarded by remotes.mu
}

// remotes shares one remote among the links of one upstream, so that a thousand
// client sessions do not keep a thousand idle connections.
type remotes struct {
	connect connectFunc // nil for a net.Dialer's
	mu      sync.Mutex  // guards m and the refs of what is in it
	m       map[string]*remote
}

// connectFunc makes one connection.
type connectFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// get returns the remote for c, which the caller must release.
func (r *remotes) get(c *Config) (*remote, error) {
	key := c.Name + "\x00" + c.RestartKey()
	r.mu.Lock()
	defer r.mu.Unlock()
	if x := r.m[key]; x != nil {
		x.refs++
		return x, nil
	}
	x, err := newRemote(c, r.connect)
	if err != nil {
		return nil, err
	}
	if r.m == nil {
		r.m = make(map[string]*remote)
	}
	x.refs = 1
	r.m[key] = x
	return x, nil
}

// release gives x back; the last one to do so closes its idle connections.
func (r *remotes) release(x *remote) {
	r.mu.Lock()
	defer r.mu.Unlock()
	x.refs--
	if x.refs > 0 {
		return
	}
	for key, y := range r.m {
		if y == x {
			delete(r.m, key)
		}
	}
	x.transport.CloseIdleConnections()
	if x.conns != nil {
		x.conns.end()
	}
}

func newRemote(c *Config, connect connectFunc) (*remote, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("the url cannot be parsed") // url.Error would repeat it, password and all
	}
	conf, err := clientTLS(c.TLS)
	if err != nil {
		return nil, err
	}
	x := &remote{url: u, header: make(http.Header)}
	x.header.Set("User-Agent", "interlock")
	if u.User != nil {
		password, _ := u.User.Password()
		basic := http.Request{Header: x.header}
		basic.SetBasicAuth(u.User.Username(), password)
		u.User = nil
	}
	for k, v := range c.Headers {
		if http.CanonicalHeaderKey(k) == "Host" {
			x.host = v
			continue
		}
		x.header.Set(k, v)
	}
	if connect == nil {
		connect = (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	x.connect = connect
	x.transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := connect(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return &countedConn{Conn: conn}, nil
		},
		TLSClientConfig:     conf,
		TLSHandshakeTimeout: 15 * time.Second,
		ForceAttemptHTTP2:   true,
		// A dead peer is noticed although nothing is sent while a call runs. There
		// is no ResponseHeaderTimeout: a server that answers in JSON sends its
		// header when the tool is done, and the caller's context bounds that.
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    max(c.Limits.InFlight, 64),
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		// What is compressed is compared with no limit until it is unpacked.
		DisableCompression: true,
	}
	if lean && x.plain() {
		x.conns = newConns(u, connect, x.transport.MaxIdleConnsPerHost)
	}
	return x, nil
}

// plain reports whether all that is sent there can go over conns: HTTP without
// TLS or a proxy, and nothing configured that net/http would see to or refuse.
func (r *remote) plain() bool {
	host := r.host
	if host == "" {
		host = r.url.Host
	}
	for _, name := range [...]string{"Connection", "Content-Length", "Expect", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade"} {
		if r.header[name] != nil {
			return false
		}
	}
	for name, values := range r.header {
		for _, v := range values {
			if !(field{name, v}).plain() {
				return false
			}
		}
	}
	for i := range len(host) {
		if c := host[i]; c <= ' ' || c >= 0x7f || c == '%' {
			return false
		}
	}
	return r.url.Scheme == "http" && !strings.HasSuffix(host, ":") && host != "" && !r.proxied()
}

// proxied reports whether the environment names a proxy for the remote, or may.
func (r *remote) proxied() bool {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: r.url})
	return proxy != nil || err != nil
}

// send sends q and blocks for the header of the response. ctx bounds all of the
// exchange, also its body, and so does l. The error is a *TransportError.
func (r *remote) send(ctx context.Context, l *life, q *outgoing) (*response, *TransportError) {
	if r.conns != nil {
		return r.conns.send(ctx, l, q)
	}
	return r.post(ctx, l, q)
}

// ClientTLS returns what connections to the upstream trust and show, from the files
// that its key tls names.
func (c *Config) ClientTLS() (*tls.Config, error) { return clientTLS(c.TLS) }

func clientTLS(c TLS) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, fmt.Errorf("tls.ca: %w", err)
		}
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("tls.ca: %s holds no certificate", c.CA)
		}
		conf.RootCAs = pool
	}
	if c.Cert != "" || c.Key != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("tls.cert: %w", err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	return conf, nil
}

// sameOrigin reports whether credentials meant for a may be sent to b.
func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// countedConn counts what was written, which decides whether a failed request
// can have been executed.
type countedConn struct {
	net.Conn
	written atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

// counted finds the counter below conn, through any layers of TLS. nil for none.
func counted(conn net.Conn) *countedConn {
	for {
		switch c := conn.(type) {
		case *countedConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
