package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// P4: an upstream that does not take the answer to its question once held a
// client on stdio for ten seconds, with all its calls to other upstreams.
func TestUpstreamThatTakesNoAnswerHoldsNobody(t *testing.T) {
	cfg := settings(t, "a")
	synctest.Test(t, func(t *testing.T) {
		g, err := New(cfg, Options{Dialer: new(linktest.Dialer)})
		if err != nil {
			t.Fatal(err)
		}
		in, send := io.Pipe()
		recv, out := io.Pipe()
		done := make(chan error, 1)
		go func() { done <- g.ServeStdio(t.Context(), in, out); out.Close() }()
		lines := bufio.NewScanner(recv)
		hear := func() string { lines.Scan(); return lines.Text() }
		say := func(s string) { _, _ = io.WriteString(send, s+"\n") }
		say(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{"elicitation":{}}}}`)
		hear()
		s := g.sessions.all()[0]
		var order []string
		stuck := func(id string) *upstream.Question {
			return &upstream.Question{
				Message: serverMessage(t, `{"jsonrpc":"2.0","id":"`+id+`","method":"elicitation/create","params":{}}`), Gone: make(chan struct{}),
				Answer: func(ctx context.Context, _ []byte) error {
					<-ctx.Done()
					order = append(order, id)
					return context.Cause(ctx)
				},
			}
		}
		for _, id := range []string{"q1", "q2"} {
			g.putTo(s, stuck(id), s.home, nil, "a")
			hear()
		}
		began := time.Now()
		say(`{"jsonrpc":"2.0","id":1,"result":{"action":"accept"}}`)
		say(`{"jsonrpc":"2.0","id":2,"result":{"action":"accept"}}`)
		say(`{"jsonrpc":"2.0","id":"p","method":"ping"}`)
		if got := hear(); !strings.Contains(got, `"id":"p"`) || time.Since(began) > 0 {
			t.Errorf("after %v: %s", time.Since(began), got)
		}
		time.Sleep(3 * answerTimeout)
		synctest.Wait()
		if got := fmt.Sprint(order); got != "[q1 q2]" {
			t.Errorf("answered in the order %s", got)
		}
		send.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
