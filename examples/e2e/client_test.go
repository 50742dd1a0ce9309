package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// client is the official TypeScript SDK's client in a process of its own
// (drivers/client.mjs), which does what a test tells it to.
type client struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // the test's deadline, which every wait of this kit obeys
	in  io.WriteCloser
	cmd *exec.Cmd

	modern bool // it agreed on 2026-07-28
	listen int  // the command that listens, on a modern connection

	mu     sync.Mutex // guards what follows
	next   int
	done   map[int]reply
	events []event
	more   chan struct{} // closed and replaced at each line
}

// reply is the outcome of one command.
type reply struct {
	ID     int
	Result json.RawMessage
	Error  *rpcError
}

// rpcError is what the SDK threw.
type rpcError struct {
	Code    int
	Message string
	Data    json.RawMessage
}

func (e *rpcError) Error() string { return fmt.Sprintf("%d %s %s", e.Code, e.Message, e.Data) }

// event is what happened without a command.
type event struct {
	Event   string // notification, request, progress, wire, unlistened, closed, error
	Method  string
	Of      int
	Params  json.RawMessage
	Message string
}

// fields are the fields of a command.
type fields map[string]any

// newClient starts the driver; connect connects it.
func newClient(ctx context.Context, t *testing.T, dir string) *client {
	t.Helper()
	cmd := exec.Command("node", "drivers/client.mjs")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, stdout := io.Pipe()
	cmd.Stdout = stdout
	c := &client{t: t, ctx: ctx, in: in, cmd: cmd, done: map[int]reply{}, more: make(chan struct{})}
	exited, _ := start(ctx, t, dir, cmd)
	read := make(chan struct{})
	go func() {
		defer close(read)
		c.read(out)
	}()
	go func() {
		<-exited
		stdout.Close()
	}()
	t.Cleanup(func() { // runs before start's: the driver ends with its stdin
		_ = in.Close()
		<-read
	})
	return c
}

func (c *client) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 32<<20)
	for lines.Scan() {
		var line struct {
			reply
			event
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			c.t.Errorf("driver printed %q: %v", lines.Text(), err)
			continue
		}
		c.mu.Lock()
		if line.Event != "" {
			c.events = append(c.events, line.event)
		} else {
			c.done[line.ID] = line.reply
		}
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
	}
}

// connect connects and notes what was agreed on.
func (c *client) connect(f fields) {
	c.t.Helper()
	var state struct{ Protocol string }
	c.must("connect", f, &state)
	c.modern = state.Protocol >= modern.revision()
	if want, ok := f["mode"].(fields); ok && state.Protocol != want["pin"] {
		c.t.Errorf("connected with %s, want %s", state.Protocol, want["pin"])
	}
}

// gone kills the client where it stands.
func (c *client) gone() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
}

// send begins a command and returns its id.
func (c *client) send(verb string, f fields) int {
	c.t.Helper()
	c.mu.Lock()
	c.next++
	id := c.next
	c.mu.Unlock()
	command := fields{"id": id, "do": verb}
	maps.Copy(command, f)
	line, err := json.Marshal(command)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		c.t.Fatalf("driver is gone: %v", err)
	}
	return id
}

// wait blocks until command id is done.
func (c *client) wait(id int) (json.RawMessage, error) {
	c.t.Helper()
	var r reply
	c.until(fmt.Sprintf("the outcome of command %d", id), func() (ok bool) {
		r, ok = c.done[id]
		return ok
	})
	if r.Error != nil {
		return nil, r.Error
	}
	return r.Result, nil
}

// do is send and wait.
func (c *client) do(verb string, f fields) (json.RawMessage, error) {
	c.t.Helper()
	return c.wait(c.send(verb, f))
}

// must is do for what may not fail; the result is decoded into out if not nil.
func (c *client) must(verb string, f fields, out any) {
	c.t.Helper()
	raw, err := c.do(verb, f)
	if err != nil {
		c.t.Fatalf("%s %v: %v", verb, f, err)
	}
	if out != nil {
		if err := json.Unmarshal(raw, out); err != nil {
			c.t.Fatalf("%s %v: %s: %v", verb, f, raw, err)
		}
	}
}

// seen waits for an event of a kind that matches and returns it.
func (c *client) seen(kind, what string, match func(event) bool) event {
	c.t.Helper()
	var found event
	c.until(kind+" "+what, func() bool {
		i := slices.IndexFunc(c.events, func(e event) bool { return e.Event == kind && match(e) })
		if i >= 0 {
			found = c.events[i]
		}
		return i >= 0
	})
	return found
}

// count returns how many events of a kind match so far.
func (c *client) count(kind string, match func(event) bool) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.events {
		if e.Event == kind && match(e) {
			n++
		}
	}
	return n
}

// until waits until ok, which is called with c.mu held after each line.
func (c *client) until(what string, ok func() bool) {
	c.t.Helper()
	patience := time.NewTimer(time.Minute)
	defer patience.Stop()
	for {
		c.mu.Lock()
		if ok() {
			c.mu.Unlock()
			return
		}
		more := c.more
		c.mu.Unlock()
		select {
		case <-more:
		case <-patience.C:
			c.t.Fatalf("nothing came of %s; events: %s", what, c.history())
		case <-c.ctx.Done():
			c.t.Fatalf("waiting for %s: %v", what, context.Cause(c.ctx))
		}
	}
}

func (c *client) history() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, e := range c.events[max(0, len(c.events)-20):] {
		fmt.Fprintf(&b, "\n  %s %s %.200s %s", e.Event, e.Method, e.Params, e.Message)
	}
	return b.String()
}

// mark is a position among the events, for progressed.
func (c *client) mark() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.events)
}

// progressed counts the progress on the wire from mark to the answer of the call
// that made it. The SDK's token is the id of the request. Other answers may come in
// between: that to a stream of changes that was given up.
func (c *client) progressed(mark int) (n int) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	var of string
	for _, e := range c.events[mark:] {
		var p struct{ ID, ProgressToken json.RawMessage }
		if e.Event != "wire" {
			continue
		}
		if err := json.Unmarshal(e.Params, &p); err != nil {
			c.t.Fatalf("%v in %s", err, e.Params)
		}
		switch {
		case e.Method == "answer" && n > 0 && string(p.ID) == of:
			return n
		case e.Method != "answer":
			of = string(p.ProgressToken)
			n++
		}
	}
	return n
}
