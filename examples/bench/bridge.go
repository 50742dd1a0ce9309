package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"sync"
)

// bridge passes POSTs on to a process: it gives each message an id of its own
// and the client's id back to the answer. It is the floor for anything that
// puts HTTP in front of a stdio server.
type bridge struct {
	writes  sync.Mutex // guards in: not mu, or a full pipe would keep answers from being read
	in      io.Writer
	mu      sync.Mutex // guards what follows
	next    int64
	waiting map[int64]chan []byte
}

// bridges serves several children under /mcp/0, /mcp/1 and so on.
type bridges []*bridge

// ServeHTTP passes a POST on to the child that its path means.
func (all bridges) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all[index(r.URL.Path, len(all))].ServeHTTP(w, r)
}

func serveBridge(ctx context.Context, children int, era string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var all bridges
	for range children {
		child := exec.CommandContext(ctx, self, "-role", "upstream-stdio", "-era", era)
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
		defer func() {
			_ = in.Close()
			_ = child.Wait()
		}()
		b := &bridge{in: in, waiting: map[int64]chan []byte{}}
		go b.read(out)
		all = append(all, b)
	}
	return serve(ctx, all, "", 1)
}

func (b *bridge) read(out io.Reader) {
	lines := bufio.NewReaderSize(out, 1<<16)
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

// ServeHTTP passes a POST on to the child.
func (b *bridge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := readAll(r)
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
	own := b.next
	b.waiting[own] = answered
	b.mu.Unlock()
	line = strconv.AppendInt(append(line, body[:at]...), own, 10)
	line = append(append(line, body[at+len(id):]...), '\n')
	b.writes.Lock()
	_, err = b.in.Write(line)
	b.writes.Unlock()
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	got := <-answered
	theirs := value(got, `"id":`)
	at = bytes.Index(got, []byte(`"id":`)) + len(`"id":`)
	out := make([]byte, 0, len(got)+len(id))
	out = append(append(append(out, got[:at]...), id...), got[at+len(theirs):]...)
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(out)
}
