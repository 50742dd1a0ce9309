package upstream

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// overWay is a Dialer of links to a scripted modern server.
type overWay struct{ way *fakeWay }

func (o overWay) Dial(ctx context.Context, d *Dial) (Link, error) {
	own, in := eraDial(d)
	h, err := greet(ctx, own, stdioProbeLimit, o.way, o.way)
	if err != nil {
		return nil, err
	}
	return newModernLink(o.way, own, in, h, slog.New(slog.DiscardHandler)), nil
}

// TestPersonIsWaitedFor: while a client's person answers, the call's clock rests
// and its slot is another's, as if a legacy server had asked.
func TestPersonIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := true
		w := newFakeWay(func(_ context.Context, method, body string) (string, error) {
			switch {
			case method == "server/discover":
				return discovered, nil
			case method == "tools/list":
				return `{"tools":[]}`, nil
			case strings.Contains(body, `"name":"quick"`), !first:
				return `{"content":[]}`, nil
			}
			first = false
			return needs(`"inputRequests":{"a":{"method":"elicitation/create","params":{}}}`), nil
		})
		c := Defaults()
		c.Name, c.Command = "a", "fake"
		c.CallTimeout, c.MaxCallTimeout = 10*time.Second, time.Hour
		c.Limits.InFlight = 1
		set := NewSet(Options{Dialer: overWay{w}})
		if _, err := set.Apply([]Config{c}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		over := make(chan struct{})
		go func() { defer close(over); _ = set.Run(ctx) }()
		defer func() { cancel(); <-over }()
		u := set.Upstream("a")
		if err := u.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		r := call(t)
		r.Owner = "c"
		asked := make(chan *Question, 1)
		r.Peer = peerFunc(func(q *Question) { asked <- q })
		done := make(chan error, 1)
		go func() {
			_, err := u.Call(t.Context(), &Call{Request: *r, Method: "tools/call"})
			done <- err
		}()
		q := <-asked
		<-time.After(30 * time.Minute)
		quick := request(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"quick"}}`)
		if _, err := u.Call(t.Context(), &Call{Request: *quick, Method: "tools/call"}); err != nil {
			t.Errorf("another call meanwhile: %v", err)
		}
		id := string(q.Message.ID.Of(q.Message.Raw))
		if err := q.Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":`+id+`,"result":{"action":"accept"}}`)); err != nil {
			t.Error(err)
		}
		if err := <-done; err != nil {
			t.Errorf("after half an hour: %v", err)
		}

		// Nobody answers: max_call_timeout ends it, and takes the question back.
		first = true
		go func() {
			_, err := u.Call(t.Context(), &Call{Request: *r, Method: "tools/call"})
			done <- err
		}()
		q = <-asked
		var e *CallError
		if err := <-done; !errors.As(err, &e) || e.Reason != "timeout" {
			t.Errorf("error %v", err)
		}
		<-q.Gone
	})
}
