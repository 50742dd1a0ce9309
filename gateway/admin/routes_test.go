package admin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

func ask(h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestRoutes(t *testing.T) {
	h := Handler(Options{State: &fakeState{ready: true}})
	for _, tt := range []struct {
		method, path, body string
		status             int
		has                string
	}{
		{"GET", "/v1/upstreams?state=error", "", 200, `{"upstreams":[{"name":"a/b"`},
		{"GET", "/v1/upstreams?name=f*&transport=stdio", "", 200, `{"upstreams":[{"name":"files"`},
		{"GET", "/v1/upstreams?name=x", "", 200, `{"upstreams":[]}`},
		{"GET", "/v1/upstreams?state=dead", "", 400, `state \"dead\" is not one of not_started`},
		{"GET", "/v1/upstreams?name=%5B", "", 400, `is not a glob`},
		{"GET", "/v1/upstreams/files", "", 200, `"offers":{"tools":[],"prompts":[],"resources":[]}`},
		{"GET", "/v1/upstreams/nope", "", 404, `did you mean files?`},
		{"POST", "/v1/upstreams/files/start", "", 200, `{"name":"files","ok":true,"state":"running","done":false}`},
		{"POST", "/v1/upstreams/a%2Fb/stop", `{"wait":true}`, 200, `{"name":"a/b","ok":true,"state":"stopped","done":true}`},
		{"POST", "/v1/upstreams/files/signed-in", `{"wait":true}`, 200, `{"name":"files","ok":true,"state":"running","done":true}`},
		{"POST", "/v1/upstreams/nope/signed-in", "", 404, `"code":"unknown_upstream"`},
		{"POST", "/v1/upstreams/nope/restart", "", 404, `"code":"unknown_upstream"`},
		{"POST", "/v1/upstreams/files/stop", `{"all":true}`, 400, `the path names the upstream`},
		{"POST", "/v1/upstreams/files/stop", `{"forse":true}`, 400, `unknown field`},
		{"POST", "/v1/upstreams/files/stop", `{"timeout":-1}`, 400, `timeout must be`},
		{"POST", "/v1/upstreams/files/stop", `{"wait":true} {}`, 400, `more after it`},
		{"DELETE", "/v1/upstreams/files?wait=1&timeout=5s", "", 200, `{"name":"files","ok":true,"state":"","done":true}`},
		{"DELETE", "/v1/upstreams/nope", "", 404, `"code":"unknown_upstream"`},
		{"DELETE", "/v1/upstreams/files?wait=perhaps", "", 400, `true or false`},
		{"POST", "/v1/start", `{"names":["files","nope"]}`, 200, `{"outcomes":[{"name":"files","ok":true,"state":"running","done":false},{"name":"nope","ok":false,"state":"","done":false,"error":{"code":"unknown_upstream"`},
		{"POST", "/v1/stop", `{"all":true}`, 200, `{"name":"a/b","ok":true,"state":"stopped"`},
		{"POST", "/v1/restart", ``, 400, `either names or all`},
		{"POST", "/v1/remove", `{"names":["files"],"all":true}`, 400, `either names or all`},
		{"POST", "/v1/upstreams", `{"mcpServers":{"new":{"url":"https://x.example"}},"wait":true}`, 200, `{"outcomes":[{"name":"new","ok":true,"state":"starting"`},
		{"POST", "/v1/upstreams", `{"mcpServers":{},"wait":3}`, 400, `wait is not of the right kind`},
		{"POST", "/v1/upstreams", `[]`, 400, `no JSON object`},
		{"POST", "/v1/upstreams", ``, 400, `no JSON object`},
		{"POST", "/v1/check", ``, 200, `"files":{"healthy":true,"status":"running","response_time":null,"error":null}`},
		{"POST", "/v1/check", `{"names":["files"]}`, 200, `{"files":{`},
		{"POST", "/v1/upstreams/files/check", ``, 200, `{"files":{`},
		{"POST", "/v1/upstreams/nope/check", ``, 404, `"code":"unknown_upstream"`},
		{"GET", "/v1/stats?window=60s", "", 200, `{"stats":[{"service_name":"files","total_checks":null,"healthy_checks":null,"availability":null,"avg_response_time":null,"max_response_time":null,"min_response_time":null,"window":60,"calls":null}`},
		{"GET", "/v1/stats", "", 200, `"window":300`},
		{"GET", "/v1/stats?window=30", "", 200, `"window":30,`},
		{"GET", "/v1/stats?window=0", "", 400, `a duration such as 300s`},
		{"GET", "/v1/upstreams/files/stats?window=1m", "", 200, `{"service_name":"files",`},
		{"GET", "/v1/upstreams/nope/stats", "", 404, `"code":"unknown_upstream"`},
		{"GET", "/v1/upstreams/files/logs?tail=1", "", 200, `{"lines":[{"at":"0001-01-01T00:00:00Z","text":"one"}]}`},
		{"GET", "/v1/upstreams/files/logs?tail=0", "", 200, `{"lines":[]}`},
		{"GET", "/v1/upstreams/files/logs?tail=-1", "", 400, `a number from 0`},
		{"GET", "/v1/upstreams/nope/logs", "", 404, `"code":"unknown_upstream"`},
		{"GET", "/v1/upstreams/nope/logs?follow=true", "", 404, `"code":"unknown_upstream"`},
		{"GET", "/v1/graph", "", 200, `{"nodes":[{"name":"files","state":"","health":"","depends_on":[],"dependents":[],"level":0,"took":0,"stages":[]}],"order":["files"],"critical_path":[],"critical_time":0}`},
		{"GET", "/v1/events?after=1", "", 200, `{"events":[]}`},
		{"GET", "/v1/events?follow=maybe", "", 400, `true or false`},
		{"POST", "/v1/reload", "", 200, `{"added":["new"],"removed":[],"restarted":[],"changed":[],"kept":[],"tools_added":[],"tools_removed":[],"need_restart":[],"applied":true}`},
		{"POST", "/v1/reload?dry_run=1", "{}", 200, `"applied":false`},
		{"GET", "/v1/config", "", 200, `{"admin":{"token":"***"}}`},
	} {
		t.Run(tt.method+" "+tt.path+" "+tt.body, func(t *testing.T) {
			w := ask(h, tt.method, tt.path, tt.body)
			if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.has) {
				t.Errorf("got %d %s\nwant %d and %s", w.Code, w.Body, tt.status, tt.has)
			}
		})
	}
}

// All that is wrong with a configuration is told, each with its place.
func TestReloadTellsAllErrors(t *testing.T) {
	h := Handler(Options{State: &fakeState{callErr: &Error{Code: CodeInvalidConfig, Detail: "2 faults", Errors: []ConfigError{
		{Text: "is wrong", At: "interlock.yaml:3:4", Mend: "mend it"}, {Text: "is wrong, too"},
	}}}})
	for _, path := range []string{"/v1/reload", "/v1/reload?dry_run=true"} {
		w := ask(h, "POST", path, "")
		want := `"errors":[{"text":"is wrong","at":"interlock.yaml:3:4","mend":"mend it"},{"text":"is wrong, too"}]`
		if w.Code != 422 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
}

// Only a caller on the socket may add what starts a program: not one with the
// token, and not one of whom nothing is known.
func TestWhoMayAddCommands(t *testing.T) {
	for name, tt := range map[string]struct {
		caller Caller
		want   bool
	}{
		"socket": {Caller{Who: "uid 1", Socket: true}, true},
		"token":  {Caller{Who: "token"}, false},
		"nobody": {Caller{}, false},
	} {
		f := &fakeState{}
		r := httptest.NewRequest(http.MethodPost, "/v1/upstreams", strings.NewReader(`{"timeout":1,"servers":{"b":{"url":"x"},"a":{}},"mcpServers":{"c":{}}}`))
		r.Header.Set("Content-Type", "application/json")
		Handler(Options{State: f}).ServeHTTP(httptest.NewRecorder(), r.WithContext(WithCaller(r.Context(), tt.caller)))
		if len(f.added) != 1 || f.added[0].Commands != tt.want || f.added[0].Timeout != 1 {
			t.Errorf("%s: %+v", name, f.added)
		}
		if got, want := string(f.added[0].Entries), `{"mcpServers":{"c":{}},"servers":{"b":{"url":"x"},"a":{}}}`; got != want {
			t.Errorf("%s: entries %s", name, got)
		}
	}
}

// The other end of a connection is known by how it came.
func TestCallers(t *testing.T) {
	who := make(chan Caller, 1)
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { who <- CallerOf(r.Context()) })
	dir := stateDir(t)
	for _, address := range []string{"", "127.0.0.1:0"} {
		l, err := Listen(address, "", dir)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Serve(ctx, l, h) }()
		c, err := NewClient(l.Target, "", dir)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.do(t.Context(), "GET", "/v1/tools", nil); err != nil {
			t.Fatal(err)
		}
		switch got := <-who; {
		case address == "" && (!got.Socket || runtime.GOOS == "linux" && !strings.HasPrefix(got.Who, "uid ")):
			t.Errorf("the socket: %+v", got)
		case address != "" && got != (Caller{Who: "token"}):
			t.Errorf("TCP: %+v", got)
		}
		c.Close()
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// Outcomes come one by one to who takes lines.
func TestOutcomesAsLines(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1/start", strings.NewReader(`{"names":["nope","files"]}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/x-ndjson, application/json")
	w := httptest.NewRecorder()
	Handler(Options{State: &fakeState{}}).ServeHTTP(w, r)
	lines := strings.Split(strings.TrimSpace(w.Body.String()), "\n")
	if w.Header().Get("Content-Type") != "application/x-ndjson" || len(lines) != 2 || !strings.HasPrefix(lines[1], `{"name":"files","ok":true`) || !w.Flushed {
		t.Errorf("%s %s", w.Header(), w.Body)
	}
}

// follow opens a stream in a bubble of time and returns its lines.
func streamed(t *testing.T, h http.Handler, path, last string) (lines *bufio.Reader, closeStream func()) {
	t.Helper()
	here, there := net.Pipe()
	s := &http.Server{Handler: h}
	l := &oneConn{conn: there, closed: make(chan struct{})}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	go func() {
		head := "GET " + path + " HTTP/1.1\r\nHost: x\r\n"
		if last != "" {
			head += "Last-Event-ID: " + last + "\r\n"
		}
		_, _ = io.WriteString(here, head+"\r\n")
	}()
	in := bufio.NewReader(here)
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%d %s", res.StatusCode, res.Header)
	}
	return bufio.NewReader(res.Body), func() { _ = here.Close(); _ = s.Close(); <-done }
}

// oneConn is a listener with one connection.
type oneConn struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

// event reads to the end of an event.
func event(t *testing.T, in *bufio.Reader) string {
	t.Helper()
	var out []string
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			t.Fatalf("the stream ended: %v after %q", err, out)
		}
		if line = strings.TrimRight(line, "\n"); line == "" {
			return strings.Join(out, "|")
		}
		out = append(out, line)
	}
}

func TestFollowEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeState{}
		f.happened("one")
		f.happened("two")
		h := Handler(Options{State: f})
		in, end := streamed(t, h, "/v1/events?follow=1", "1")
		if got := event(t, in); !strings.HasPrefix(got, "id: 2|data: {") || !strings.Contains(got, `"text":"two"`) {
			t.Errorf("got %q", got)
		}
		f.happened("three")
		if got := event(t, in); !strings.Contains(got, `"text":"three"`) {
			t.Errorf("got %q", got)
		}
		begun := time.Now()
		if got := event(t, in); got != ": alive" || time.Since(begun) != heartbeat {
			t.Errorf("got %q after %v", got, time.Since(begun))
		}
		// It lives for as long as it likes.
		for range 20 {
			event(t, in)
		}
		end()
		// A number of an earlier run of the gateway.
		in, end = streamed(t, h, "/v1/events?follow=true&after=900", "")
		if got := event(t, in); !strings.HasPrefix(got, "id: 1|") {
			t.Errorf("got %q", got)
		}
		end()
	})
}

func TestFollowLogs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeState{lines: make(chan string)}
		in, end := streamed(t, Handler(Options{State: f}), "/v1/upstreams/files/logs?follow=true&tail=1", "")
		for _, want := range []string{"one", "new"} {
			if got := event(t, in); !strings.HasPrefix(got, "data: {") || !strings.Contains(got, `"text":"`+want+`"`) {
				t.Errorf("got %q, want %s", got, want)
			}
			if want == "one" {
				f.lines <- "new"
			}
		}
		close(f.lines)
		if _, err := in.ReadString('\n'); !errors.Is(err, io.EOF) {
			t.Errorf("after the end of the log: %v", err)
		}
		end()
	})
}

// The gateway's end does not wait for who follows it, or waits for an order.
func TestServeEndsStreamsAndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a second is enough for who waits, however busy the machine
		l := addrtest.NewPipe()
		waiting := make(chan struct{})
		f := &waitingState{fakeState: &fakeState{}, waiting: waiting}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- Serve(ctx, &Listener{Listener: l}, Handler(Options{State: f})) }()
		c := &Client{http: &http.Client{Transport: &http.Transport{DialContext: l.Dial}}, base: "http://" + socketHost, target: "a pipe"}
		defer c.Close()
		res, err := c.send(t.Context(), "GET", "/v1/events?follow=true", "text/event-stream", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		answered := make(chan error, 1)
		go func() {
			_, err := c.Order(t.Context(), "start", Order{Names: []string{"files"}, Wait: true}, func(Outcome) {})
			answered <- err
		}()
		<-waiting
		cancel()
		if rest, err := io.ReadAll(res.Body); err != nil || len(rest) != 0 {
			t.Errorf("the stream broke off: %q %v", rest, err)
		}
		if err := <-answered; err != nil {
			t.Errorf("who waited got no answer: %v", err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// waitingState takes for ever to start something.
type waitingState struct {
	*fakeState
	waiting chan struct{}
}

func (f *waitingState) Start(ctx context.Context, o Order) []Outcome {
	close(f.waiting)
	<-ctx.Done()
	return f.obey("start", "starting", o)
}

// A body that never comes once held its connection for ever.
func TestBodiesHaveToCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, path := range []string{"/v1/call", "/v1/nothing"} {
			here, there := net.Pipe()
			l := &Listener{Listener: &oneConn{conn: there, closed: make(chan struct{})}, token: "t"}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- Serve(ctx, l, Handler(Options{State: &fakeState{}})) }()
			begun := time.Now()
			go func() {
				_, _ = io.WriteString(here, "POST "+path+" HTTP/1.1\r\nHost: localhost\r\nAuthorization: bEARER  t\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
			}()
			if _, err := io.ReadAll(here); err != nil {
				t.Error(err)
			}
			if took := time.Since(begun); took < bodyTime || took > bodyTime+5*time.Second {
				t.Errorf("%s: the connection was held for %v", path, took)
			}
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// Each code is told once, with its cause and mend.
func TestCodes(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Codes() {
		if seen[c.Name] || c.Cause == "" || c.Mend == "" {
			t.Errorf("%+v", c)
		}
		seen[c.Name] = true
		want := c.Status
		if want == 0 {
			want = 500
		}
		if got := (&Error{Code: c.Name}).status(); got != want {
			t.Errorf("%s: status %d, want %d", c.Name, got, want)
		}
	}
	if diff := cmp.Diff(len(declaredCodes(t)), len(seen)); diff != "" {
		t.Errorf("declared and told: %s", diff)
	}
	for _, name := range declaredCodes(t) {
		if !seen[name] {
			t.Errorf("%s is not in Codes", name)
		}
	}
}
