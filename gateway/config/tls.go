package config

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"time"
)

// ServerTLS names the files by which the endpoint is served over HTTPS: the
// `server.tls` section. The zero value serves plain HTTP.
type ServerTLS struct {
	// Cert is a file with the certificate and those between it and its root, in PEM;
	// Key the file with its private key.
	Cert string `koanf:"cert"`
	Key  string `koanf:"key"`
	// ClientCA is a file with the certificates of authorities, in PEM. With it, a
	// client must present a certificate of one of them.
	ClientCA string `koanf:"client_ca"`
}

// Enabled tells whether the endpoint is served over HTTPS.
func (t *ServerTLS) Enabled() bool { return *t != ServerTLS{} }

// tlsFault is a fault of the key at a path below server.tls.
type tlsFault struct{ key, text, mend string }

func (e *tlsFault) Error() string { return "server.tls." + e.key + " " + e.text }

func unread(key, path string, err error) error {
	return &tlsFault{key, "names " + quote(path) + ", which cannot be read: " + reason(err), ""}
}

// Certificate reads the certificate and its key. The errors, joined, say which of
// the two files is at fault. It reports the end of the certificate.
func (t *ServerTLS) Certificate() (tls.Certificate, time.Time, error) {
	var errs []error
	read := func(key, path string) []byte {
		if path == "" {
			errs = append(errs, &tlsFault{key, "is missing", "a server needs both cert and key"})
			return nil
		}
		data, err := readFile(path)
		if err != nil {
			errs = append(errs, unread(key, path, err))
		}
		return data
	}
	cert, key := read("cert", t.Cert), read("key", t.Key)
	if errs != nil {
		return tls.Certificate{}, time.Time{}, errors.Join(errs...)
	}
	leaf, err := firstCertificate(cert)
	if err != nil {
		return tls.Certificate{}, time.Time{}, &tlsFault{"cert", err.Error(), "write the certificate in PEM"}
	}
	pair, err := tls.X509KeyPair(cert, key)
	switch {
	case err == nil:
		return pair, leaf.NotAfter, nil
	case strings.Contains(err.Error(), "does not match"):
		err = &tlsFault{"key", "is not the key of the certificate in cert", "give both files of one pair"}
	default: // it repeats nothing of the file
		err = &tlsFault{"key", "holds no private key that can be used", "write the unencrypted key in PEM"}
	}
	return tls.Certificate{}, time.Time{}, err
}

// Authorities reads the certificates in ClientCA, nil if there is no such file.
func (t *ServerTLS) Authorities() ([]*x509.Certificate, error) {
	if t.ClientCA == "" {
		return nil, nil
	}
	data, err := readFile(t.ClientCA)
	if err != nil {
		return nil, unread("client_ca", t.ClientCA, err)
	}
	var all []*x509.Certificate
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, &tlsFault{"client_ca", "holds a certificate that cannot be read", ""}
		}
		if c.BasicConstraintsValid && !c.IsCA {
			return nil, &tlsFault{"client_ca", fmt.Sprintf("holds the certificate of %q, which is no authority", c.Subject), "name the authority that signs the certificates of clients"}
		}
		all = append(all, c)
	}
	if all == nil {
		return nil, &tlsFault{"client_ca", "holds no certificate", "write the certificates of authorities in PEM"}
	}
	return all, nil
}

func firstCertificate(data []byte) (*x509.Certificate, error) {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, errors.New("holds a certificate that cannot be read")
			}
			return c, nil
		}
	}
	return nil, errors.New("holds no certificate")
}

// serverFiles makes the paths of server.tls absolute and has the files watched.
func (l *loader) serverFiles(t *ServerTLS) {
	for key, path := range map[string]*string{"cert": &t.Cert, "key": &t.Key, "client_ca": &t.ClientCA} {
		if *path != "" {
			*path = l.resolve(l.places.find([]string{"server", "tls", key}).src, *path)
		}
	}
	for _, path := range []string{t.Cert, t.Key, t.ClientCA} {
		if path != "" {
			l.paths = append(l.paths, path)
		}
	}
}

// serverTLS checks the files of server.tls.
func (l *loader) serverTLS(t *ServerTLS) {
	if !t.Enabled() {
		return
	}
	path := []string{"server", "tls"}
	_, end, err := t.Certificate()
	_, caErr := t.Authorities()
	for _, err := range append(flatten(err), flatten(caErr)...) {
		if f := (*tlsFault)(nil); errors.As(err, &f) {
			l.fault(l.places.find(child(path, f.key)), child(path, f.key), f.text, f.mend)
		}
	}
	at := l.places.find(child(path, "cert"))
	if now := time.Now(); err == nil && now.After(end) {
		l.problems.warn(at, dotted(child(path, "cert")), `"cert" has expired on `+end.UTC().Format(time.DateOnly), "renew it: it is read again when the file changes")
	}
	if runtime.GOOS != "windows" && t.Key != "" && worldReadable(t.Key) {
		l.fileSecrets = append(l.fileSecrets, found{l.places.find(child(path, "key")), Problem{Text: quote(t.Key) + " can be read by every user of this machine"}})
	}
}

// Exposed and ExposedMend say what is wrong with an address that Open reports.
const (
	Exposed     = "is reached from other machines, and there is no authentication"
	ExposedMend = "set server.auth, for which `interlock apikey new` makes a key, or server.tls.client_ca; or listen on 127.0.0.1, or set server.insecure_listen: true"
)

// Open tells whether other machines reach the endpoint while nobody has to say who
// they are, and nothing says that this is meant.
func (s *Server) Open() bool {
	host, _, err := net.SplitHostPort(s.Listen)
	return err == nil && !loopback(host) && !s.InsecureListen && !s.Asks()
}

// Asks tells whether clients have to say who they are.
func (s *Server) Asks() bool { return s.Auth.Enabled() || s.TLS.ClientCA != "" }

// ParseNetwork reads an address, or a range of them such as 10.0.0.0/8.
func ParseNetwork(s string) (netip.Prefix, error) {
	if strings.Contains(s, "/") {
		p, err := netip.ParsePrefix(s)
		return p.Masked(), err
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%q is no address", s)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}
