package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// attach serves an attached client, initialized, until it hangs up. done gives
// what Attach returned, after which the client hears no more.
func (r *rig) attach(t *testing.T) (c *pipeClient, done <-chan error) {
	t.Helper()
	in, send := io.Pipe()
	recv, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := r.Attach(t.Context(), in, out)
		out.Close()
		in.Close()
		ended <- err
	}()
	t.Cleanup(func() { send.Close(); recv.Close() })
	c = &pipeClient{send, linesOf(t, recv)}
	c.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
	has(t, "the handshake", c.hear(), `"serverInfo"`)
	return c, ended
}

// Clients that are attached at the same time, with the same ids, get their own
// answers.
func TestAttachSeveral(t *testing.T) {
	r := echoing(t, "a")
	if r.Unused() == 0 {
		t.Error("a gateway without clients is in use")
	}
	type attached struct {
		c    *pipeClient
		done <-chan error
	}
	var all []attached
	for range 5 {
		c, done := r.attach(t)
		all = append(all, attached{c, done})
	}
	for round := range 20 {
		for i, a := range all {
			a.c.say(calls("7", "a__echo", fmt.Sprintf(`{"client":%d,"round":%d}`, i, round)))
		}
		for i, a := range all {
			has(t, "an answer", a.c.hear(), `"id":7,`, fmt.Sprintf(`\"client\":%d,\"round\":%d`, i, round))
		}
	}
	if got := r.Unused(); got != 0 {
		t.Errorf("with clients attached it is unused for %v", got)
	}
	for _, a := range all {
		a.c.in.Close()
		if err := <-a.done; err != nil {
			t.Errorf("Attach: %v", err)
		}
	}
	if n := len(r.sessions.all()); n != 0 || r.Unused() == 0 {
		t.Errorf("%d sessions are left, unused for %v", n, r.Unused())
	}
}

// Whoever hangs up wants no answers: one piped in once had its calls run on.
func TestAttachClosedCancels(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, cancelled := make(chan struct{}), make(chan struct{})
		r := tool(t, func(ctx context.Context, _ *upstream.Request) (json.RawMessage, error) {
			close(begun)
			<-ctx.Done()
			close(cancelled)
			return nil, ctx.Err()
		})
		c, done := r.attach(t)
		c.say(calls("1", "a__do", "{}"))
		<-begun
		at := time.Now()
		c.in.Close()
		<-cancelled
		if err := <-done; err != nil || time.Since(at) > 0 {
			t.Errorf("Attach: %v after %v", err, time.Since(at))
		}
		r.web.CloseIdleConnections()
	})
}

// A drain answers the calls in flight, leaves everything else to the next
// gateway, and hangs up.
func TestAttachDrain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, finish := make(chan struct{}), make(chan struct{})
		r := tool(t, func(context.Context, *upstream.Request) (json.RawMessage, error) {
			close(begun)
			<-finish
			return json.RawMessage(`{"late":1}`), nil
		})
		c, done := r.attach(t)
		c.say(modernListen("l"))
		has(t, "the subscription", c.hear(), "subscriptions/acknowledged")
		c.say(calls("1", "a__do", "{}"))
		<-begun
		drained := make(chan struct{})
		go func() { r.Drain(t.Context()); close(drained) }()
		synctest.Wait()
		c.say(calls(`"two"`, "a__do", "{}"))
		has(t, "a call in a drain", c.hear(), `"method":"notifications/interlock/refused","params":{"requestId":"two"}`)
		c.say(modernListen("m"))
		has(t, "a subscription in a drain", c.hear(), `refused`, `"m"`)
		close(finish)
		has(t, "the call in flight", c.hear(), `"id":1,"result":{"late":1}`)
		if got := c.hear(); got != "" {
			t.Errorf("and then: %s", got)
		}
		<-drained
		if err := <-done; err != nil {
			t.Errorf("Attach: %v", err)
		}
	})
}

func modernListen(id string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"method":"subscriptions/listen","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"notifications":{"toolsListChanged":true}}}`, id)
}

// The streams on which clients listen end before the calls in flight do, for a
// client that goes elsewhere must know.
func TestDrainOrder(t *testing.T) {
	begun, finish := make(chan struct{}), make(chan struct{})
	r := tool(t, func(context.Context, *upstream.Request) (json.RawMessage, error) {
		close(begun)
		<-finish
		return json.RawMessage(`{}`), nil
	})
	c := r.connect(`{}`)
	events := c.listen(t.Context())
	answered := make(chan reply, 1)
	go func() { answered <- c.post(calls("1", "a__do", "{}")) }()
	<-begun
	ready := func() bool { ok, _ := r.Ready(); return ok }
	drained := make(chan struct{})
	go func() { r.Drain(t.Context()); close(drained) }()
	for e := range events { // to the end of the stream, while the call is in flight
		if strings.Contains(string(e.Data), `"result"`) {
			t.Errorf("on the stream: %s", e.Data)
		}
	}
	if ready() {
		t.Error("ready after the streams were closed")
	}
	select {
	case <-drained:
		t.Error("drained with a call in flight")
	case <-answered:
		t.Error("answered too early")
	default:
	}
	close(finish)
	if got := <-answered; !strings.Contains(got.body, `"result":{}`) {
		t.Errorf("the call in flight: %s", got.body)
	}
	<-drained
	if got := r.dialer.Events(); strings.Contains(strings.Join(got, ","), "close") {
		t.Errorf("an upstream was stopped before the drain was over: %v", got)
	}
}

// Unused counts from the last client on.
func TestUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server("a").Tools = []string{"echo"}
		r := start(t, settings(t, "a"), d).running()
		c, done := r.attach(t)
		time.Sleep(time.Minute)
		if got := r.Unused(); got != 0 {
			t.Errorf("with a client: %v", got)
		}
		c.say(strings.Replace(modernListen("l"), "subscriptions/listen", "tools/list", 1))
		has(t, "the list", c.hear(), `"tools"`)
		time.Sleep(time.Minute)
		c.in.Close()
		<-done
		time.Sleep(time.Minute)
		if got := r.Unused(); got != time.Minute {
			t.Errorf("a minute later: %v", got)
		}
		r.web.CloseIdleConnections()
	})
}

// A watchdog asks the one goroutine without which nothing changes any more.
func TestAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, err := New(settings(t, "a"), Options{Dialer: new(linktest.Dialer)})
		if err != nil {
			t.Fatal(err)
		}
		brief := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}
		if g.Alive(brief()) {
			t.Error("alive before Run")
		}
		r := serveGateway(t, g).running()
		if !r.Alive(brief()) {
			t.Error("not alive while it runs")
		}
		r.stop()
		if r.Alive(brief()) {
			t.Error("alive after Run")
		}
		r.web.CloseIdleConnections()
	})
}

// A client that does not read its answers is let go before they fill the memory
// that all share; the others do not notice.
func TestAttachStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		large := json.RawMessage(`{"x":"` + strings.Repeat("y", 8<<20) + `"}`)
		r := tool(t, func(_ context.Context, q *upstream.Request) (json.RawMessage, error) {
			if strings.Contains(string(q.Message.Raw), `"small"`) {
				return json.RawMessage(`{"small":1}`), nil
			}
			return large, nil
		})
		here, there := net.Pipe()
		done := make(chan error, 1)
		go func() { done <- r.Attach(t.Context(), there, there); there.Close() }()
		stuck := &pipeClient{here, bufio.NewScanner(here)}
		stuck.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
		stuck.hear()
		for i := range 12 {
			stuck.say(calls(fmt.Sprint(i+1), "a__do", "{}"))
			time.Sleep(backlogGrace)
			if i == 5 { // within bounds
				if len(done) > 0 {
					t.Fatal("let go too early")
				}
			}
			if len(done) > 0 {
				break
			}
		}
		if err := <-done; !errors.Is(err, errStuck) {
			t.Errorf("Attach: %v", err)
		}
		here.Close()
		if r.backlog.held != 0 {
			t.Errorf("%d bytes are held for nobody", r.backlog.held)
		}
		c, _ := r.attach(t)
		c.say(calls("1", "a__do", `{"small":1}`))
		has(t, "another client", c.hear(), `"small":1`)
		r.web.CloseIdleConnections()
	})
}

// One that stops in the middle of an answer has as long as an HTTP client has.
func TestAttachStalled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := tool(t, func(context.Context, *upstream.Request) (json.RawMessage, error) {
			return json.RawMessage(`{"x":"` + strings.Repeat("y", 1<<20) + `"}`), nil
		})
		here, there := net.Pipe()
		defer here.Close()
		done := make(chan error, 1)
		go func() { done <- r.Attach(t.Context(), there, there); there.Close() }()
		stalled := &pipeClient{here, bufio.NewScanner(here)}
		stalled.say(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{}}}`)
		stalled.hear()
		stalled.say(calls("1", "a__do", "{}"))
		for range 3 { // slowly, and then not at all
			time.Sleep(writeTimeout - time.Second)
			if _, err := io.ReadFull(here, make([]byte, maxPiece)); err != nil {
				t.Fatal(err)
			}
		}
		at := time.Now()
		if err := <-done; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(at) > writeTimeout {
			t.Errorf("Attach: %v after %v", err, time.Since(at))
		}
		r.web.CloseIdleConnections()
	})
}
