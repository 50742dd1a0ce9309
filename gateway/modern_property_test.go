package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// anyJSON makes a JSON value that careless readers change: spaces, escapes, numbers
// that no float64 holds, keys out of order and empty ones.
func anyJSON(r *rand.Rand, depth int) string {
	space := []string{"", " ", "  "}[r.IntN(3)]
	switch n := r.IntN(9); {
	case n == 0 && depth > 0, n == 1 && depth > 0:
		var b strings.Builder
		b.WriteString("{" + space)
		for i := range r.IntN(4) {
			if i > 0 {
				b.WriteString("," + space)
			}
			key := []string{"z", "a", "", "resultType", "_meta", "content", "ttlMs", `\u0061b`, "é", "inputRequests", "id", "result"}[r.IntN(12)]
			fmt.Fprintf(&b, `"%s%d":%s%s`, key, i, space, anyJSON(r, depth-1))
		}
		return b.String() + "}"
	case n == 2 && depth > 0:
		return "[" + space + anyJSON(r, depth-1) + "," + anyJSON(r, depth-1) + "]"
	case n == 3:
		return []string{"1.0", "-0", "1e2", "9007199254740993", "123456789012345678901234567890", "0.10"}[r.IntN(6)]
	case n == 4:
		return []string{"true", "false", "null"}[r.IntN(3)]
	}
	return []string{`"x"`, `""`, `"\u00fc\/<&>\u2028"`, `"é😀"`, `"\"resultType\":\"input_required\""`, `"ui://x"`}[r.IntN(6)]
}

// What is not translated is carried byte for byte, from a legacy server to a modern
// client and back up, and a legacy client sees the same through a detour by the
// modern revision as without: two gateways, the outer of which is the inner's
// client.
func TestCarriesBytesAcrossEras(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 1))
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	var mu sync.Mutex
	var result, sent string
	d := new(linktest.Dialer)
	s := d.Server("a")
	s.Tools = []string{"do"}
	s.OnRequest = func(_ context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		mu.Lock()
		defer mu.Unlock()
		m, err := jsonrpc.ParseServer(r.Edits.Apply(nil, r.Message.Raw))
		sent = string(m.Arguments.Of(m.Raw))
		return json.RawMessage(result), err
	}
	inner := start(t, settings(t, "a"), d).running()
	cfg := settings(t, "in=http")
	cfg.Upstreams[0].URL, cfg.Upstreams[0].Protocol = inner.url+"/mcp", upstream.ModernProtocol
	none := ""
	cfg.Upstreams[0].Prefix = &none
	outer := startWith(t, cfg, Options{}).running()
	if !outer.set.Upstream("in").Modern() {
		t.Fatal("the outer does not speak 2026-07-28 with the inner")
	}
	now, direct, detour := inner.caller(`{}`), inner.connect(`{}`), outer.connect(`{}`)
	for range 300 {
		arguments := anyJSON(rnd, 3)
		for arguments[0] != '{' {
			arguments = anyJSON(rnd, 3)
		}
		mu.Lock()
		result = fmt.Sprintf(`{"content":%s,"x":%s}`, anyJSON(rnd, 3), anyJSON(rnd, 3))
		want := result
		mu.Unlock()
		up := func(who string) {
			t.Helper()
			mu.Lock()
			defer mu.Unlock()
			if sent != arguments {
				t.Errorf("%s sent\n%s, the server got\n%s", who, arguments, sent)
			}
		}
		got := now.call("tools/call", fmt.Sprintf(`{"name":"a__do","arguments":%s}`, arguments)).body
		up("a modern client")
		if !strings.HasSuffix(got, ","+want[1:]+"}") {
			t.Errorf("of\n%s a modern client got\n%s", want, got)
		}
		a := direct.post(calls("1", "a__do", arguments)).body
		up("a legacy client")
		b := detour.post(calls("1", "a__do", arguments)).body
		up("a legacy client by a detour")
		if a != `{"jsonrpc":"2.0","id":1,"result":`+want+`}` {
			t.Errorf("of\n%s a legacy client got\n%s", want, a)
		}
		if !strings.HasSuffix(b, ","+want[1:]+"}") {
			t.Errorf("of\n%s a legacy client got by a detour\n%s", want, b)
		}
		if t.Failed() {
			return
		}
	}
}

// Many clients that all use the same ids, and are all asked something: each gets its
// own question and its own answer, once.
func TestManyModernClients(t *testing.T) {
	ran := make(map[string]int)
	var mu sync.Mutex
	d := new(linktest.Dialer)
	s := d.Server("a")
	s.Tools = []string{"do"}
	s.OnRequest = func(ctx context.Context, _ *linktest.Link, method string, r *upstream.Request) (json.RawMessage, error) {
		if method != "tools/call" {
			return nil, nil
		}
		nonce, _ := jsonrpc.Lookup(r.Message.Raw, r.Message.Arguments, "nonce")
		own := r.Message.Text(nonce)
		mu.Lock()
		ran[own]++
		mu.Unlock()
		q, got := asked(t, `{"jsonrpc":"2.0","id":1,"method":"elicitation/create","params":{"message":"`+own+`"}}`)
		r.Peer.Asked(q)
		select {
		case a := <-got:
			return json.RawMessage(`{"content":[{"type":"text","text":` + string(jsonrpc.AppendString(nil, own+" "+a)) + `}]}`), nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	r := start(t, settings(t, "a=http"), d).running()
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			c := r.caller(`{"elicitation":{}}`)
			for j := range 5 {
				own := fmt.Sprintf("n-%d-%d.", i, j)
				params := fmt.Sprintf(`{"name":"a__do","arguments":{"nonce":%q}`, own)
				questions, state := c.call("tools/call", params+"}").required(t)
				if len(questions) != 1 || !strings.Contains(questions["1"], own) {
					t.Errorf("%s is asked %v", own, questions)
				}
				got := c.call("tools/call", params+retry(state, `{"1":{"action":"accept","content":{"is":"`+own+`"}}}`)+"}").body
				if strings.Count(got, own) != 2 || strings.Count(got, "n-") != 2 {
					t.Errorf("%s gets %s", own, got)
				}
			}
		})
	}
	all.Wait()
	for own, n := range ran {
		if n != 1 {
			t.Errorf("%s ran %d times", own, n)
		}
	}
	if len(ran) != 64*5 {
		t.Errorf("%d calls ran", len(ran))
	}
	if n := len(d.Server("a").Links()); n != 2 { // the supervisor's, and one for all of the same capabilities
		t.Errorf("%d links", n)
	}
}
