//go:build !windows

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certificate makes a self-signed one for this machine, and its key, in PEM.
func certificate(t *testing.T, serial int64) (cert, key string) {
	t.Helper()
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gateway"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// The endpoint is https, its files are read again when they change, and the commands
// take no notice of any of it.
func TestServeTLS(t *testing.T) {
	cert, key := certificate(t, 1)
	text := strings.Replace(quiet, "listen:", "tls: {cert: a.crt, key: a.key}, listen:", 1) + clock
	p := launch(t, map[string]string{"interlock.yaml": text, "a.crt": cert, "a.key": key}, nil, "serve")
	endpoint := p.expect(`^endpoint +(https://127\.0\.0\.1:\d+)/mcp$`)[1]
	p.expect(`^1 of 1 server ready`)
	serial := func(trusted string) int64 {
		t.Helper()
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(trusted))
		w := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: pool}}}
		res, err := w.Get(endpoint + "/livez")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	if n := serial(cert); n != 1 {
		t.Errorf("certificate %d", n)
	}
	next, nextKey := certificate(t, 2)
	// Renamed into place, as renewals do.
	put(t, filepath.Join(p.dir, "b.key"), nextKey)
	put(t, filepath.Join(p.dir, "b.crt"), next)
	for _, f := range []string{".key", ".crt"} {
		if err := os.Rename(filepath.Join(p.dir, "b"+f), filepath.Join(p.dir, "a"+f)); err != nil {
			t.Fatal(err)
		}
	}
	p.expect(`^reloaded: `)
	if n := serial(next); n != 2 {
		t.Errorf("certificate %d after it was renewed", n)
	}
	put(t, filepath.Join(p.dir, "a.key"), key)
	p.expect(`is not the key of the certificate in cert`)
	if n := serial(next); n != 2 {
		t.Errorf("certificate %d after half of it was replaced", n)
	}
	status := exec.CommandContext(t.Context(), "interlock", "status")
	status.Dir, status.Env = p.dir, p.cmd.Env
	put(t, filepath.Join(p.dir, "a.key"), nextKey)
	p.expect(`^reloaded: `)
	if out, err := status.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("clock")) {
		t.Errorf("status: %v\n%s", err, out)
	}
}

// Neither the file nor the command line opens the endpoint to other machines while
// nobody is asked who he is.
func TestServeBeyondLoopback(t *testing.T) {
	p := launch(t, map[string]string{"interlock.yaml": quiet + clock}, nil, "serve", "--listen", "0.0.0.0:0")
	if code := p.wait(); code != exitBadConfig || !p.wrote(`0\.0\.0\.0:0 is reached from other machines`) || !p.wrote(`server\.auth`) {
		t.Errorf("exit %d: %s", code, strings.Join(p.seen, "\n"))
	}
}
