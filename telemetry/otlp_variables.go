package telemetry

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// checkVariables finds a variable that says nothing the exporter understands. The
// libraries print what they think of it and go on without, to a default where
// nobody looks for telemetry, or without the key that the collector asks for.
func (s signal) checkVariables() error {
	for _, name := range [...]func(string) string{s.own, general} {
		if err := errors.Join(
			checkEndpoint(name("ENDPOINT")),
			checkHeaders(name("HEADERS")),
			checkNumber(name("TIMEOUT")),
			checkCompression(name("COMPRESSION")),
			checkCertificate(name("CERTIFICATE")),
			checkPair(name("CLIENT_CERTIFICATE"), name("CLIENT_KEY")),
		); err != nil {
			return err
		}
	}
	if s == signalMetrics {
		return checkTemporality()
	}
	return s.checkQueue()
}

func checkEndpoint(name string) error {
	v := variable(name)
	if v == "" {
		return nil
	}
	u, err := url.Parse(v)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%s must be a URL such as http://localhost:4318, not %q", name, redacted(v, u))
	case u.User != nil: // the exporters would leave it out
		return fmt.Errorf("%s may not hold a user or a password: use %s", name, general("HEADERS"))
	}
	return nil
}

// redacted is an endpoint as it may be shown: without its password.
func redacted(v string, u *url.URL) string {
	switch {
	case u != nil:
		return u.Redacted()
	case strings.Contains(v, "@"):
		return masked
	}
	return v
}

func checkHeaders(name string) error {
	v := variable(name)
	if v == "" {
		return nil
	}
	for i, pair := range strings.Split(v, ",") {
		key, value, ok := strings.Cut(pair, "=")
		value, err := url.PathUnescape(value)
		if !ok || err != nil || !token(strings.TrimSpace(key)) || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("%s must be name=value,name=value with values URL-encoded: part %d is not (it is not shown: it may be secret)", name, i+1)
		}
	}
	return nil
}

// token reports whether a header may have that name (RFC 9110, 5.6.2).
func token(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func checkNumber(name string) error {
	v := variable(name)
	if v == "" {
		return nil
	}
	n, err := strconv.Atoi(v)
	switch {
	case err != nil && !errors.Is(err, strconv.ErrRange) || n < 0:
		return fmt.Errorf("%s must be a number of milliseconds, not %q", name, v)
	case n > maxMilliseconds:
		return fmt.Errorf("%s may be %d milliseconds at most, not %s", name, maxMilliseconds, v)
	}
	return nil
}

// What a variable may ask for at most: a time that a Duration holds, and a queue
// that memory does. The SDK makes room for the whole queue of lines at its start.
const (
	maxMilliseconds = math.MaxInt32
	maxQueueSize    = 1 << 20
)

// checkQueue checks the variables of how spans and lines wait to be exported.
func (s signal) checkQueue() error {
	name := func(what string) string { return "OTEL_BSP_" + what }
	switch s {
	case signalMetrics: // they do not wait
		return nil
	case signalLogs:
		name = func(what string) string { return "OTEL_BLRP_" + what }
	}
	return errors.Join(
		checkNumber(name("SCHEDULE_DELAY")),
		checkNumber(name("EXPORT_TIMEOUT")),
		checkSize(name("MAX_QUEUE_SIZE")),
		checkSize(name("MAX_EXPORT_BATCH_SIZE")),
	)
}

func checkSize(name string) error {
	v := variable(name)
	if v == "" {
		return nil
	}
	if n, err := strconv.Atoi(v); err != nil || n < 1 || n > maxQueueSize {
		return fmt.Errorf("%s must be a number from 1 to %d, not %q", name, maxQueueSize, v)
	}
	return nil
}

func checkCompression(name string) error {
	if v := variable(name); v != "" && v != "gzip" && v != "none" {
		return fmt.Errorf("%s must be gzip or none, not %q", name, v)
	}
	return nil
}

func checkCertificate(name string) error {
	path := variable(name)
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path) //nolint:gosec // the user names it
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return fmt.Errorf("%s: %s holds no certificate in PEM", name, path)
	}
	return nil
}

func checkPair(certificate, key string) error {
	c, k := variable(certificate), variable(key)
	switch {
	case c == "" && k == "":
		return nil
	case k == "":
		return fmt.Errorf("%s needs %s beside it", certificate, key)
	case c == "":
		return fmt.Errorf("%s needs %s beside it", key, certificate)
	}
	if _, err := tls.LoadX509KeyPair(c, k); err != nil {
		return fmt.Errorf("%s and %s: %w", certificate, key, err)
	}
	return nil
}
