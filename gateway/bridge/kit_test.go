package bridge

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// rig is a bridge between a scripted client and scripted gateways.
type rig struct {
	t     *testing.T
	in    io.WriteCloser // the client's mouth
	lines chan string    // what the client hears
	dials chan *dial
	done  chan error
	said  chan string
	stop  context.CancelFunc
}

// dial is one call of Dial, which the test answers.
type dial struct {
	conn chan net.Conn
	err  chan error
}

// bridgeUp runs a bridge until the test ends.
func bridgeUp(t *testing.T) *rig {
	t.Helper()
	in, mouth := io.Pipe()
	ear, out := io.Pipe()
	r := &rig{t: t, in: mouth, lines: make(chan string, 100), dials: make(chan *dial), done: make(chan error, 1), said: make(chan string, 100)}
	ctx, cancel := context.WithCancel(t.Context())
	r.stop = cancel
	go func() {
		defer close(r.lines)
		for s := bufio.NewScanner(ear); s.Scan(); {
			r.lines <- s.Text()
		}
	}()
	go func() {
		r.done <- Run(ctx, Options{
			In: in, Out: out, MaxMessage: 10_000, Patience: 10 * time.Second, Say: func(text string) { r.said <- text },
			Dial: func(ctx context.Context) (io.ReadWriteCloser, error) {
				d := &dial{make(chan net.Conn), make(chan error)}
				select {
				case r.dials <- d:
				case <-ctx.Done():
					return nil, ctx.Err()
				}
				select {
				case c := <-d.conn:
					return c, nil
				case err := <-d.err:
					return nil, err
				case <-ctx.Done():
					return nil, ctx.Err()
				}
			},
		})
		out.Close()
		in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		mouth.Close()
		ear.Close()
	})
	return r
}

// gateway is the far end of one connection.
type gateway struct {
	r    *rig
	conn net.Conn
	in   *bufio.Scanner
}

// accept lets the bridge connect.
func (r *rig) accept() *gateway {
	r.t.Helper()
	here, there := net.Pipe()
	(<-r.dials).conn <- there
	r.t.Cleanup(func() { here.Close() })
	return &gateway{r, here, bufio.NewScanner(here)}
}

// refuse has the bridge's next attempt fail.
func (r *rig) refuse(why string) { (<-r.dials).err <- errors.New(why) }

func (r *rig) say(line string) {
	r.t.Helper()
	if _, err := io.WriteString(r.in, line+"\n"); err != nil {
		r.t.Fatal(err)
	}
}

// hear wants the client to be told a line that has all the parts.
func (r *rig) hear(parts ...string) string {
	r.t.Helper()
	line, ok := <-r.lines
	for _, p := range parts {
		if !ok || !strings.Contains(line, p) {
			r.t.Fatalf("the client hears %q, want %q", line, parts)
		}
	}
	return line
}

func (g *gateway) say(line string) {
	g.r.t.Helper()
	if _, err := io.WriteString(g.conn, line+"\n"); err != nil {
		g.r.t.Fatal(err)
	}
}

// hear wants the gateway to be told a line that has all the parts.
func (g *gateway) hear(parts ...string) string {
	g.r.t.Helper()
	if !g.in.Scan() {
		g.r.t.Fatalf("the gateway hears nothing, want %q", parts)
	}
	for _, p := range parts {
		if !strings.Contains(g.in.Text(), p) {
			g.r.t.Fatalf("the gateway hears %q, want %q", g.in.Text(), parts)
		}
	}
	return g.in.Text()
}

// die ends the connection as a gateway that was killed does.
func (g *gateway) die() { g.conn.Close() }

const (
	handshake   = `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}}}}`
	welcome     = `{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25"}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
)

// greeted is a bridge whose client has shaken hands.
func greeted(t *testing.T) (*rig, *gateway) {
	t.Helper()
	r := bridgeUp(t)
	g := r.accept()
	r.say(handshake)
	g.hear(handshake)
	g.say(welcome)
	r.hear(welcome)
	r.say(initialized)
	g.hear(initialized)
	return r, g
}

// again takes the handshake of a bridge that is back, and the word that lists may
// have changed.
func (r *rig) again() *gateway {
	r.t.Helper()
	g := r.accept()
	id := r.ownID(g.hear(`"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":{}}}`))
	g.hear(initialized)
	g.say(strings.Replace(welcome, `"id":0`, `"id":`+id, 1)) // which the client must not hear
	for _, list := range []string{"tools", "prompts", "resources"} {
		r.hear(`"notifications/` + list + `/list_changed"`)
	}
	return g
}

// ownID is the id of a request that the bridge makes itself.
func (r *rig) ownID(line string) string {
	r.t.Helper()
	_, rest, _ := strings.Cut(line, `"id":`)
	id, _, _ := strings.Cut(rest, ",")
	if !strings.HasPrefix(id, `"interlock-`) {
		r.t.Fatalf("a request of the bridge's own has the id %s", id)
	}
	return id
}
