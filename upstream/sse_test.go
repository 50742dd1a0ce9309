package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// fakeSSE is an HTTP+SSE server whose behaviour a test scripts.
type fakeSSE struct {
	t        *testing.T
	endpoint string // by default /post?s=1
	// post, if not nil, sees every message but those of the handshake; send puts
	// one event on the stream. It reports whether it wrote the response.
	post func(w http.ResponseWriter, m jsonrpc.Message, send func(string)) bool

	events chan string   // to put on the stream
	end    chan struct{} // closed to end the stream
	mu     sync.Mutex    // guards posted
	posted []string
}

func (f *fakeSSE) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		send := events(w)
		at := f.endpoint
		if at == "" {
			at = "/post?s=1"
		}
		send("event: endpoint\ndata: %s", at)
		for {
			select {
			case ev := <-f.events:
				send("event: message\ndata: %s", ev)
			case <-f.end:
				return
			case <-r.Context().Done():
				return
			}
		}
	}
	body, _ := io.ReadAll(r.Body)
	m, err := jsonrpc.Parse(body)
	if err != nil || r.URL.String() != "/post?s=1" {
		f.t.Errorf("posted %q to %s: %v", body, r.URL, err)
	}
	f.mu.Lock()
	f.posted = append(f.posted, string(body))
	f.mu.Unlock()
	send := func(ev string) { f.events <- ev }
	switch {
	case m.MethodName() == "initialize":
		send(string(jsonrpc.AppendResult(nil, m.ID.Of(m.Raw), []byte(`{"protocolVersion":"2024-11-05","capabilities":{},"serverInfo":{"name":"s","version":"1"}}`))))
	case m.MethodName() != "notifications/initialized" && f.post != nil && f.post(w, m, send):
		return
	}
	w.WriteHeader(http.StatusAccepted)
	io.WriteString(w, "Accepted")
}

func (f *fakeSSE) awaitPosted(what string) {
	f.t.Helper()
	for end := time.Now().Add(patient); ; <-time.After(time.Millisecond) {
		f.mu.Lock()
		all := strings.Join(f.posted, "\n")
		f.mu.Unlock()
		if strings.Contains(all, what) {
			return
		}
		if time.Now().After(end) {
			f.t.Fatalf("no %s in\n%s", what, all)
		}
	}
}

func serveSSE(t *testing.T, f *fakeSSE) *Dial {
	t.Helper()
	f.t, f.events, f.end = t, make(chan string, 100), make(chan struct{})
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	d := dialFor(srv.URL + "/sse")
	d.Config.Transport = SSE
	return d
}

func result(m jsonrpc.Message, r string) string {
	return string(jsonrpc.AppendResult(nil, m.ID.Of(m.Raw), []byte(r)))
}

func TestSSEAnswersProgressAndQuestions(t *testing.T) {
	f := &fakeSSE{}
	f.post = func(_ http.ResponseWriter, m jsonrpc.Message, send func(string)) bool {
		if m.MethodName() != "tools/call" {
			return false
		}
		send(`{"jsonrpc":"2.0","id":9999,"result":{}}`)
		send(fmt.Sprintf(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`, idOf(m)))
		send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}`)
		send(`{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage"}`)
		send(result(m, `{"n":9007199254740993, "x":1.0}`))
		return false
	}
	d := serveSSE(t, f)
	l := connect(t, d)
	if h := l.Hello(); h.Version != "2024-11-05" {
		t.Errorf("hello %+v", h)
	}
	peer := newRecorder()
	r := request(t, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"x","_meta":{"progressToken":"tok"}}}`)
	r.Peer, r.Owner = peer, "session 1"
	m, err := l.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Result.Of(m.Raw)); got != `{"n":9007199254740993, "x":1.0}` {
		t.Errorf("result %s", got)
	}
	q := <-peer.asked
	if err := q.Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":"q","result":{"a":1}}`)); err != nil {
		t.Error(err)
	}
	f.awaitPosted(`{"jsonrpc":"2.0","id":"q","result":{"a":1}}`)
	if diff := cmp.Diff([]string{`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"tok","progress":1}}`}, peer.all()); diff != "" {
		t.Errorf("peer (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":1}}`}, d.Inbox.(*recorder).all()); diff != "" {
		t.Errorf("inbox (-want +got):\n%s", diff)
	}
}

func TestSSEQuestionOfCallsOfTwoClientsIsRefused(t *testing.T) {
	f := &fakeSSE{}
	inFlight := make(chan jsonrpc.Message, 2)
	f.post = func(_ http.ResponseWriter, m jsonrpc.Message, send func(string)) bool {
		switch {
		case m.MethodName() == "tools/call":
			inFlight <- m
		case m.MethodName() == "notifications/cancelled":
			// Cancelled, but not answered: the question can still be for it.
			send(`{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage"}`)
		}
		return false
	}
	d := serveSSE(t, f)
	l := connect(t, d)
	peers := []*recorder{newRecorder(), newRecorder()}
	var wg sync.WaitGroup
	first, cancel := context.WithCancel(t.Context())
	for i, p := range peers {
		r := call(t)
		r.Peer, r.Owner = p, fmt.Sprint("session ", i)
		ctx := t.Context()
		if i == 0 {
			ctx = first
		}
		wg.Go(func() {
			if _, err := l.Do(ctx, r); i == 0 && !errors.Is(err, context.Canceled) || i == 1 && err != nil {
				t.Errorf("call %d: %v", i, err)
			}
		})
	}
	a, b := <-inFlight, <-inFlight
	cancel()
	f.awaitPosted(`"id":"q","error":{"code":-32600`)
	f.events <- result(a, `{}`)
	f.events <- result(b, `{}`)
	wg.Wait()
	if len(peers[0].asked)+len(peers[1].asked) > 0 {
		t.Error("a client was asked")
	}
}

func TestSSELossOfTheStream(t *testing.T) {
	f := &fakeSSE{}
	f.post = func(w http.ResponseWriter, _ jsonrpc.Message, _ func(string)) bool {
		w.WriteHeader(http.StatusAccepted)
		close(f.end)
		return true
	}
	l := connect(t, serveSSE(t, f))
	_, err := l.Do(t.Context(), call(t))
	var e *TransportError
	if !errors.As(err, &e) || e.Executed != ExecutedUnknown || !e.Lost || e.Reason != "reset" {
		t.Fatalf("error %+v", err)
	}
	<-l.Lost()
	if _, err = l.Do(t.Context(), call(t)); !errors.As(err, &e) || e.Executed != ExecutedNo || !e.Lost {
		t.Errorf("after the loss: %+v", err)
	}
}

func TestSSEOutcomes(t *testing.T) {
	big := strings.Repeat("x", 3000)
	for _, c := range []struct {
		name     string
		post     func(w http.ResponseWriter, m jsonrpc.Message, send func(string)) bool
		executed Executed
		reason   string
		lost     bool
	}{
		{"unknown session", func(w http.ResponseWriter, _ jsonrpc.Message, _ func(string)) bool {
			w.WriteHeader(http.StatusNotFound)
			return true
		}, ExecutedNo, "session", true},
		{"unauthorized", func(w http.ResponseWriter, _ jsonrpc.Message, _ func(string)) bool {
			w.WriteHeader(http.StatusUnauthorized)
			return true
		}, ExecutedNo, "unauthorized", false},
		{"post cut", func(http.ResponseWriter, jsonrpc.Message, func(string)) bool { abort(); return true }, ExecutedUnknown, "reset", false},
		{"over the cap", func(_ http.ResponseWriter, m jsonrpc.Message, send func(string)) bool {
			send(result(m, `"`+big+`"`))
			return false
		}, ExecutedUnknown, "too_large", false},
		{"malformed", func(_ http.ResponseWriter, m jsonrpc.Message, send func(string)) bool {
			send(`{"jsonrpc":"2.0","id":` + idOf(m) + `,"result":{},"error":{}}`)
			return false
		}, ExecutedUnknown, "malformed", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := serveSSE(t, &fakeSSE{post: c.post})
			d.Config.MaxMessage = 2048
			l := connect(t, d)
			_, err := l.Do(t.Context(), call(t))
			var e *TransportError
			if !errors.As(err, &e) || e.Executed != c.executed || e.Reason != c.reason || e.Lost != c.lost {
				t.Errorf("error %+v, want %s %s, lost %v", err, c.executed, c.reason, c.lost)
			}
		})
	}
}

func TestSSEEndpointMustBeOnTheSameOrigin(t *testing.T) {
	d := serveSSE(t, &fakeSSE{endpoint: "http://evil.example/post?token=hunter2"})
	dialer, _ := NewDialer(DialerOptions{})
	_, err := dialer.Dial(t.Context(), d)
	want := "handshake: malformed: the endpoint named by the stream is on another origin, http://evil.example"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestSSEDialGivesUpWithItsContext(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		events(w)
		<-r.Context().Done()
	}))
	defer srv.Close()
	d := dialFor(srv.URL + "/sse")
	d.Config.Transport = SSE
	dialer, _ := NewDialer(DialerOptions{})
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, err := dialer.Dial(ctx, d)
	var start *StartError
	if !errors.As(err, &start) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
}

// A server of the older HTTP+SSE does not say for which call it asks: while calls
// of several clients are in flight nobody is asked, not even on a link that is a
// scope's own.
func TestSSEQuestionOfAnotherClientsCall(t *testing.T) {
	for _, exclusive := range []bool{false, true} {
		one, two, inbox := newPeer(), newPeer(), newPeer()
		l := &sseLink{dial: &Dial{Exclusive: exclusive, Inbox: inbox}, pending: make(map[uint64]*sseCall)}
		begin := func(id uint64, owner string, p Peer) {
			l.calls.begin(owner)
			l.pending[id] = &sseCall{r: &Request{Owner: owner, Peer: p}}
		}
		if r := l.recipient(); (r != nil) != exclusive {
			t.Errorf("exclusive %v: outside of calls somebody is asked: %v", exclusive, r != nil)
		}
		begin(1, "one", one)
		if r := l.recipient(); r == nil {
			t.Errorf("exclusive %v: nobody is asked", exclusive)
		} else if r(new(Question)); len(one.asked) != 1 {
			t.Errorf("exclusive %v: another is asked", exclusive)
		}
		begin(2, "two", two)
		if l.recipient() != nil {
			t.Errorf("exclusive %v: with calls of two in flight one is asked", exclusive)
		}
	}
}
