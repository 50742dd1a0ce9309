// Package oauthtest is a kit for tests of sign-in: an authorization server that asks
// nobody (Issuer), and an MCP server that it protects (Resource), with a switch for
// each way to misbehave. They serve on loopback ports, or in memory under any https
// address (Net), also inside a bubble of testing/synctest.
//
// It knows nothing of package oauth, whose own tests use it.
package oauthtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Net carries requests to handlers by their host, without sockets. The zero value has
// no hosts. A handler runs in a goroutine that ends with the request's context, if the
// handler looks at it, or when its answer is not read any more.
type Net struct {
	mu    sync.Mutex
	hosts map[string]http.Handler
}

// Handle serves a host, "as.test" or "as.test:8443", from now on.
func (n *Net) Handle(host string, h http.Handler) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts == nil {
		n.hosts = map[string]http.Handler{}
	}
	n.hosts[host] = h
}

// Client returns a client whose world is n.
func (n *Net) Client() *http.Client { return &http.Client{Transport: n} }

// RoundTrip implements http.RoundTripper.
func (n *Net) RoundTrip(req *http.Request) (*http.Response, error) {
	n.mu.Lock()
	h := n.hosts[req.URL.Host]
	n.mu.Unlock()
	if req.Body != nil {
		defer req.Body.Close()
	}
	if h == nil {
		return nil, fmt.Errorf("no such host: %s", req.URL.Host)
	}
	in, err := incoming(req)
	if err != nil {
		return nil, err
	}
	body, out := io.Pipe()
	w := &writer{header: http.Header{}, out: out, begun: make(chan struct{})}
	// What waits for a body that its client does not read ends with the request.
	stop := context.AfterFunc(req.Context(), func() { out.CloseWithError(req.Context().Err()) })
	go func() {
		defer stop()
		// A handler that ends with its request did not end its answer.
		defer func() { _ = out.CloseWithError(req.Context().Err()) }()
		defer w.WriteHeader(http.StatusOK)
		h.ServeHTTP(w, in)
	}()
	select {
	case <-w.begun:
	case <-req.Context().Done():
		_ = body.Close() // the handler's next write fails
		return nil, req.Context().Err()
	}
	return &http.Response{
		StatusCode: w.status, Status: fmt.Sprintf("%d %s", w.status, http.StatusText(w.status)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: w.sent, Body: body, ContentLength: -1, Request: req,
	}, nil
}

// incoming is the request as a server gets it: the client may go on with its own.
func incoming(req *http.Request) (*http.Request, error) {
	var b []byte
	if req.Body != nil {
		var err error
		if b, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	in := req.Clone(req.Context())
	in.Body, in.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	in.Host, in.RequestURI = req.URL.Host, req.URL.RequestURI()
	in.RemoteAddr = "192.0.2.1:1234"
	return in, nil
}

// writer is the response of a handler: its head is there with the first write.
type writer struct {
	header, sent http.Header
	status       int
	out          *io.PipeWriter
	begun        chan struct{} // closed with the head
	once         sync.Once
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

func (w *writer) Write(p []byte) (int, error) {
	if w.header.Get("Content-Type") == "" && strings.HasPrefix(string(p), "<") {
		w.header.Set("Content-Type", "text/html")
	}
	w.WriteHeader(http.StatusOK)
	return w.out.Write(p)
}

// Flush implements http.Flusher: nothing is held back.
func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }
