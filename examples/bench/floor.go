package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// transport has enough idle connections for any load here.
func transport() *http.Transport {
	return &http.Transport{MaxIdleConns: 8192, MaxIdleConnsPerHost: 4096, DisableCompression: true}
}

// index is which of the upstreams a path such as /mcp/3 means.
func index(path string, n int) int {
	i, err := strconv.Atoi(path[strings.LastIndexByte(path, '/')+1:])
	if err != nil || i < 0 || i >= n {
		return 0
	}
	return i
}

func parseAll(targets []string) []*url.URL {
	var all []*url.URL
	for _, t := range targets {
		if u, err := url.Parse(t); err == nil {
			all = append(all, u)
		}
	}
	return all
}

// newProxy is the floor over HTTP: the standard library's reverse proxy, and
// nothing else.
func newProxy(targets []string) http.Handler {
	to := parseAll(targets)
	h := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			t := to[index(r.In.URL.Path, len(to))]
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path, r.Out.Host = t.Scheme, t.Host, t.Path, ""
		},
		Transport: transport(),
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Without this the server closes a request's body at the first byte of the
		// response, often before the transport has seen the body's end, and the
		// transport then cuts the response short.
		_ = http.NewResponseController(w).EnableFullDuplex()
		h.ServeHTTP(w, r)
	})
}

// newHop is the least that a gateway which gives tools names of its own can do
// with net/http on both sides: scan the envelope, put the tool's own name in
// the place of the prefixed one, and pass on what comes back.
func newHop(targets []string) http.Handler {
	to := parseAll(targets)
	client := transport()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := readAll(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		m, err := jsonrpc.Parse(body)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		if _, own, ok := bytes.Cut(m.Name.Of(m.Raw), []byte("__")); ok {
			var e jsonrpc.Edits
			e.Replace(m.Name, append([]byte{'"'}, own...))
			body = e.Apply(nil, m.Raw)
		}
		out, err := http.NewRequestWithContext(r.Context(), http.MethodPost, to[index(r.URL.Path, len(to))].String(), bytes.NewReader(body))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		out.Header["Content-Type"], out.Header["Accept"] = r.Header["Content-Type"], r.Header["Accept"]
		res, err := client.RoundTrip(out)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer res.Body.Close()
		w.Header()["Content-Type"] = res.Header["Content-Type"]
		if n := res.ContentLength; n >= 0 {
			w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		}
		w.WriteHeader(res.StatusCode)
		_, _ = io.Copy(w, res.Body)
	})
}
