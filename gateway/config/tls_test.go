package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pair writes a self-signed certificate and its key into a folder.
func pair(t *testing.T, dir, name string, until time.Time, ca bool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: until.AddDate(-1, 0, 0), NotAfter: until,
		BasicConstraintsValid: true, IsCA: ca,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	put(t, dir, name+".crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	put(t, dir, name+".key", string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
}

func put(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is wrong with the files of server.tls is said of each, and where.
func TestServerTLS(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir, "a", time.Now().AddDate(1, 0, 0), true)
	pair(t, dir, "b", time.Now().AddDate(1, 0, 0), false)
	pair(t, dir, "old", time.Date(2020, 2, 3, 4, 5, 6, 0, time.UTC), false)
	put(t, dir, "empty", "")
	put(t, dir, "odd", "-----BEGIN CERTIFICATE-----\naaaa\n-----END CERTIFICATE-----\n")
	pair(t, dir, "seen", time.Now().AddDate(1, 0, 0), false)
	if err := os.Chmod(filepath.Join(dir, "seen.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	for conf, want := range map[string]string{
		"cert: a.crt, key: a.key":                     "",
		"cert: a.crt, key: a.key, client_ca: a.crt":   "",
		"cert: a.crt, key: b.key":                     `"key" is not the key of the certificate in cert (give both files of one pair)`,
		"cert: a.crt, key: a.crt":                     `"key" holds no private key that can be used (write the unencrypted key in PEM)`,
		"cert: empty, key: a.key":                     `"cert" holds no certificate (write the certificate in PEM)`,
		"cert: odd, key: a.key":                       `"cert" holds a certificate that cannot be read (write the certificate in PEM)`,
		"key: a.key":                                  `"cert" is missing (a server needs both cert and key)`,
		"cert: a.crt, key: a.key, client_ca: empty":   `"client_ca" holds no certificate (write the certificates of authorities in PEM)`,
		"cert: a.crt, key: a.key, client_ca: b.crt":   `"client_ca" holds the certificate of "CN=b", which is no authority (name the authority that signs the certificates of clients)`,
		"cert: a.crt, key: a.key, client_ca: nowhere": `which cannot be read: no such file or directory`,
		"cert: old.crt, key: old.key":                 `warning: "cert" has expired on 2020-02-03 (renew it: it is read again when the file changes)`,
		"cert: seen.crt, key: seen.key":               `can be read by every user of this machine (chmod o-r, or set insecure_files: true)`,
	} {
		put(t, dir, "interlock.yaml", "server: {tls: {"+conf+"}}\n")
		cfg, err := Load(LoadOptions{Files: []string{filepath.Join(dir, "interlock.yaml")}})
		said := ""
		switch {
		case err != nil:
			said = err.Error()
		case len(cfg.Warnings) > 0:
			said = "warning: " + cfg.Warnings[0].String()
		default:
			if n := len(cfg.Sources); n < 3 || !filepath.IsAbs(cfg.Server.TLS.Cert) {
				t.Errorf("%s: %d files to watch, cert %s", conf, n, cfg.Server.TLS.Cert)
			}
		}
		if want == "" && said != "" || !strings.Contains(strings.ReplaceAll(said, "warning: "+filepath.Join(dir, "interlock.yaml")+":1:22: ", "warning: "), want) {
			t.Errorf("%s: %q, want %q", conf, said, want)
		}
	}
}

// Beyond loopback somebody must be asked who he is, by whatever means.
func TestBeyondLoopback(t *testing.T) {
	dir := t.TempDir()
	pair(t, dir, "a", time.Now().AddDate(1, 0, 0), true)
	const auth = "auth: {api_keys: [{principal: me, hash: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}]}"
	for conf, want := range map[string]string{
		"listen: '0.0.0.0:1'": "there is no authentication",
		"listen: ':1'":        "there is no authentication",
		"listen: '[::]:1'":    "there is no authentication",
		"listen: '10.0.0.1:1', tls: {cert: a.crt, key: a.key}":                   "there is no authentication",
		"listen: '10.0.0.1:1', tls: {cert: a.crt, key: a.key, client_ca: a.crt}": "",
		"listen: '0.0.0.0:1', insecure_listen: true":                             "",
		"listen: '0.0.0.0:1', " + auth:                                           "credentials travel in the clear",
		"listen: '0.0.0.0:1', tls: {cert: a.crt, key: a.key}, " + auth:           "",
		"listen: '0.0.0.0:1', trusted_proxies: [10.0.0.0/8], " + auth:            "",
		"listen: '127.0.0.1:1', " + auth:                                         "",
	} {
		put(t, dir, "interlock.yaml", "server: {"+conf+"}\n")
		cfg, err := Load(LoadOptions{Files: []string{filepath.Join(dir, "interlock.yaml")}})
		said := ""
		if err != nil {
			said = err.Error()
		} else if len(cfg.Warnings) > 0 {
			said = cfg.Warnings[0].String()
		}
		if want == "" && said != "" || !strings.Contains(said, want) {
			t.Errorf("%s: %q, want %q", conf, said, want)
		}
	}
}
