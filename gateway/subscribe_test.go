package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// Whatever comes between a subscription and its answer, the server and the gateway
// agree on who holds it in the end.
func TestSubscriptionsThatDoNotComeAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		refuse, release := true, make(chan struct{})
		d.Server("a").OnRequest = func(_ context.Context, _ *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			switch {
			case method == "resources/list":
				return json.RawMessage(`{"resources":[{"uri":"file:///x","name":"x"}]}`), nil
			case method == "resources/subscribe" && refuse:
				return nil, &upstream.ServerError{Code: -32601, Message: "no"}
			case method == "resources/subscribe":
				<-release
			}
			return nil, nil
		}
		r := start(t, settings(t, "a"), d).running()
		c := r.connect(`{}`)
		subscribe := func(id string) reply {
			return c.post(`{"jsonrpc":"2.0","id":` + id + `,"method":"resources/subscribe","params":{"uri":"file:///x"}}`)
		}
		if got := subscribe("1"); got.rpcCode() != -32601 {
			t.Errorf("the server's refusal is told as %s", got.body)
		}
		if n := len(r.subs.by); n != 0 {
			t.Errorf("%d resources are subscribed to after a refusal", n)
		}

		refuse = false
		done := make(chan reply, 2)
		go func() { done <- subscribe("2") }()
		go func() { done <- subscribe("3") }()
		synctest.Wait() // both are under way
		close(release)
		<-done
		<-done
		c.post(`{"jsonrpc":"2.0","id":4,"method":"resources/unsubscribe","params":{"uri":"file:///x"}}`)
		if n := d.Server("a").Asked("resources/unsubscribe"); n != 1 || len(r.subs.by) != 0 {
			t.Errorf("the server was told %d times that nobody listens; %d subscribed to", n, len(r.subs.by))
		}
		s := r.sessions.find(c.session)
		r.endSession(s, ending{})
		if err := s.keep(subscription{}); !errors.Is(err, errEnded) {
			t.Errorf("an ended session keeps a subscription: %v", err)
		}
	})
}
