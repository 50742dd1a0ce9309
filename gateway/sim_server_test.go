package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// simServer is a scripted server of a simulated day. It has one tool, which takes
// as long as it is told and answers with its nonce.
type simServer struct {
	day  *day
	name string

	mu     sync.Mutex // guards the rest
	fault  string     // what is wrong with it, "" for nothing
	healed chan struct{}
	extra  int // tools beside the one
}

func newSimServer(d *day, name string) *simServer {
	s := &simServer{day: d, name: name, healed: make(chan struct{})}
	d.dialer.Server(name).Script(func(l *linktest.Server) {
		l.Capabilities = json.RawMessage(`{"tools":{"listChanged":true}}`)
		l.OnDial, l.OnRequest, l.OnClose = s.dial, s.answer, s.shut
	})
	return s
}

// faults are what befalls a server, each until it is healed.
var faults = []string{
	"exits", "flaps", "does not start", "hangs in its start", "hangs in calls", "hangs", "is slow", "resets calls", "resets half of its calls",
	"fails to list", "wants other credentials", "wants to be left alone", "changes its list", "is slow to stop",
}

func (s *simServer) set(fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
	if fault == "" {
		close(s.healed)
		s.healed = make(chan struct{})
	}
}

func (s *simServer) now() (fault string, healed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fault, s.healed
}

// lose ends the links that there are.
func (s *simServer) lose() {
	for _, l := range s.day.dialer.Server(s.name).Links() {
		if l.Err() == nil {
			l.Lose()
		}
	}
}

// trouble gives the server one fault after the other, until ctx is done.
func (s *simServer) trouble(ctx context.Context, r *rand.Rand) {
	for linktest.Sleep(ctx, s.day.pause(r, 90*time.Minute)) == nil {
		fault := faults[r.IntN(len(faults))]
		s.day.count("fault: "+fault, 1)
		s.set(fault)
		end, cancel := context.WithTimeout(ctx, s.day.pause(r, 25*time.Minute))
		switch fault {
		case "exits", "does not start", "hangs in its start":
			s.lose()
		case "flaps":
			for linktest.Sleep(end, s.day.pause(r, 90*time.Second)) == nil {
				s.lose()
			}
		case "changes its list":
			for linktest.Sleep(end, s.day.pause(r, time.Minute)) == nil {
				s.mu.Lock()
				s.extra = r.IntN(3)
				s.mu.Unlock()
				for _, l := range s.day.dialer.Server(s.name).Links() {
					if l.Err() == nil {
						l.Say("notifications/tools/list_changed")
					}
				}
			}
		}
		<-end.Done()
		cancel()
		s.set("")
	}
}

// hang blocks until the server is healed (nil), or ctx is done.
func (s *simServer) hang(ctx context.Context) error {
	_, healed := s.now()
	select {
	case <-healed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *simServer) dial(ctx context.Context, _ int, _ *upstream.Dial) error {
	switch fault, _ := s.now(); fault {
	case "does not start":
		return &upstream.StartError{Stage: "spawn", Exit: "exit status 3", Err: errors.New("it ended")}
	case "hangs in its start", "hangs":
		if err := s.hang(ctx); err != nil {
			return &upstream.StartError{Stage: "handshake", Err: err}
		}
	case "wants other credentials":
		return &upstream.StartError{Stage: "handshake", Err: unauthorized}
	}
	return nil
}

var unauthorized = &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "unauthorized", Status: 401, Err: errors.New("HTTP status 401")}

var busy = &upstream.TransportError{Executed: upstream.ExecutedNo, Reason: "rate_limited", Status: 429, RetryAfter: 7 * time.Second, Err: errors.New("HTTP status 429")}

var cut = &upstream.TransportError{Executed: upstream.ExecutedUnknown, Reason: "reset", Err: errors.New("connection reset by peer")}

func (s *simServer) shut(ctx context.Context, _ *linktest.Link) upstream.StopKind {
	if fault, _ := s.now(); fault == "is slow to stop" && linktest.Sleep(ctx, 4*time.Second) != nil {
		return upstream.Killed
	}
	return upstream.Graceful
}

func (s *simServer) answer(ctx context.Context, _ *linktest.Link, method string, q *upstream.Request) (json.RawMessage, error) {
	fault, _ := s.now()
	if fault == "hangs" {
		if err := s.hang(ctx); err != nil {
			return nil, err
		}
	}
	switch {
	case fault == "wants other credentials":
		return nil, unauthorized
	case fault == "wants to be left alone":
		return nil, busy
	case method == "tools/list" && fault == "fails to list":
		return nil, cut
	case method == "tools/list":
		return s.list(), nil
	case method != "tools/call":
		return nil, nil
	}
	nonce, took := argument(q.Message.Raw, "nonce"), argument(q.Message.Raw, "ms")
	ms, _ := strconv.Atoi(took)
	s.day.executed(s.name, nonce)
	if q.Peer != nil && argument(q.Message.Raw, "progressToken") != "" {
		q.Peer.Notified(serverMessage(s.day.t, `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"`+nonce+`","progress":1}}`))
	}
	switch {
	case fault == "hangs in calls":
		if err := s.hang(ctx); err != nil {
			return nil, err
		}
	case fault == "is slow":
		ms += 20_000
	case fault == "resets calls", fault == "resets half of its calls" && ms%2 == 0:
		return nil, cut
	}
	if err := linktest.Sleep(ctx, time.Duration(ms)*time.Millisecond); err != nil {
		return nil, err
	}
	return json.RawMessage(`{"content":[{"type":"text","text":"` + nonce + `"}]}`), nil
}

func (s *simServer) list() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := []byte(`{"tools":[{"name":"work","inputSchema":{"type":"object"}}`)
	for i := range s.extra {
		b = fmt.Appendf(b, `,{"name":"more%d","inputSchema":{"type":"object"}}`, i)
	}
	return append(b, "]}"...)
}

// argument returns the string or number that is the value of a key, as it is
// written, without a reader of JSON.
func argument(raw []byte, key string) string {
	_, after, ok := bytes.Cut(raw, []byte(`"`+key+`":`))
	if !ok {
		return ""
	}
	after = bytes.TrimPrefix(after, []byte(`"`))
	if i := bytes.IndexAny(after, `",}`); i >= 0 {
		after = after[:i]
	}
	return string(after)
}
