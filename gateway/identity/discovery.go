package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	maxDocument  = 1 << 20 // bytes of a document of an issuer's
	maxRedirects = 3
)

// newClient returns a client for issuers. It keeps no connection: it is used every
// few minutes.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: askTimeout}).DialContext,
			TLSHandshakeTimeout:    askTimeout,
			ResponseHeaderTimeout:  askTimeout,
			MaxResponseHeaderBytes: 64 << 10,
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return errors.New("too many redirects")
			}
			if why := badURL(r.URL.String()); why != "" {
				return errors.New("the URL of a redirect " + why)
			}
			return nil
		},
		Timeout: 2 * askTimeout,
	}
}

// download finds out where the keys are, if that is not known, and gets them.
func (i *issuer) download(ctx context.Context) (*keySet, error) {
	if i.jwksURL == "" {
		at, err := i.discover(ctx)
		if err != nil {
			return nil, err
		}
		i.jwksURL = at
	}
	raw, err := i.get(ctx, i.jwksURL)
	if err != nil {
		return nil, err
	}
	return parseKeys(raw)
}

// wellKnownURLs are where the metadata of an issuer may be, in the order in which
// MCP has it looked for (2025-11-25 basic/authorization, "Authorization Server
// Metadata Discovery"): as RFC 8414 section 3.1 says, then as OpenID Connect
// Discovery section 4.1 does.
func wellKnownURLs(issuer string) []string {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil
	}
	base, path := u.Scheme+"://"+u.Host, strings.TrimSuffix(u.EscapedPath(), "/")
	all := []string{base + "/.well-known/oauth-authorization-server" + path, base + "/.well-known/openid-configuration" + path}
	if path != "" {
		all = append(all, base+path+"/.well-known/openid-configuration")
	}
	return all
}

// discover returns where the keys of the issuer are, as its metadata says.
func (i *issuer) discover(ctx context.Context) (string, error) {
	var errs []error
	for _, at := range wellKnownURLs(i.config.Issuer) {
		raw, err := i.get(ctx, at)
		if err != nil {
			if errs = append(errs, err); !errors.Is(err, errAnswer) {
				break // nobody is there, and the next URL is at the same place
			}
			continue
		}
		var doc struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		switch err := json.Unmarshal(raw, &doc); {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s is not metadata of an issuer", at))
		case doc.Issuer != i.config.Issuer: // RFC 8414 section 3.3
			errs = append(errs, fmt.Errorf("%s is the metadata of %q: write issuer as it is there", at, legible(doc.Issuer)))
		case badURL(doc.JWKS) != "":
			errs = append(errs, fmt.Errorf("jwks_uri of %s %s", at, badURL(doc.JWKS)))
		default:
			return doc.JWKS, nil
		}
	}
	return "", errors.Join(errs...)
}

// errAnswer is wrapped by errors of what answered, but not with a document.
var errAnswer = errors.New("not a document")

func (i *issuer) get(ctx context.Context, at string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	req.Header.Set("User-Agent", "interlock")
	start := time.Now()
	resp, err := i.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("get %s: no answer in %s", at, time.Since(start).Round(time.Second))
		}
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("get %s: %w: %s", at, errAnswer, resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("get %s: %w", at, err)
	case len(raw) > maxDocument:
		return nil, fmt.Errorf("get %s: %w: longer than 1 MiB", at, errAnswer)
	}
	return raw, nil
}
