package oauth

import (
	"context"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
)

// maxSteps is how many pages Headless goes through.
const maxSteps = 10

// Headless goes to URL itself and follows it until the redirect URI, whose query it
// returns, without a request to that: for authorization servers that ask nobody, as in
// tests. It blocks for a few requests.
func (a *Attempt) Headless(ctx context.Context) (url.Values, error) { return a.walk(ctx) }

// walk follows an address to the redirect URI.
func (t *Target) walk(ctx context.Context, address, redirectURI string) (url.Values, error) {
	back, err := url.Parse(redirectURI)
	if err != nil {
		return nil, plain(err)
	}
	client := t.still()
	if client.Jar, err = cookiejar.New(nil); err != nil { // of this walk alone
		return nil, err
	}
	for range maxSteps {
		if address, err = t.step(ctx, client, address); err != nil {
			return nil, err
		}
		if u, err := url.Parse(address); err == nil && u.Scheme == back.Scheme && u.Host == back.Host && u.Path == back.Path {
			return u.Query(), nil
		}
	}
	return nil, fmt.Errorf("%s redirects too often", place(address))
}

// step makes one request of a walk and returns where it leads. No error has the query
// of an address, which may have a code in it.
func (t *Target) step(ctx context.Context, client *http.Client, address string) (string, error) {
	u, err := t.reach(address)
	if err != nil {
		return "", fmt.Errorf("the sign-in leads to an address that is not followed: %s", place(address))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return "", plain(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return "", fmt.Errorf("%s: %w", place(address), plain(err))
	}
	_ = resp.Body.Close()
	if resp.StatusCode/100 != 3 || resp.Header.Get("Location") == "" {
		return "", fmt.Errorf("%s answered %d: it asks a person: sign in with a browser", place(address), resp.StatusCode)
	}
	to, err := u.Parse(resp.Header.Get("Location"))
	if err != nil {
		return "", fmt.Errorf("%s redirects to no address", place(address))
	}
	return to.String(), nil
}

// place is an address without its query.
func place(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return "an address"
	}
	return clean(u.Scheme + "://" + u.Host + u.Path)
}
