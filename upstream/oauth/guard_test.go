package oauth

import (
	"bufio"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// internet is a server with TLS that stands for all that Guards connect to.
type internet struct {
	*httptest.Server
	mu        sync.Mutex
	connected []string // the addresses that guards connected to, IP:port
}

func newInternet(t *testing.T, h http.Handler) *internet {
	t.Helper()
	n := &internet{Server: httptest.NewTLSServer(h)}
	t.Cleanup(n.Close)
	return n
}

// guard returns a Guard whose allowed connections end at the server.
func (n *internet) guard(t *testing.T, upstream string, networks []string, z *zone) *http.Client {
	t.Helper()
	c := Guard(upstream, networks, GuardOptions{
		Resolver: z.resolver(t), TLS: n.trust(), Proxy: noProxy,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			n.mu.Lock()
			n.connected = append(n.connected, address)
			n.mu.Unlock()
			return new(net.Dialer).DialContext(ctx, network, n.Listener.Addr().String())
		},
	})
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// trust is a configuration that trusts the server by whatever name.
func (n *internet) trust() *tls.Config {
	conf := n.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	conf.ServerName = "example.com"
	return conf
}

func noProxy(*http.Request) (*url.URL, error) { return nil, nil }

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }

// get fetches and returns the body; the error may be of the body.
func get(t *testing.T, c *http.Client, url string) (string, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// refusal fails the test if err is none of a Guard, and returns it.
func refusal(t *testing.T, err error) *RefusedError {
	t.Helper()
	var r *RefusedError
	if !errors.As(err, &r) {
		t.Fatalf("not refused: %v", err)
	}
	return r
}

func TestGuardAddresses(t *testing.T) {
	z := newZone(map[string]string{
		"as.test": "8.8.8.8", "six.test": "2606:4700::1111", "loop.test": "127.0.0.1", "ten.test": "10.1.2.3", "ula.test": "fd12::1",
		"tail.test": "100.64.0.1", "clash.test": "198.18.0.7", "meta.test": "169.254.169.254", "aws6.test": "fd00:ec2::254",
		"zero.test": "0.0.0.0", "multi.test": "224.0.0.1", "mapped.test": "::ffff:10.1.2.3", "nat64.test": "64:ff9b::a9fe:a9fe",
		"nat64ok.test": "64:ff9b::808:808", "teredo.test": "2001::1", "mcp.test": "8.8.4.4", "mcp.corp.example": "10.9.9.9",
		"sso.corp.example": "10.1.1.1", "wiki.local": "10.2.2.2",
	})
	n := newInternet(t, http.HandlerFunc(ok))
	for _, c := range []struct {
		name, upstream, host string
		networks             []string
		why                  string // "" is allowed
	}{
		{name: "public", host: "as.test"},
		{name: "public IPv6", host: "six.test"},
		{name: "public literal", host: "9.9.9.9"},
		{name: "public literal IPv6", host: "[2606:4700::1111]"},
		{name: "public through NAT64", host: "nat64ok.test"},
		{name: "loopback", host: "loop.test", why: "a loopback address"},
		{name: "loopback literal", host: "127.0.0.1", why: "it is a loopback address"},
		{name: "loopback mapped", host: "[::ffff:127.0.0.1]", why: "a loopback address"},
		{name: "private", host: "ten.test", why: "ten.test is at 10.1.2.3, a private address"},
		{name: "unique local", host: "ula.test", why: "a private address"},
		{name: "shared", host: "tail.test", why: "a shared address"},
		{name: "benchmark", host: "clash.test", why: "a benchmark address"},
		{name: "link-local", host: "meta.test", why: "a link-local address"},
		{name: "link-local literal", host: "169.254.169.254", why: "a link-local address"},
		{name: "metadata IPv6", host: "aws6.test", why: "a cloud metadata address"},
		{name: "unspecified", host: "zero.test", why: "an unspecified address"},
		{name: "unspecified literal", host: "[::]", why: "an unspecified address"},
		{name: "multicast", host: "multi.test", why: "a multicast address"},
		{name: "mapped", host: "mapped.test", why: "a private address"},
		{name: "NAT64", host: "nat64.test", why: "a link-local address"},
		{name: "Teredo", host: "teredo.test", why: "a reserved address"},

		{name: "named", host: "ten.test", networks: []string{"10.0.0.0/8"}},
		{name: "named mapped", host: "mapped.test", networks: []string{"10.0.0.0/8"}},
		{name: "another named", host: "ten.test", networks: []string{"10.0.0.0/16"}, why: "a private address"},
		{name: "nonsense named", host: "ten.test", networks: []string{"10.0.0.0"}, why: "a private address"},
		{name: "all named, but metadata", host: "meta.test", networks: []string{"0.0.0.0/0", "::/0"}, why: "a link-local address"},
		{name: "metadata named", host: "meta.test", networks: []string{"169.254.169.254/32"}},

		{name: "loopback beside loopback", upstream: "http://127.0.0.1:80/mcp", host: "localhost"},
		{name: "private beside loopback", upstream: "http://127.0.0.1:80/mcp", host: "ten.test", why: "a private address"},
		{name: "loopback beside private", upstream: "https://10.0.0.1/mcp", host: "loop.test", why: "a loopback address"},
		{name: "private beside private", upstream: "https://10.0.0.1/mcp", host: "ten.test"},
		{name: "private IPv6 beside private", upstream: "https://10.0.0.1/mcp", host: "ula.test"},
		{name: "private beside a local name", upstream: "https://wiki.local/mcp", host: "ten.test"},
		{name: "private of one site", upstream: "https://mcp.corp.example/mcp", host: "sso.corp.example"},
		{name: "private of another site", upstream: "https://mcp.corp.example/mcp", host: "ten.test", why: "a private address"},
		{name: "literal beside a name", upstream: "https://mcp.corp.example/mcp", host: "10.1.1.1", why: "it is a private address"},
		{name: "link-local beside link-local", upstream: "https://169.254.1.1/mcp", host: "169.254.169.254", why: "a link-local address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			upstream := c.upstream
			if upstream == "" {
				upstream = "https://mcp.test/mcp"
			}
			n.connected = nil
			_, err := get(t, n.guard(t, upstream, c.networks, z), "https://"+c.host+"/")
			if c.why == "" {
				if err != nil || len(n.connected) != 1 {
					t.Fatalf("want it fetched: %v, connected to %v", err, n.connected)
				}
				return
			}
			if r := refusal(t, err); !strings.Contains(r.Why, c.why) || !strings.Contains(r.Why, "auth.networks") {
				t.Errorf("refused because %q, want %q", r.Why, c.why)
			}
			if len(n.connected) > 0 {
				t.Errorf("connected to %v", n.connected)
			}
			// The system's dialer comes to the same end, by Control.
			real := Guard(upstream, c.networks, GuardOptions{Resolver: z.resolver(t), Proxy: noProxy})
			_, err = get(t, real, "https://"+c.host+"/")
			refusal(t, err)
		})
	}
}

// A name that leads to a public address when it is looked at and to another one when it
// is connected to, and an upstream whose own name changes, open nothing.
func TestGuardRebinding(t *testing.T) {
	z := newZone(map[string]string{"victim.test": "10.0.0.5"})
	turn := func(answers ...string) func() []string {
		asked := 0
		return func() []string { // A and AAAA are asked for at once
			a := answers[min(asked/2, len(answers)-1)]
			asked++
			return []string{a}
		}
	}
	z.names["as.test"] = turn("8.8.8.8", "127.0.0.1")
	z.names["mcp.evil.test"] = turn("10.0.0.1")
	n := newInternet(t, http.HandlerFunc(ok))
	c := n.guard(t, "https://mcp.evil.test/mcp", nil, z)
	if _, err := get(t, c, "https://as.test/"); err != nil {
		t.Fatal(err)
	}
	c.CloseIdleConnections()
	_, err := get(t, c, "https://as.test/")
	if r := refusal(t, err); !strings.Contains(r.Why, "127.0.0.1") {
		t.Error(r.Why)
	}
	_, err = get(t, c, "https://victim.test/")
	if r := refusal(t, err); !strings.Contains(r.Why, "10.0.0.5") {
		t.Error(r.Why)
	}
	if len(n.connected) != 1 {
		t.Errorf("connected to %v", n.connected)
	}
}

func TestGuardURLs(t *testing.T) {
	n := newInternet(t, http.HandlerFunc(ok))
	z := newZone(map[string]string{"as.test": "8.8.8.8", "away.localhost": "8.8.8.8"})
	c := n.guard(t, "http://127.0.0.1/mcp", nil, z)
	for url, why := range map[string]string{
		"http://as.test/":             "it must be https",
		"http://10.0.0.1/":            "it must be https",
		"http://away.localhost/":      "not on this machine",
		"ftp://as.test/":              "it must be https",
		"javascript:alert(1)":         "names no host",
		"file:///etc/passwd":          "names no host",
		"https:///":                   "names no host",
		"https://user:pass@as.test/":  "a user name or a password",
		"http://127.0.0.1.evil.test/": "it must be https",
	} {
		_, err := get(t, c, url)
		if err != nil && strings.Contains(err.Error(), "no Host in request URL") {
			continue // http.Client's own
		}
		if r := refusal(t, err); !strings.Contains(r.Why, why) || strings.Contains(r.Error(), "pass@") {
			t.Errorf("%s: %v", url, r)
		}
	}
	plain := httptest.NewServer(http.HandlerFunc(ok))
	defer plain.Close()
	real := Guard("http://127.0.0.1/mcp", nil, GuardOptions{Proxy: noProxy})
	defer real.CloseIdleConnections()
	if body, err := get(t, real, plain.URL); err != nil || body != "fine" {
		t.Errorf("http to loopback: %q, %v", body, err)
	}
	public := Guard("https://mcp.test/mcp", nil, GuardOptions{Proxy: noProxy, Resolver: newZone(map[string]string{"mcp.test": "8.8.8.8"}).resolver(t)})
	_, err := get(t, public, plain.URL)
	refusal(t, err)
}

func TestGuardRedirects(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.Query().Get("u"), http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/count/", func(w http.ResponseWriter, r *http.Request) {
		if left := strings.TrimPrefix(r.URL.Path, "/count/"); left != "" {
			http.Redirect(w, r, "/count/"+left[1:], http.StatusFound)
		}
	})
	mux.HandleFunc("/ok", ok)
	n := newInternet(t, mux)
	c := n.guard(t, "https://127.0.0.1/mcp", nil, newZone(map[string]string{"as.test": "8.8.8.8", "ten.test": "10.0.0.1"}))
	to := func(u string) string { return "https://as.test/to?u=" + url.QueryEscape(u) }
	for _, good := range []string{to("https://as.test/ok"), to("/ok"), "https://as.test/count/xxxxx"} {
		if _, err := get(t, c, good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for u, why := range map[string]string{
		to("https://169.254.169.254/latest/meta-data"): "link-local",
		to("https://ten.test/"):                        "private",
		to("http://127.0.0.1/"):                        "a redirect from https to http",
		to("ftp://as.test/"):                           "a redirect from https to ftp",
		"https://as.test/count/xxxxxx":                 "after 5 others",
	} {
		_, err := get(t, c, u)
		if r := refusal(t, err); !strings.Contains(r.Why, why) {
			t.Errorf("%s: %v", u, r)
		}
	}
	resp, err := c.PostForm(to("https://as.test/ok"), url.Values{"code": {"s3cret"}})
	if err == nil {
		_ = resp.Body.Close()
	}
	if r := refusal(t, err); !strings.Contains(r.Why, "redirects of POST") {
		t.Error(r)
	}
	_, err = get(t, c, to("https://ten.test/?code=s3cret"))
	if text := plainly(err).Error(); strings.Contains(text, "s3cret") {
		t.Error("the query is shown")
	}
}

// What is asked of a proxy is checked as far as this machine knows where it leads; the
// proxy itself may be anywhere.
func TestGuardProxy(t *testing.T) {
	n := newInternet(t, http.HandlerFunc(ok))
	var asked []string
	var tunnels sync.WaitGroup
	defer tunnels.Wait()
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Host)
		there, err := new(net.Dialer).DialContext(t.Context(), "tcp", n.Listener.Addr().String())
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, buf, _ := http.NewResponseController(w).Hijack()
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		tunnels.Go(func() { relay(here, buf.Reader, there) })
	}))
	defer proxy.Close()
	at, _ := url.Parse(proxy.URL)
	z := newZone(map[string]string{"as.test": "8.8.8.8", "ten.test": "10.0.0.1", "split.test": "8.8.8.8 10.0.0.1"})
	c := Guard("https://mcp.test/mcp", nil, GuardOptions{
		Resolver: z.resolver(t), TLS: n.trust(), Proxy: func(*http.Request) (*url.URL, error) { return at, nil },
	})
	defer c.CloseIdleConnections()
	for _, good := range []string{"https://as.test/", "https://only-the-proxy-knows.test/"} {
		if body, err := get(t, c, good); err != nil || body != "fine" {
			t.Errorf("%s: %q, %v", good, body, err)
		}
	}
	for _, bad := range []string{"https://ten.test/", "https://split.test/", "https://10.0.0.1/", "https://[::ffff:169.254.169.254]/", "https://127.0.0.1/", "http://localhost/"} {
		_, err := get(t, c, bad)
		refusal(t, err)
	}
	if len(asked) != 2 {
		t.Errorf("the proxy was asked for %v", asked)
	}
	broken := Guard("https://mcp.test/mcp", nil, GuardOptions{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("HTTPS_PROXY is no URL") }})
	if _, err := get(t, broken, "https://as.test/"); err == nil || !strings.Contains(err.Error(), "proxy of the environment: HTTPS_PROXY") {
		t.Error(err)
	}
}

func relay(here net.Conn, r *bufio.Reader, there net.Conn) {
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(there, r); _ = there.Close() })
	both.Go(func() { _, _ = io.Copy(here, there); _ = here.Close() })
	both.Wait()
}

func TestGuardBodies(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/most", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxFetched)) })
	mux.HandleFunc("/more", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, maxFetched+1)) })
	mux.HandleFunc("/bomb", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = z.Write(make([]byte, 64<<20))
		_ = z.Close()
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 128<<10)) })
	n := newInternet(t, mux)
	c := n.guard(t, "https://mcp.test/mcp", nil, newZone(map[string]string{"as.test": "8.8.8.8"}))
	if body, err := get(t, c, "https://as.test/most"); err != nil || len(body) != maxFetched {
		t.Errorf("%d bytes, %v", len(body), err)
	}
	for _, path := range []string{"more", "bomb", "endless"} {
		if body, err := get(t, c, "https://as.test/"+path); !errors.Is(err, errTooLarge) || len(body) != maxFetched {
			t.Errorf("%s: %d bytes, %v", path, len(body), err)
		}
	}
	if _, err := get(t, c, "https://as.test/header"); err == nil {
		t.Error("a header of 128 KiB was taken")
	}
}
