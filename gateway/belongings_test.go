package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// What one principal was given is nothing to another: request states, tasks, and
// the ids of events and of requests.
func TestBelongings(t *testing.T) {
	ask, runs := asks(t, formQuestion)
	hung, ended := make(chan struct{}), make(chan error, 1)
	d := new(linktest.Dialer)
	d.Server("a").Tools = []string{"ask", "hang"}
	d.Server("a").OnRequest = func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		switch {
		case method != "tools/call":
			return nil, nil
		case r.Message.Text(r.Message.Name) == "a__ask":
			return ask(ctx, r)
		}
		r.Peer.Notified(serverMessage(t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`))
		close(hung)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return nil, context.Cause(ctx)
	}
	now(d, "b", `{"io.modelcontextprotocol/tasks":{}}`, func(method string, _ jsonrpc.Message, _ *upstream.Request) (json.RawMessage, error) {
		if method == "tools/call" {
			return json.RawMessage(`{"resultType":"task","taskId":"t1","status":"working","ttlMs":1}`), nil
		}
		return json.RawMessage(`{"resultType":"complete","here":"it is"}`), nil
	})
	cfg := settings(t, "a", "b")
	keys := keyed(cfg, "alice", "bob")
	r := start(t, cfg, d).running()
	const able = `{"elicitation":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}`
	alice, bob := r.user(keys["alice"], able), r.user(keys["bob"], able)

	_, state := alice.tool("a__ask", "").required(t)
	got, want := bob.tool("a__ask", retry(state, `{"1":{"action":"accept"}}`)), bob.tool("a__ask", retry("AAAA", `{"1":{"action":"accept"}}`))
	if got.rpcCode() != jsonrpc.CodeInvalidParams || got.body != want.body {
		t.Errorf("another's request state: %s, one of nobody's: %s", got.body, want.body)
	}
	if got := alice.tool("a__ask", retry(state, `{"1":{"action":"accept"}}`)); !strings.Contains(got.body, "accept") || runs.Load() != 1 {
		t.Errorf("her own: %s, %d runs", got.body, runs.Load())
	}

	has(t, "a task", alice.tool("b__do", "").body, `"taskId":"t1"`)
	for _, method := range []string{"tasks/get", "tasks/update", "tasks/cancel"} {
		has(t, "her own", alice.call(method, `{"taskId":"t1"}`).body, "it is")
		if got := bob.call(method, `{"taskId":"t1"}`); got.rpcCode() != jsonrpc.CodeInvalidParams || strings.Contains(got.body, "it is") {
			t.Errorf("%s of another's: %s", method, got.body)
		}
	}

	// A call under way is cancelled by her who made it, and its events are hers.
	hers, his := r.as(keys["alice"]), r.as(keys["bob"])
	events := hers.events(t.Context(), hers.request(t.Context(), "POST", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a__hang","arguments":{},"_meta":{"progressToken":1}}}`))
	first := <-events
	<-hung
	const cancel = `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	his.post(cancel)
	req := his.request(t.Context(), "GET", "")
	req.Header.Set("Last-Event-ID", first.ID)
	req.Header.Set("Mcp-Session-Id", hers.session)
	if got := his.do(req); got.status != http.StatusNotFound {
		t.Errorf("her events, for him: %d %s", got.status, got.body)
	}
	select {
	case err := <-ended:
		t.Errorf("her call ended with %v", err)
	default:
	}
	hers.post(cancel)
	if err := <-ended; !errors.Is(err, errCancelled) {
		t.Errorf("her call ended with %v", err)
	}
}

// No principal takes the places of the others.
func TestNobodyPushesOthersOut(t *testing.T) {
	alice, bob := &policy.Principal{Issuer: "i", Subject: "alice"}, &policy.Principal{Issuer: "i", Subject: "bob"}
	t.Run("sessions", func(t *testing.T) {
		table := newSessions()
		add := func(p *policy.Principal, n int) (out *session, err error) {
			key := p.String() + strconv.Itoa(n)
			_, out, err = table.add(newSession(ticket{Nonce: key, Version: "2025-11-25"}, "id "+key).useStreams().belongsTo(p), 10)
			return out, err
		}
		for i := range 3 {
			if out, err := add(bob, i); out != nil || err != nil {
				t.Fatal(out, err)
			}
		}
		for i := range 100 {
			if out, err := add(alice, i); err != nil || i >= 5 && (out == nil || !out.of(alice)) {
				t.Fatalf("her %d.: %v %v", i+1, out, err)
			}
		}
		if table.count() != 8 || table.of[ownerOf(alice)] != 5 || table.of[ownerOf(bob)] != 3 {
			t.Errorf("%d sessions: %v", table.count(), table.of)
		}
		for _, s := range table.all() {
			table.remove(s)
		}
		if len(table.of) != 0 {
			t.Errorf("left: %v", table.of)
		}
	})
	t.Run("stand-ins", func(t *testing.T) {
		var table modernClients
		caps := func(i int) []byte { return fmt.Appendf(nil, `{"x":%d}`, i) }
		b, _, err := table.find(bob, "", caps(0))
		if err != nil {
			t.Fatal(err)
		}
		b.users.Add(-1)
		for i := range 3 * maxModernOfOne {
			c, out, err := table.find(alice, "", caps(i))
			if err != nil || out != nil && !out.of(alice) {
				t.Fatal(out, err)
			}
			c.users.Add(-1)
		}
		if again, _, _ := table.find(bob, "", caps(0)); again != b || table.count != maxModernOfOne+1 {
			t.Errorf("%d in all", table.count)
		}
		if a, _, _ := table.find(alice, "", caps(0)); a.key == b.key {
			t.Error("two principals have one key")
		}
	})
	t.Run("parked calls", func(t *testing.T) {
		var table parks
		of := func(p *policy.Principal) *parked {
			return &parked{first: &exchange{session: newSession(ticket{}, "").belongsTo(p)}}
		}
		var names []string
		for {
			name, ok := table.put(of(alice))
			if !ok {
				break
			}
			names = append(names, name)
		}
		if _, ok := table.put(of(bob)); len(names) != maxParkedOfOne || !ok {
			t.Errorf("she has %d, and for him there is room: %v", len(names), ok)
		}
		table.take(names[0])
		table.take(names[0])
		if _, ok := table.put(of(alice)); !ok {
			t.Error("there is no room for hers after one was taken")
		}
	})
	t.Run("tasks", func(t *testing.T) {
		var table tasks
		give := func(p *policy.Principal, id int) *exchange {
			x := &exchange{session: newSession(ticket{}, "").belongsTo(p)}
			table.remember(x, "a", serverMessage(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"result":{"taskId":"%d"}}`, id)))
			return x
		}
		his := give(bob, 0)
		var hers *exchange
		for i := range maxTasksOfOne + 10 {
			hers = give(alice, i)
		}
		if len(table.at(his, "0")) != 1 || len(table.at(hers, "9")) != 0 || len(table.at(hers, "10")) != 1 || len(table.byKey) != maxTasksOfOne+1 {
			t.Errorf("%d are remembered", len(table.byKey))
		}
	})
}
