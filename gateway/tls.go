package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy"
)

// secured is what server.tls says, read from its files. It never changes.
type secured struct {
	conf *tls.Config
	// authorities are those whose clients are let in, by their certificates' bytes;
	// nil if none need one.
	authorities map[string]*x509.Certificate
}

// newSecured reads the files of server.tls, nil if there is no TLS.
func newSecured(t config.ServerTLS) (*secured, error) {
	if !t.Enabled() {
		return nil, nil
	}
	cert, _, err := t.Certificate()
	if err != nil {
		return nil, err
	}
	authorities, err := t.Authorities()
	if err != nil {
		return nil, err
	}
	s := &secured{conf: &tls.Config{
		Certificates: []tls.Certificate{cert},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}}
	if authorities != nil {
		s.conf.ClientAuth = tls.RequireAndVerifyClientCert
		s.conf.ClientCAs = x509.NewCertPool()
		s.conf.SessionTicketsDisabled = true // a resumption would not look at the authorities of now
		s.authorities = make(map[string]*x509.Certificate)
		for _, c := range authorities {
			s.conf.ClientCAs.AddCert(c)
			s.authorities[string(c.Raw)] = c
		}
	}
	return s, nil
}

// tlsConfig takes the certificates of the moment for each connection.
func (g *Gateway) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return g.guard.Load().tls.conf, nil
		},
	}
}

var errCertificate = errors.New("the certificate of this connection is not, or no longer, one of those that are let in: connect again")

// certified returns whose certificate a connection presented, which it did when it
// began: what the authorities, or the certificate's time, say now counts.
func (s *secured) certified(r *http.Request, now time.Time) (*policy.Principal, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, errCertificate
	}
	chain := r.TLS.VerifiedChains[0]
	leaf := chain[0]
	root, ok := s.authorities[string(chain[len(chain)-1].Raw)]
	if !ok || now.After(leaf.NotAfter) {
		return nil, errCertificate
	}
	issuer := root.Subject.CommonName
	if issuer == "" {
		issuer = root.Subject.String()
	}
	p := &policy.Principal{Issuer: "x509:" + issuer, Subject: subjectOf(leaf), Name: leaf.Subject.CommonName, Credential: "certificate " + leaf.SerialNumber.Text(16)}
	if p.Subject == "" {
		return nil, errors.New("the certificate names nobody: it has no URI, DNS name, e-mail address or common name")
	}
	return p, nil
}

// subjectOf is whom a certificate is for: the first of its alternative names, or
// its common name.
func subjectOf(c *x509.Certificate) string {
	switch {
	case len(c.URIs) > 0:
		return c.URIs[0].String()
	case len(c.DNSNames) > 0:
		return c.DNSNames[0]
	case len(c.EmailAddresses) > 0:
		return c.EmailAddresses[0]
	}
	return c.Subject.CommonName
}
