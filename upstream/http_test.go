package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// fakeRemote is a streamable HTTP server whose behaviour a test scripts.
type fakeRemote struct {
	t       *testing.T
	session string // given at initialize; "" for none
	version string // agreed on, by default 2025-11-25
	// call answers requests other than initialize, nil with an empty result.
	call func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message)
	// post, if not nil, sees every POST first and reports whether it dealt with it.
	post func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) bool
	// get serves the GET stream, nil with 405.
	get http.HandlerFunc

	mu      sync.Mutex // guards what follows
	methods []string   // of messages posted, "answer" for a response
	bodies  []string
	headers []http.Header
	deleted []string // sessions
	inits   int
}

func (f *fakeRemote) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodGet:
		if f.get == nil {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		f.get(w, r)
		return
	case http.MethodDelete:
		f.mu.Lock()
		f.deleted = append(f.deleted, r.Header.Get("Mcp-Session-Id"))
		f.mu.Unlock()
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	m, err := jsonrpc.Parse(body)
	name := m.MethodName()
	if err == nil && name == "" {
		name = "answer"
	}
	f.mu.Lock()
	f.methods = append(f.methods, name)
	f.bodies = append(f.bodies, string(body))
	f.headers = append(f.headers, r.Header.Clone())
	if name == "initialize" {
		f.inits++
	}
	f.mu.Unlock()
	if err != nil {
		f.t.Errorf("the link posted %q: %v", body, err)
	}
	if f.post != nil && f.post(w, r, m) {
		return
	}
	switch {
	case name == "initialize":
		if f.session != "" {
			w.Header().Set("Mcp-Session-Id", f.session)
		}
		version := f.version
		if version == "" {
			version = "2025-11-25"
		}
		reply(w, m, `{"protocolVersion":"`+version+`","capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"}}`)
	case m.Kind != jsonrpc.Request:
		w.WriteHeader(http.StatusAccepted)
	case f.call != nil:
		f.call(w, r, m)
	default:
		reply(w, m, `{}`)
	}
}

func (f *fakeRemote) sent(method string) (bodies []string, headers []http.Header) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, m := range f.methods {
		if m == method {
			bodies = append(bodies, f.bodies[i])
			headers = append(headers, f.headers[i])
		}
	}
	return bodies, headers
}

// awaitSent waits until n messages of a method were posted.
func (f *fakeRemote) awaitSent(method string, n int) []string {
	f.t.Helper()
	for end := time.Now().Add(patient); ; {
		if b, _ := f.sent(method); len(b) >= n {
			return b
		}
		if time.Now().After(end) {
			f.t.Fatalf("no %d x %s, but %v", n, method, f.methods)
		}
		<-time.After(time.Millisecond)
	}
}

func reply(w http.ResponseWriter, m jsonrpc.Message, result string) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(jsonrpc.AppendResult(nil, m.ID.Of(m.Raw), []byte(result)))
}

// events begins an SSE response; the function returned writes one event.
func events(w http.ResponseWriter) func(format string, args ...any) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	f := w.(http.Flusher)
	f.Flush()
	return func(format string, args ...any) {
		fmt.Fprintf(w, format+"\n\n", args...)
		f.Flush()
	}
}

func idOf(m jsonrpc.Message) string { return string(m.ID.Of(m.Raw)) }

// abort ends a response in the middle.
func abort() { panic(http.ErrAbortHandler) }

// recorder is a Peer and an Inbox that keeps what it gets.
type recorder struct {
	mu    sync.Mutex
	notes []string
	asked chan *Question
	noted chan string // what was noted, as far as it has room
}

func newRecorder() *recorder {
	return &recorder{asked: make(chan *Question, 100), noted: make(chan string, 1000)}
}

func (r *recorder) Notified(m jsonrpc.Message) {
	r.mu.Lock()
	r.notes = append(r.notes, string(m.Raw))
	r.mu.Unlock()
	select {
	case r.noted <- string(m.Raw):
	default:
	}
}

func (r *recorder) Asked(q *Question) { r.asked <- q }

func (r *recorder) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.notes...)
}

// serve runs f and returns a Dial for it.
func serve(t *testing.T, f *fakeRemote) *Dial {
	t.Helper()
	f.t = t
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return dialFor(srv.URL + "/mcp")
}

func dialFor(url string) *Dial {
	c := Defaults()
	c.Protocol = LegacyProtocol // of the other era are the tests in modern_*_test.go
	c.Name, c.URL, c.Transport = "fake", url, HTTP
	c.StartTimeout = 10 * time.Second
	return &Dial{Config: &c, Inbox: newRecorder()}
}

func connect(t *testing.T, d *Dial) Link {
	t.Helper()
	dialer, err := NewDialer(DialerOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l, err := dialer.Dial(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), patient)
		defer stop()
		l.Close(ctx)
	})
	return l
}

func request(t *testing.T, raw string) *Request {
	t.Helper()
	m, err := jsonrpc.Parse([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Message: m}
}

func call(t *testing.T) *Request {
	t.Helper()
	return request(t, `{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"x"}}`)
}

func TestHTTPCarriesBytes(t *testing.T) {
	const result = `{ "n":9007199254740993,"u":"\u003c","x":[1.0,1e2],"content":[{"type":"video","z":1}]}`
	for _, mode := range []string{"json", "chunked", "sse", "batch"} {
		t.Run(mode, func(t *testing.T) {
			f := &fakeRemote{session: "s1", version: "2025-03-26"}
			f.call = func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
				answer := string(jsonrpc.AppendResult(nil, m.ID.Of(m.Raw), []byte(result)))
				switch mode {
				case "json":
					reply(w, m, result)
				case "chunked":
					w.Header().Set("Content-Type", "application/json; charset=utf-8")
					w.(http.Flusher).Flush()
					io.WriteString(w, " \n"+answer+"\n")
				case "sse":
					events(w)("event: message\ndata: %s", answer)
				case "batch":
					w.Header().Set("Content-Type", "application/json")
					io.WriteString(w, `[{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info"}},`+answer+`]`)
				}
			}
			d := serve(t, f)
			d.Config.Headers = map[string]string{"Authorization": "Bearer t0p", "Accept": "x/y"}
			l := connect(t, d)
			peer := newRecorder()
			r := request(t, `{"jsonrpc":"2.0", "id":99999999999999999999, "method":"tools/call","params":{"name":"x","arguments":{"big":12345678901234567890 , "t":"\u003c"},"extra":1.50}}`)
			r.Peer = peer
			r.TraceParent, r.TraceState = "00-1-2-01", "a=b"
			m, err := l.Do(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			if got := string(m.Result.Of(m.Raw)); m.Kind != jsonrpc.Result || got != result {
				t.Errorf("result %s\n  want %s", got, result)
			}
			bodies, headers := f.sent("tools/call")
			want := `{"jsonrpc":"2.0", "id":` + idOf(m) + `, "method":"tools/call","params":{"name":"x","arguments":{"big":12345678901234567890 , "t":"\u003c"},"extra":1.50}}`
			if d := cmp.Diff([]string{want}, bodies); d != "" {
				t.Errorf("sent (-want +got):\n%s", d)
			}
			for k, v := range map[string]string{
				"Authorization": "Bearer t0p", "Accept": "application/json, text/event-stream", "Content-Type": "application/json",
				"Mcp-Session-Id": "s1", "Mcp-Protocol-Version": "2025-03-26", "Traceparent": "00-1-2-01", "Tracestate": "a=b", "Accept-Encoding": "",
			} {
				if got := headers[0].Get(k); got != v {
					t.Errorf("header %s = %q, want %q", k, got, v)
				}
			}
			if n := len(peer.all()); mode == "batch" && n != 1 {
				t.Errorf("%d notifications of the batch, want 1", n)
			}
			_, inits := f.sent("initialize")
			_, ready := f.sent("notifications/initialized")
			if inits[0].Get("Mcp-Protocol-Version") != "" || inits[0].Get("Mcp-Session-Id") != "" {
				t.Errorf("initialize carries a session: %v", inits[0])
			}
			if ready[0].Get("Mcp-Protocol-Version") != "2025-03-26" || ready[0].Get("Mcp-Session-Id") != "s1" {
				t.Errorf("initialized does not carry the session: %v", ready[0])
			}
			if kind := l.Close(t.Context()); kind != Graceful {
				t.Errorf("closed %s", kind)
			}
			if d := cmp.Diff([]string{"s1"}, f.deleted); d != "" {
				t.Errorf("sessions deleted (-want +got):\n%s", d)
			}
			if !errors.Is(l.Err(), ErrClosed) {
				t.Errorf("Err = %v", l.Err())
			}
		})
	}
}

func TestHTTPStreamOfACall(t *testing.T) {
	f := &fakeRemote{}
	answered := make(chan string, 1)
	f.post = func(_ http.ResponseWriter, _ *http.Request, m jsonrpc.Message) bool {
		if m.Kind == jsonrpc.Result && strings.Contains(string(m.Raw), "accept") {
			answered <- string(m.Raw)
		}
		return false
	}
	f.call = func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
		send := events(w)
		send(": keep-alive")
		send(`data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1}}`, idOf(m))
		send(`data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"other","progress":1}}`)
		send(`data: {"jsonrpc":"2.0","method":"notifications/message","params":{"data":9007199254740993}}`)
		send(`data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		send(`data: {"jsonrpc":"2.0","id":"p","method":"ping"}`)
		send(`data: {"jsonrpc":"2.0","id":"r","method":"roots/list"}`)
		send(`data: {"jsonrpc":"2.0","id":77,"method":"elicitation/create","params":{"message":"?"}}`)
		send(`data: {"jsonrpc":"2.0","id":78,"method":"elicitation/create","params":{"message":"?"}}`)
		send(`data: {"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":78}}`)
		send(`data: {"jsonrpc":"2.0","id":123456,"result":{"whose":"nobody's"}}`)
		<-answered
		send(`data: {"jsonrpc":"2.0","id":%s,"result":{"ok":true}}`, idOf(m))
		send(`data: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":2}}`, idOf(m))
	}
	d := serve(t, f)
	l := connect(t, d)
	peer := newRecorder()
	r := request(t, `{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"x","_meta":{"progressToken":"tok\u0041"}}}`)
	r.Peer = peer
	var client sync.WaitGroup
	defer client.Wait()
	client.Go(func() {
		q, withdrawn := <-peer.asked, <-peer.asked
		<-withdrawn.Gone
		if err := withdrawn.Answer(t.Context(), []byte(`{}`)); !errors.Is(err, errWithdrawn) {
			t.Errorf("the answer to a withdrawn question gave %v", err)
		}
		if err := q.Answer(t.Context(), []byte(`{"jsonrpc":"2.0","id":77,"result":{"action":"accept"}}`)); err != nil {
			t.Errorf("answer: %v", err)
		}
	})
	m, err := l.Do(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(m.Result.Of(m.Raw)); got != `{"ok":true}` {
		t.Errorf("result %s", got)
	}
	want := []string{
		`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"tok\u0041","progress":1}}`,
		`{"jsonrpc":"2.0","method":"notifications/message","params":{"data":9007199254740993}}`,
	}
	if d := cmp.Diff(want, peer.all()); d != "" {
		t.Errorf("notified (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`}, d.Inbox.(*recorder).all()); d != "" {
		t.Errorf("inbox (-want +got):\n%s", d)
	}
	got := strings.Join(f.awaitSent("answer", 3), "\n")
	for _, want := range []string{`{"jsonrpc":"2.0","id":"p","result":{}}`, `"id":"r","error":{"code":-32601`, `{"jsonrpc":"2.0","id":77,"result":{"action":"accept"}}`} {
		if !strings.Contains(got, want) {
			t.Errorf("posted answers lack %s:\n%s", want, got)
		}
	}
}

func TestHTTPCancelTellsTheServer(t *testing.T) {
	for _, stream := range []bool{false, true} {
		started := make(chan string, 1)
		f := &fakeRemote{}
		f.call = func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) {
			if stream {
				events(w)("id: 1\ndata: ")
			}
			started <- idOf(m)
			<-r.Context().Done()
		}
		l := connect(t, serve(t, f))
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("the client left")
		var id string
		go func() { id = <-started; cancel(why) }()
		_, err := l.Do(ctx, call(t))
		if !errors.Is(err, why) {
			t.Fatalf("error %v, want the cause", err)
		}
		got := f.awaitSent("notifications/cancelled", 1)
		if want := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":` + id + `,"reason":"cancelled"}}`; got[0] != want {
			t.Errorf("sent %s\nwant %s", got[0], want)
		}
	}
}

// F16: the server forgets the session with 50 calls in flight.
func TestHTTPSessionMadeAnewOnce(t *testing.T) {
	var mu sync.Mutex
	current, arrived := 0, 0
	all, again := make(chan struct{}), make(chan struct{})
	f := &fakeRemote{}
	f.post = func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) bool {
		mu.Lock()
		if m.MethodName() == "initialize" {
			current++
			w.Header().Set("Mcp-Session-Id", fmt.Sprint("s", current))
			mu.Unlock()
			return false
		}
		known := current > 1 && r.Header.Get("Mcp-Session-Id") == fmt.Sprint("s", current)
		if m.MethodName() == "tools/call" && !known {
			arrived++
			last := arrived == 50
			mu.Unlock()
			if last {
				// This one hears of it when the others have a new session already.
				close(all)
				<-again
			}
			<-all
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}`)
			return true
		}
		mu.Unlock()
		return false
	}
	d := serve(t, f)
	renewed := make(chan *Hello, 10)
	d.Renewed = func(h *Hello) { renewed <- h }
	var answered sync.WaitGroup
	answered.Add(49)
	go func() { answered.Wait(); close(again) }()
	l := connect(t, d)
	var wg sync.WaitGroup
	var done atomic.Int64
	for range 50 {
		wg.Go(func() {
			if m, err := l.Do(t.Context(), call(t)); err != nil || m.Kind != jsonrpc.Result {
				t.Errorf("call: %v", err)
			}
			if n := done.Add(1); n < 50 {
				answered.Done()
			}
		})
	}
	wg.Wait()
	if f.inits != 2 {
		t.Errorf("%d handshakes, want 2", f.inits)
	}
	if b, _ := f.sent("tools/call"); len(b) != 100 {
		t.Errorf("%d posts of calls, want 100", len(b))
	}
	if len(renewed) != 1 {
		t.Errorf("Renewed was called %d times", len(renewed))
	}
}

func TestHTTPSessionThatCannotBeMadeAnewIsLoss(t *testing.T) {
	for _, c := range []struct {
		name   string
		refuse bool
		lost   bool
		inits  int
	}{{"initialize fails", true, true, 2}, {"forgets at once, always", false, false, 2}} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeRemote{session: "s"}
			f.post = func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) bool {
				switch {
				case m.MethodName() == "tools/call":
					w.WriteHeader(http.StatusNotFound)
				case m.MethodName() == "initialize" && c.refuse && f.inits > 1:
					w.WriteHeader(http.StatusServiceUnavailable)
				default:
					return false
				}
				return true
			}
			l := connect(t, serve(t, f))
			_, err := l.Do(t.Context(), call(t))
			var e *TransportError
			if !errors.As(err, &e) || e.Reason != "session" || e.Executed != ExecutedNo || e.Lost != c.lost {
				t.Fatalf("error %+v", err)
			}
			select {
			case <-l.Lost():
				if !c.lost {
					t.Error("lost")
				}
			default:
				if c.lost {
					t.Error("not lost")
				}
			}
			if f.inits != c.inits {
				t.Errorf("%d handshakes, want %d", f.inits, c.inits)
			}
		})
	}
}

func TestHTTPHandshakeErrorsHideSecrets(t *testing.T) {
	d := dialFor("http://user:hunter2@127.0.0.1:1/mcp?api_key=hunter2")
	d.Config.Headers = map[string]string{"Authorization": "Bearer hunter2"}
	dialer, _ := NewDialer(DialerOptions{})
	_, err := dialer.Dial(t.Context(), d)
	var start *StartError
	if !errors.As(err, &start) || start.Stage != "handshake" {
		t.Fatalf("error %v", err)
	}
	if s := err.Error(); strings.Contains(s, "hunter2") || !strings.Contains(s, "connection refused") {
		t.Errorf("error %s", s)
	}
}

func TestHTTPSpawnedAndHello(t *testing.T) {
	f := &fakeRemote{}
	d := serve(t, f)
	n := 0
	d.Spawned = func(pid int) { n += 1 + pid }
	d.ClientInfo = json.RawMessage(`{"name":"i","version":"1"}`)
	l := connect(t, d)
	if n != 1 {
		t.Errorf("Spawned: %d, want one call with pid 0", n)
	}
	if h := l.Hello(); h.Version != "2025-11-25" || h.PID != 0 || string(h.ServerInfo) != `{"name":"fake","version":"1"}` {
		t.Errorf("hello %+v", h)
	}
}
