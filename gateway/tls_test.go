package gateway

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
)

// secure serves a server a that echoes, over TLS.
func secure(t *testing.T, conf config.ServerTLS) *rig {
	t.Helper()
	cfg := settings(t, "a")
	cfg.Server.TLS = conf
	d := dialer("echo")
	d.Server("a").OnRequest = echo
	return start(t, cfg, d).running()
}

// presenting has the rig's client trust the authority and present the certificates.
func (r *rig) presenting(a *authority, certs ...tls.Certificate) {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	w := r.web.Transport.(*http.Transport)
	w.CloseIdleConnections()
	r.web.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: certs}}
	r.t.Cleanup(r.web.CloseIdleConnections)
}

// loneConn carries all requests over one connection. That of net/http goes on to
// another one when its writer takes 50 ms longer than the answer.
type loneConn struct {
	*tls.Conn
	in *bufio.Reader
}

// lone is one as the rig's client makes them.
func lone(t *testing.T, r *rig) loneConn {
	t.Helper()
	c, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "https://"), r.web.Transport.(*http.Transport).TLSClientConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return loneConn{c, bufio.NewReader(c)}
}

// RoundTrip implements http.RoundTripper.
func (c loneConn) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := req.Write(c); err != nil {
		return nil, err
	}
	return http.ReadResponse(c.in, req)
}

// A large answer arrives whole and a lost client is noticed, whatever carries them.
func TestOverTLS(t *testing.T) {
	for _, over := range overs[1:] {
		t.Run(over, func(t *testing.T) {
			big := strings.Repeat("x", 5<<20)
			hung, gone := make(chan struct{}), make(chan error, 1)
			r := toolOver(t, over, func(ctx context.Context, q *upstream.Request) (json.RawMessage, error) {
				if q.Message.Text(q.Message.ID) == "hang" {
					close(hung)
					<-ctx.Done()
					gone <- context.Cause(ctx)
					return nil, context.Cause(ctx)
				}
				return json.RawMessage(`{"big":"` + big + `"}`), nil
			})
			c := r.caller("{}")
			resp, err := r.web.Do(c.ask(t.Context(), c.body("1", "tools/call", `{"name":"a__do"}`)))
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]int{"h2": 2, "http/1.1": 1}[over]
			if n := whole(resp); n < int64(len(big)) || resp.ProtoMajor != want || resp.TLS.Version < tls.VersionTLS12 {
				t.Errorf("%d bytes over %s", n, resp.Proto)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-hung; cancel() }()
			if _, err := r.web.Do(c.ask(ctx, c.body(`"hang"`, "tools/call", `{"name":"a__do"}`))); err == nil {
				t.Error("a cancelled call was answered")
			}
			if err := <-gone; !errors.Is(err, errClientGone) {
				t.Errorf("the call ended with %v", err)
			}
		})
	}
}

// Older versions of TLS are refused, and plain HTTP is told what is wrong.
func TestOldTLS(t *testing.T) {
	a := newAuthority(t, "test")
	r := secure(t, a.serves(t))
	r.presenting(a)
	conf := r.web.Transport.(*http.Transport).TLSClientConfig
	conf.MinVersion, conf.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	if _, err := r.web.Get(r.url + "/livez"); err == nil || !strings.Contains(err.Error(), "protocol version") {
		t.Errorf("TLS 1.1: %v", err)
	}
	r.url = "http" + strings.TrimPrefix(r.url, "https")
	if got := (&client{r: r, path: "/mcp"}).post("{}"); got.status != http.StatusBadRequest || !strings.Contains(got.body, "HTTPS") {
		t.Errorf("plain HTTP: %d %s", got.status, got.body)
	}
}

// The certificate on the wire is the one in the files since the last reload; files
// that do not go together change nothing.
func TestCertificatesAreReloaded(t *testing.T) {
	a := newAuthority(t, "test")
	conf := a.serves(t)
	r := secure(t, conf)
	serial := func() string {
		t.Helper()
		r.presenting(a)
		resp, err := r.web.Get(r.url + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	apply := func() error { next := *r.cfg.Load(); _, err := r.Apply(t.Context(), &next); return err }
	first := serial()
	next := a.serves(t)
	replace := func(to, from string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	replace(conf.Cert, next.Cert)
	if err := apply(); err == nil || !strings.Contains(err.Error(), "is not the key of the certificate") || serial() != first {
		t.Errorf("a certificate without its key: %v", err)
	}
	replace(conf.Key, next.Key)
	if err := apply(); err != nil || serial() == first {
		t.Errorf("after both were replaced: %v", err)
	}
	if err := os.Remove(conf.Key); err != nil {
		t.Fatal(err)
	}
	if err := apply(); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("without a key: %v", err)
	}
}

// A client certificate is demanded and says who its owner is.
func TestClientCertificates(t *testing.T) {
	a, ours, other := newAuthority(t, "test"), newAuthority(t, "people"), newAuthority(t, "people")
	conf := a.serves(t)
	conf.ClientCA = filepath.Join(t.TempDir(), "ca.crt")
	trust := func(ca *authority) {
		t.Helper()
		if err := os.WriteFile(conf.ClientCA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	trust(ours)
	r := secure(t, conf)
	for name, certs := range map[string][]tls.Certificate{
		"none":    nil,
		"another": {other.client(t, &x509.Certificate{Subject: pkix.Name{CommonName: "eve"}})},
		"expired": {ours.client(t, &x509.Certificate{Subject: pkix.Name{CommonName: "bob"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})},
	} {
		r.presenting(a, certs...)
		if resp, err := r.web.Get(r.url + "/livez"); err == nil {
			t.Errorf("%s: %d", name, resp.StatusCode)
		}
	}
	id, _ := url.Parse("spiffe://example/agent")
	for want, c := range map[string]*x509.Certificate{
		"spiffe://example/agent": {URIs: []*url.URL{id}, DNSNames: []string{"h.example"}},
		"h.example":              {DNSNames: []string{"h.example"}, EmailAddresses: []string{"a@example"}},
		"a@example":              {EmailAddresses: []string{"a@example"}, Subject: pkix.Name{CommonName: "a"}},
		"a":                      {Subject: pkix.Name{CommonName: "a"}},
	} {
		r.presenting(a, ours.client(t, c))
		s := r.sessions.find(r.connect("{}").session)
		if s.principal.Issuer != "x509:people" || s.principal.Subject != want {
			t.Errorf("a certificate for %s is %s of %s", want, s.principal.Subject, s.principal.Issuer)
		}
	}
	r.presenting(a, ours.client(t, new(x509.Certificate)))
	if got := (&client{r: r, path: "/mcp"}).post(calls("1", "a__echo", "{}")); got.status != http.StatusForbidden || !strings.Contains(got.body, "names nobody") {
		t.Errorf("one that names nobody: %d %s", got.status, got.body)
	}
	// Connections of those who are no longer let in end, too.
	r.presenting(a, ours.client(t, &x509.Certificate{Subject: pkix.Name{CommonName: "a"}}))
	anew := r.web.Transport
	r.web.Transport = lone(t, r)
	c := r.connect("{}")
	trust(other)
	next := *r.cfg.Load()
	if _, err := r.Apply(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	if got := c.post(calls("1", "a__echo", "{}")); got.status != http.StatusForbidden {
		t.Errorf("after its authority went: %d", got.status)
	}
	r.web.Transport = anew
	if _, err := r.web.Get(r.url + "/livez"); err == nil {
		t.Error("and it connects again")
	}
}

// With keys as well, a certificate opens the connection and the key says who it is.
func TestClientCertificatesAndKeys(t *testing.T) {
	a := newAuthority(t, "test")
	cfg := settings(t, "a")
	cfg.Server.TLS = a.serves(t)
	cfg.Server.TLS.ClientCA, _ = files(t, t.TempDir(), "ca", a.cert, a.key)
	keys := keyed(cfg, "alice")
	r := start(t, cfg, dialer("echo")).running()
	r.presenting(a, a.client(t, &x509.Certificate{Subject: pkix.Name{CommonName: "proxy"}}))
	if got := (&client{r: r, path: "/mcp"}).post("{}"); got.status != http.StatusUnauthorized || !strings.Contains(got.header.Get("WWW-Authenticate"), `="https://`) {
		t.Errorf("a certificate without a key: %d %v", got.status, got.header)
	}
	if s := r.sessions.find(r.as(keys["alice"]).session); s.principal.Subject != "alice" {
		t.Errorf("it is %v", s.principal)
	}
}

// A gateway that other machines reach does not go on without asking who they are.
func TestReloadDoesNotOpenTheDoor(t *testing.T) {
	cfg := settings(t, "a")
	keyed(cfg, "alice")
	cfg.Server.Listen = "0.0.0.0:7777" // the rig's is another
	r := start(t, cfg, dialer("echo")).running()
	next := *cfg
	next.Server.Auth.APIKeys, next.Server.Listen = nil, "127.0.0.1:7777"
	if _, err := r.Apply(t.Context(), &next); err == nil || !strings.Contains(err.Error(), "there is no authentication") || r.guard.Load().auth == nil {
		t.Errorf("a reload took the keys away: %v", err)
	}
}
