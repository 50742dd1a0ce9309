package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

// serveHTTP serves h on a free port, prints its URL as the first line on stdout,
// and blocks until ctx ends or stdin does, which is how bench stops it.
func serveHTTP(ctx context.Context, h http.Handler) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/mcp\n", l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		l.Close()
	}()
	_ = http.Serve(l, h) // ends when l is closed
	return nil
}

// proxyHandler is the standard library's reverse proxy with enough idle
// connections for the load, and nothing else.
func proxyHandler(target string) http.Handler {
	to, err := url.Parse(target)
	if err != nil {
		return http.NotFoundHandler()
	}
	return &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: to.Scheme, Host: to.Host}) },
		Transport: &http.Transport{MaxIdleConns: 1024, MaxIdleConnsPerHost: 1024, DisableCompression: true},
	}
}

// bridge passes POSTs on to a process: it gives each message an id of its own
// and the client's id back to the answer. It is the floor for anything that
// puts HTTP in front of a stdio server.
type bridge struct {
	mu      sync.Mutex // guards what follows, and writes to in
	in      io.Writer
	next    int64
	waiting map[int64]chan []byte
}

func serveBridge(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.CommandContext(ctx, self, "-role", "upstream-stdio")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		return err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	b := &bridge{in: in, waiting: map[int64]chan []byte{}}
	go b.read(out)
	err = serveHTTP(ctx, b)
	_ = in.Close()
	_ = child.Wait()
	return err
}

func (b *bridge) read(out io.Reader) {
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		id, err := strconv.ParseInt(string(value(line, `"id":`)), 10, 64)
		if err != nil {
			continue
		}
		b.mu.Lock()
		to := b.waiting[id]
		delete(b.waiting, id)
		b.mu.Unlock()
		if to != nil {
			to <- line
		}
	}
}

func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	id := value(body, `"id":`)
	if err != nil || id == nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	at := bytes.Index(body, []byte(`"id":`)) + len(`"id":`)
	answered := make(chan []byte, 1) // the reader never waits
	line := make([]byte, 0, len(body)+24)
	b.mu.Lock()
	b.next++
	b.waiting[b.next] = answered
	line = strconv.AppendInt(append(line, body[:at]...), b.next, 10)
	line = append(append(line, body[at+len(id):]...), '\n')
	_, err = b.in.Write(line)
	b.mu.Unlock()
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	got := <-answered
	own := value(got, `"id":`)
	at = bytes.Index(got, []byte(`"id":`)) + len(`"id":`)
	out := make([]byte, 0, len(got)+len(id))
	out = append(append(append(out, got[:at]...), id...), got[at+len(own):]...)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}
