package main

import (
	"context"
	"crypto/subtle"
	_ "embed"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// callback waits on loopback for the browser that comes back from a sign-in
// (RFC 8252 section 7.3). It takes one answer, that of the sign-in it waits for.
type callback struct {
	uri       *url.URL // as the authorization server knows it
	listeners []net.Listener
	server    *http.Server // nil until serve
	serving   sync.WaitGroup
}

// visit is a browser that came back: what it brought, and where it is told what
// became of that.
type visit struct {
	query url.Values
	tell  chan<- farewell // takes one without blocking
}

// farewell is the page that a browser ends with.
type farewell struct {
	OK          bool
	Title, Text string
}

// anyPort says that another port may stand in for that of a redirect URI which is
// taken.
type anyPort bool

// elsewhere is a callback that nobody comes back to.
func elsewhere(uri string) (*callback, error) {
	u, err := url.Parse(uri)
	switch {
	case err != nil || u.Scheme != "http" || !oauth.Loopback(u.Hostname()) || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, usage("such as "+oauth.LoopbackRedirect, "the redirect address %q is not http to this machine", uri)
	case u.Path == "":
		u.Path = "/"
	}
	return &callback{uri: u}, nil
}

// newCallback listens where a redirect URI points to, which must be http and to
// loopback. The error wraps that of the listener.
func newCallback(ctx context.Context, uri string, other anyPort) (*callback, error) {
	c, err := elsewhere(uri)
	if err != nil {
		return nil, err
	}
	u := c.uri
	hosts := []string{u.Hostname()}
	if u.Hostname() == "localhost" { // whatever the browser makes of it
		hosts = []string{"127.0.0.1", "::1"}
	}
	port := u.Port()
	if port == "" {
		port = "80"
	}
	l, err := listen(ctx, hosts[0], port)
	if err != nil && bool(other) && taken(err) {
		l, err = listen(ctx, hosts[0], "0")
	}
	if err != nil {
		return nil, fmt.Errorf("redirect address %s: %w", uri, err)
	}
	if _, got, _ := net.SplitHostPort(l.Addr().String()); got != port {
		port, u.Host = got, net.JoinHostPort(u.Hostname(), got)
	}
	c.listeners = []net.Listener{l}
	for _, h := range hosts[1:] {
		if l, err := listen(ctx, h, port); err == nil { // a machine may do without IPv6
			c.listeners = append(c.listeners, l)
		} else if taken(err) {
			c.close()
			return nil, fmt.Errorf("redirect address %s: %w", uri, err)
		}
	}
	return c, nil
}

func listen(ctx context.Context, host, port string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, port))
}

// serve gives visits the browser that comes back with state, until close. visits takes
// one without blocking.
func (c *callback) serve(state string, visits chan<- visit) {
	c.server = &http.Server{
		Handler: c.handler(state, visits), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, MaxHeaderBytes: 64 << 10,
	}
	c.server.SetKeepAlivesEnabled(false)
	for _, l := range c.listeners {
		c.serving.Go(func() { _ = c.server.Serve(l) }) // it ends by close alone
	}
}

// close frees the address. A page on its way is still sent.
func (c *callback) close() {
	if c.server != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if c.server.Shutdown(ctx) != nil {
			_ = c.server.Close()
		}
	}
	for _, l := range c.listeners {
		_ = l.Close()
	}
	c.serving.Wait()
}

// handler answers browsers. A page of another site can make one send a request
// here, too: what has another state does not end the wait.
func (c *callback) handler(state string, visits chan<- visit) http.Handler {
	var once sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		switch {
		case r.Host != c.uri.Host:
			refuse(w, http.StatusMisdirectedRequest, "This is not the address that it waits at.")
		case r.URL.Path != c.uri.Path:
			refuse(w, http.StatusNotFound, "There is nothing here.")
		case r.Method != http.MethodGet:
			w.Header().Set("Allow", http.MethodGet)
			refuse(w, http.StatusMethodNotAllowed, "This is for browsers that come back from a sign-in.")
		case err != nil || !sameState(query, state):
			refuse(w, http.StatusBadRequest, "This is not the sign-in that it waits for. Sign in at the address that it shows in the terminal now.")
		default:
			told := make(chan farewell, 1)
			first := false
			once.Do(func() { first = true; visits <- visit{query, told} })
			if !first {
				refuse(w, http.StatusGone, "It has had its answer. The terminal says what became of the sign-in.")
				return
			}
			select {
			case f := <-told:
				f.write(w, http.StatusOK)
			case <-r.Context().Done():
			}
		}
	})
}

// sameState tells whether a query has a state, once, and this one.
func sameState(query url.Values, state string) bool {
	got := query["state"]
	return len(got) == 1 && state != "" && subtle.ConstantTimeCompare([]byte(got[0]), []byte(state)) == 1
}

func refuse(w http.ResponseWriter, status int, text string) {
	farewell{Title: "Interlock did not expect this", Text: text}.write(w, status)
}

//go:embed callback.html
var callbackHTML string

var callbackPage = template.Must(template.New("").Parse(callbackHTML))

// write sends the page. All of it is escaped, and it loads nothing.
func (f farewell) write(w http.ResponseWriter, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer") // the address has the code
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = callbackPage.Execute(w, f) // a browser that is gone is told nothing
}
