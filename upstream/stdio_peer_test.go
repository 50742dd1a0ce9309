package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// peer is a client, or an inbox, that hands over what it is told.
type peer struct {
	notes chan jsonrpc.Message
	asked chan *Question
}

func newPeer() *peer { return &peer{make(chan jsonrpc.Message, 100), make(chan *Question, 100)} }

func (p *peer) Notified(m jsonrpc.Message) { p.notes <- m }
func (p *peer) Asked(q *Question)          { p.asked <- q }

// respond answers the next question with a result.
func (p *peer) respond(t *testing.T, result string) {
	t.Helper()
	q := <-p.asked
	if err := q.Answer(t.Context(), jsonrpc.AppendResult(nil, q.Message.ID.Of(q.Message.Raw), []byte(result))); err != nil {
		t.Error(err)
	}
}

// Progress reaches the call's own client under its own token, byte for byte, and
// none comes after the answer.
func TestStdioProgress(t *testing.T) {
	l := startFake(t, fakeDial(t, "ok"))
	client := newPeer()
	r := toolCall(t, "progress", `{"n":5,"after":5}`, `{"progressToken":"té\"ken","other":1}`)
	r.Peer = client
	resultOf(t, l, r)
	resultOf(t, l, toolCall(t, "echo", "{}", "")) // what came after the answer was read by now
	close(client.notes)
	n := 0
	for m := range client.notes {
		n++
		if got := string(m.ProgressToken.Of(m.Raw)); got != `"té\"ken"` {
			t.Errorf("token %s", got)
		}
	}
	if n != 5 {
		t.Errorf("%d messages, want 5", n)
	}
	if got := resultOf(t, l, toolCall(t, "echo", "{}", `{"other":1}`)); !strings.Contains(got, `"_meta":{"other":1}`) {
		t.Errorf("a call without a token: %s", got)
	}
}

// hold begins a call that the server has, and that it answers when release is
// called. The channel returned is told how it ended for the caller.
func hold(ctx context.Context, t *testing.T, l Link, owner string) <-chan error {
	t.Helper()
	client := newPeer()
	r := toolCall(t, "hold", "{}", `{"progressToken":1}`)
	r.Owner, r.Peer = owner, client
	ended := make(chan error, 1)
	go func() {
		_, err := l.Do(ctx, r)
		ended <- err
	}()
	<-client.notes
	return ended
}

func TestStdioCancelTellsTheServer(t *testing.T) {
	events := filepath.Join(t.TempDir(), "events")
	l := startFake(t, fakeDial(t, "ok", upstreamtest.EventFile, events))
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the client went away")
	failed := hold(ctx, t, l, "a client")
	cancel(gone)
	if err := <-failed; err != gone {
		t.Errorf("error %v, want the cause", err)
	}
	resultOf(t, l, toolCall(t, "echo", "{}", "")) // what was sent before was read by now
	told, _ := os.ReadFile(events)
	if !bytes.Contains(told, []byte(`notifications/cancelled {"requestId":2,`)) {
		t.Errorf("told %s", told)
	}
	// The late answer is dropped, and the call counts no longer.
	resultOf(t, l, toolCall(t, "release", "{}", ""))
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) != 0 || len(l.calls.owners) != 0 || len(l.calls.abandoned) != 0 {
		t.Errorf("left: %v %v %v", l.pending, l.calls.owners, l.calls.abandoned)
	}
}

// A call is cancelled before, during and with its answer, many times.
func TestStdioCancelRaces(t *testing.T) {
	l := startFake(t, fakeDial(t, "ok"))
	for i := range 2000 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%20)*20*time.Microsecond)
		nonce := fmt.Sprintf(`{"n":%d}`, i)
		m, err := l.Do(ctx, toolCall(t, "echo", nonce, ""))
		cancel()
		if err == nil && !strings.Contains(string(m.Raw), nonce) {
			t.Fatalf("call %d got %s", i, m.Raw)
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	resultOf(t, l, toolCall(t, "release", "{}", "")) // all were answered by now
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) != 0 || len(l.calls.owners) != 0 {
		t.Errorf("left: %v %v", l.pending, l.calls.owners)
	}
}

func TestStdioQuestions(t *testing.T) {
	d := fakeDial(t, "pings")
	l := startFake(t, d)
	client := newPeer()
	ask := func(tool string) *Request {
		r := toolCall(t, tool, "{}", "")
		r.Peer = client
		return r
	}
	t.Run("relayed", func(t *testing.T) {
		go client.respond(t, `{"action":"accept","content":{"n":12345678901234567890}}`)
		if got := resultOf(t, l, ask("elicit")); !strings.Contains(got, `12345678901234567890`) {
			t.Errorf("result = %s", got)
		}
	})
	t.Run("withdrawn", func(t *testing.T) {
		resultOf(t, l, ask("giveup"))
		q := <-client.asked
		<-q.Gone
		if err := q.Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":"given-up","result":{}}`)); err == nil {
			t.Error("an answer that nobody waits for was sent")
		}
	})
	t.Run("no roots of one client for all", func(t *testing.T) {
		if got := resultOf(t, l, ask("roots")); !strings.Contains(got, "roots are not offered") {
			t.Errorf("result = %s", got)
		}
	})
	t.Run("gone with the link", func(t *testing.T) {
		go func() { _, _ = l.Do(t.Context(), ask("elicit")) }()
		q := <-client.asked
		l.Close(t.Context())
		<-q.Gone
	})
	if len(client.asked)+len(client.notes) > 0 {
		t.Error("somebody was told too much")
	}
}

// A server's question that may be for another client's call goes to nobody: not
// while calls of two are in flight, and not after one of them went away.
func TestStdioQuestionOfAnotherClientsCall(t *testing.T) {
	t.Run("shared", func(t *testing.T) { questionOfAnotherClientsCall(t, fakeDial(t, "ok")) })
	// Clients without sessions share a link that is exclusively theirs.
	t.Run("exclusive", func(t *testing.T) {
		d := fakeDial(t, "ok")
		d.Exclusive, d.Inbox = true, newPeer()
		questionOfAnotherClientsCall(t, d)
	})
}

func questionOfAnotherClientsCall(t *testing.T, d *Dial) {
	t.Helper()
	l := startFake(t, d)
	ctx, cancel := context.WithCancel(t.Context())
	failed := hold(ctx, t, l, "another client")
	refused := func(when string) {
		t.Helper()
		client := newPeer()
		r := toolCall(t, "elicit", "{}", "")
		r.Peer = client
		if got := resultOf(t, l, r); !strings.Contains(got, "calls of several clients are in flight") {
			t.Errorf("%s: %s", when, got)
		}
		if len(client.asked) > 0 {
			t.Errorf("%s: the wrong client was asked", when)
		}
	}
	refused("beside another's call")
	cancel()
	<-failed
	refused("beside another's cancelled call")
	resultOf(t, l, toolCall(t, "release", "{}", "")) // the cancelled one was answered by now
	client := newPeer()
	r := toolCall(t, "elicit", "{}", "")
	r.Peer = client
	go client.respond(t, `{"action":"decline"}`)
	if got := resultOf(t, l, r); !strings.Contains(got, "decline") {
		t.Errorf("alone again: %s", got)
	}
}

func TestStdioExclusiveLinkAsksItsOwner(t *testing.T) {
	d := fakeDial(t, "ok")
	inbox := newPeer()
	d.Exclusive, d.Inbox = true, inbox
	l := startFake(t, d)
	go inbox.respond(t, `{"roots":[{"uri":"file:///a"}]}`)
	if got := resultOf(t, l, toolCall(t, "roots", "{}", "")); !strings.Contains(got, "file:///a") {
		t.Errorf("result = %s", got)
	}
}

func TestAttribution(t *testing.T) {
	var a attribution
	sole := func(want string) {
		t.Helper()
		if got, ok := a.sole(); got != want || ok != (want != "") {
			t.Errorf("sole = %q, %v, want %q", got, ok, want)
		}
	}
	sole("")
	a.begin("a")
	a.begin("") // the supervisor's own do not count
	sole("a")
	a.begin("a")
	a.begin("b")
	sole("")
	a.abandon(7, "b")
	sole("")
	a.late(8)
	sole("")
	a.late(7)
	a.late(7)
	sole("a")
	a.end("a")
	sole("a")
	a.end("a")
	sole("")
	for id := range uint64(2 * maxAbandoned) { // a server that answers no cancelled call
		a.begin("c")
		a.abandon(id, "c")
	}
	for id := range uint64(2 * maxAbandoned) {
		a.late(id)
	}
	sole("c")
	if len(a.abandoned) != 0 {
		t.Errorf("%d are remembered", len(a.abandoned))
	}
}

// A log line says nothing of the call it came in: it is for the client whose calls
// alone are in flight, else for nobody.
func TestStdioLogLines(t *testing.T) {
	d := fakeDial(t, "ok")
	inbox := newPeer()
	d.Inbox = inbox
	l := startFake(t, d)
	one, two := newPeer(), newPeer()
	r := toolCall(t, "log", "{}", "")
	r.Owner, r.Peer = "one", one
	resultOf(t, l, r)
	if m := <-one.notes; m.MethodName() != "notifications/message" {
		t.Errorf("the client was told %s", m.Raw)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		slow := toolCall(t, "elicit", "{}", "")
		slow.Owner, slow.Peer = "two", two
		_, _ = l.Do(ctx, slow)
	}()
	<-two.asked
	resultOf(t, l, r)
	if m := <-inbox.notes; m.MethodName() != "notifications/message" || len(one.notes)+len(two.notes) != 0 {
		t.Errorf("with calls of two clients in flight one was told: %s", m.Raw)
	}
	cancel()
	<-done
}
