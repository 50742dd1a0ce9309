package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		value, date string
		want        time.Duration
		said        bool
	}{
		{"", "", 0, false},
		{"1", "", time.Second, true},
		{" 30 ", "", 30 * time.Second, true},
		{"0.25", "", 250 * time.Millisecond, true},
		{"0", "", time.Millisecond, true},
		{"-5", "", time.Millisecond, true},
		{"1000000000", "", time.Minute, true},
		{"1e9", "", time.Minute, true},
		{"1e999", "", time.Minute, true},
		{"99999999999999999999999999", "", time.Minute, true},
		{"NaN", "", time.Second, true},
		{"soon", "", time.Second, true},
		{"Sun, 22 Nov 2026 08:00:07 GMT", "", 7 * time.Second, true},
		{"Sun, 22 Nov 2026 08:00:07 GMT", "Sun, 22 Nov 2026 08:00:05 GMT", 2 * time.Second, true},
		{"Sun, 22 Nov 2026 07:00:00 GMT", "", time.Millisecond, true},
		{"Sun, 22 Nov 2099 07:00:00 GMT", "", time.Minute, true},
	} {
		h := http.Header{"Retry-After": {c.value}, "Date": {c.date}}
		if got, said := retryAfter(h, now); got != c.want || said != c.said {
			t.Errorf("Retry-After %q, Date %q: %v, %v, want %v, %v", c.value, c.date, got, said, c.want, c.said)
		}
	}
}

// outcome of one call to a server that misbehaves.
func TestHTTPOutcomes(t *testing.T) {
	status := func(code int, headers ...string) func(http.ResponseWriter, *http.Request, jsonrpc.Message) {
		return func(w http.ResponseWriter, _ *http.Request, _ jsonrpc.Message) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			w.WriteHeader(code)
			io.WriteString(w, "a secret in the body")
		}
	}
	rpc := func(code int, body string) func(http.ResponseWriter, *http.Request, jsonrpc.Message) {
		return func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
			w.WriteHeader(code)
			fmt.Fprintf(w, `{"jsonrpc":"2.0",`+body+`}`, idOf(m))
		}
	}
	body := func(kind, text string) func(http.ResponseWriter, *http.Request, jsonrpc.Message) {
		return func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
			w.Header().Set("Content-Type", kind)
			if strings.Contains(text, "%s") {
				text = fmt.Sprintf(text, idOf(m))
			}
			io.WriteString(w, text)
		}
	}
	big := `{"jsonrpc":"2.0","id":%s,"result":"` + strings.Repeat("x", 3000) + `"}`
	stream := "text/event-stream"
	for _, c := range []struct {
		name     string
		call     func(http.ResponseWriter, *http.Request, jsonrpc.Message)
		executed Executed // "" for an answer
		reason   string
		retry    time.Duration
	}{
		{"401", status(401), ExecutedNo, "unauthorized", 0},
		{"401 with an error", rpc(401, `"id":%s,"error":{"code":1,"message":"m"}`), ExecutedNo, "unauthorized", 0},
		{"403", status(403), ExecutedNo, "unauthorized", 0},
		{"404 for another reason than the session", status(404), ExecutedNo, "http_status", 0},
		{"429", status(429, "Retry-After", "7"), ExecutedNo, "rate_limited", 7 * time.Second},
		{"429 for long", status(429, "Retry-After", "1000000000"), ExecutedNo, "rate_limited", time.Minute},
		{"429 that says no time", status(429), ExecutedNo, "rate_limited", 0},
		{"503 with a time", status(503, "Retry-After", "garbage"), ExecutedNo, "rate_limited", time.Second},
		{"503", status(503), ExecutedUnknown, "http_status", 0},
		{"500", status(500), ExecutedUnknown, "http_status", 0},
		{"502", status(502), ExecutedUnknown, "http_status", 0},
		{"504", status(504), ExecutedUnknown, "http_status", 0},
		{"400", status(400), ExecutedUnknown, "http_status", 0},
		{"500 with an error", rpc(500, `"id":%s,"error":{"code":-32603,"message":"m"}`), "", "", 0},
		{"400 with an error without id", rpc(400, `"id":null,"error":{"code":-32600,"message":"%.0s"}`), "", "", 0},
		{"error without id under 200", body("application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m"}}`), "", "", 0},
		{"202", status(202), ExecutedUnknown, "malformed", 0},
		{"HTML", body("text/html", "<html>"), ExecutedUnknown, "malformed", 0},
		{"not JSON", body("application/json", "{nope"), ExecutedUnknown, "malformed", 0},
		{"empty", body("application/json", ""), ExecutedUnknown, "malformed", 0},
		{"empty batch", body("application/json", "[]"), ExecutedUnknown, "malformed", 0},
		{"another call's answer", body("application/json", `{"jsonrpc":"2.0","id":4711,"result":{}}`), ExecutedUnknown, "malformed", 0},
		{"result and error", body("application/json", `{"jsonrpc":"2.0","id":%s,"result":{},"error":{}}`), ExecutedUnknown, "malformed", 0},
		{"compressed unasked", status(200, "Content-Encoding", "gzip", "Content-Type", "application/json"), ExecutedUnknown, "malformed", 0},
		{"over the cap", body("application/json", big), ExecutedUnknown, "too_large", 0},
		{"over the cap, no length", func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
			w.Header().Set("Content-Type", "application/json")
			w.(http.Flusher).Flush()
			fmt.Fprintf(w, big, idOf(m))
		}, ExecutedUnknown, "too_large", 0},
		{"over the cap on a stream", body(stream, "data: "+big+"\n\n"), ExecutedUnknown, "too_large", 0},
		{"over the cap, but not the answer", body(stream, "data: "+`{"jsonrpc":"2.0","id":4711,"result":"`+strings.Repeat("x", 3000)+`"}`+"\n\ndata: "+`{"jsonrpc":"2.0","id":%s,"result":{}}`+"\n\n"), "", "", 0},
		{"malformed on a stream", body(stream, "data: {nope\n\n"), ExecutedUnknown, "malformed", 0},
		{"reset before a response", func(http.ResponseWriter, *http.Request, jsonrpc.Message) { abort() }, ExecutedUnknown, "reset", 0},
		{"cut in the JSON", func(w http.ResponseWriter, _ *http.Request, _ jsonrpc.Message) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"jsonrpc":`)
			w.(http.Flusher).Flush()
			abort()
		}, ExecutedUnknown, "reset", 0},
		{"stream cut before the result", func(w http.ResponseWriter, _ *http.Request, _ jsonrpc.Message) {
			events(w)(`data: {"jsonrpc":"2.0","method":"notifications/message"}`)
			abort()
		}, ExecutedUnknown, "reset", 0},
		{"stream cut in the result", func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
			events(w)
			fmt.Fprintf(w, `data: {"jsonrpc":"2.0","id":%s,"result":{}}`+"\n", idOf(m))
			w.(http.Flusher).Flush()
			abort()
		}, ExecutedUnknown, "reset", 0},
		{"stream cut after the result", func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
			events(w)(`data: {"jsonrpc":"2.0","id":%s,"result":{}}`, idOf(m))
			abort()
		}, "", "", 0},
		{"stream left open after the result", func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) {
			events(w)(`data: {"jsonrpc":"2.0","id":%s,"result":{}}`, idOf(m))
			<-r.Context().Done()
		}, "", "", 0},
		{"redirect to another origin", status(307, "Location", "http://evil.example/?token=hunter2"), ExecutedNo, "http_status", 0},
		{"redirect that changes the method", status(302, "Location", "/elsewhere"), ExecutedNo, "http_status", 0},
		{"redirects for ever", status(308, "Location", "/mcp"), ExecutedNo, "http_status", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var sick atomic.Bool
			sick.Store(true)
			f := &fakeRemote{}
			f.call = func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) {
				if sick.Load() {
					c.call(w, r, m)
				} else {
					reply(w, m, `{}`)
				}
			}
			d := serve(t, f)
			d.Config.MaxMessage = 2048
			l := connect(t, d)
			m, err := l.Do(t.Context(), call(t))
			var e *TransportError
			switch {
			case c.executed == "":
				if err != nil || m.Kind != jsonrpc.Result && m.Kind != jsonrpc.Failure {
					t.Errorf("no answer but %v", err)
				}
			case !errors.As(err, &e):
				t.Fatalf("error %v", err)
			case e.Executed != c.executed || e.Reason != c.reason || e.RetryAfter != c.retry || e.Lost:
				t.Errorf("error %+v, want %s %s %v", e, c.executed, c.reason, c.retry)
			case strings.Contains(e.Error(), "secret") || strings.Contains(e.Error(), "hunter2"):
				t.Errorf("error tells too much: %v", e)
			}
			sick.Store(false)
			if _, err := l.Do(t.Context(), call(t)); err != nil || l.Err() != nil {
				t.Errorf("the link is not alive: %v, %v", err, l.Err())
			}
		})
	}
}

func TestHTTPFollowsRedirectOfTheSameOrigin(t *testing.T) {
	f := &fakeRemote{}
	f.post = func(w http.ResponseWriter, r *http.Request, _ jsonrpc.Message) bool {
		if r.URL.Path == "/mcp/" {
			return false
		}
		http.Redirect(w, r, "/mcp/", http.StatusTemporaryRedirect)
		return true
	}
	l := connect(t, serve(t, f))
	if _, err := l.Do(t.Context(), call(t)); err != nil {
		t.Fatal(err)
	}
	if b, _ := f.sent("tools/call"); len(b) != 1 {
		t.Errorf("%d posts of the call, want it sent to the right place at once", len(b))
	}
}

func TestHTTPBlackHole(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	f := &fakeRemote{}
	f.call = func(_ http.ResponseWriter, r *http.Request, _ jsonrpc.Message) {
		stop(context.DeadlineExceeded) // as it came too late, once the server has the call
		<-r.Context().Done()
	}
	l := connect(t, serve(t, f))
	if _, err := l.Do(ctx, call(t)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	if got := f.awaitSent("notifications/cancelled", 1); !strings.Contains(got[0], `"reason":"timed out"`) {
		t.Errorf("sent %s", got[0])
	}
}

// flakyConn fails a write when told to, after letting through some of it.
type flakyConn struct {
	*net.TCPConn
	fault *atomic.Pointer[fault] // nil: sound
}

// fault makes the next write fail after as many bytes of it as it says.
type fault func(whole int) int

func (c *flakyConn) Write(p []byte) (int, error) {
	f := c.fault.Swap(nil)
	if f == nil {
		return c.TCPConn.Write(p)
	}
	n := (*f)(len(p))
	if n > 0 {
		if _, err := c.TCPConn.Write(p[:n]); err != nil {
			return 0, err
		}
	}
	c.Close()
	return n, syscall.EPIPE
}

// A kept connection that is dead before a byte was written costs nothing; one
// that dies later must not make net/http send the call again.
func TestHTTPNeverSendsACallTwice(t *testing.T) {
	for _, c := range []struct {
		name     string
		let      fault
		executed Executed // "" for success
	}{
		{"nothing written", func(int) int { return 0 }, ""},
		{"one byte written", func(int) int { return 1 }, ExecutedUnknown},
		// With the last byte the server could answer before the write fails.
		{"all but the last byte", func(whole int) int { return whole - 1 }, ExecutedUnknown},
	} {
		t.Run(c.name, func(t *testing.T) {
			var broken atomic.Pointer[fault]
			var calls atomic.Int64
			listened := make(chan struct{})
			f := &fakeRemote{get: func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusMethodNotAllowed)
				close(listened)
			}}
			f.call = func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
				calls.Add(1)
				reply(w, m, `{}`)
			}
			d := serve(t, f)
			dial := &dialer{log: slog.New(slog.DiscardHandler)}
			dial.remotes.connect = func(ctx context.Context, network, addr string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err != nil {
					return nil, err
				}
				return &flakyConn{conn.(*net.TCPConn), &broken}, nil
			}
			l, err := dial.Dial(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close(context.WithoutCancel(t.Context()))
			// The GET must not be what the fault hits, and its connection is to be kept.
			<-listened
			l.(*httpLink).life.work.Wait()
			broken.Store(&c.let)
			_, err = l.Do(t.Context(), call(t))
			var e *TransportError
			if errors.As(err, &e); err != nil && (e == nil || e.Executed != c.executed) || err == nil && c.executed != "" {
				t.Errorf("error %+v, want executed %q", err, c.executed)
			}
			if n := calls.Load(); n > 1 || n == 0 && c.executed == "" {
				t.Errorf("executed %d times", n)
			}
			if b, _ := f.sent("tools/call"); len(b) > 1 {
				t.Errorf("posted %d times", len(b))
			}
		})
	}
}

func TestHTTPConcurrentCallsGetTheirOwnAnswers(t *testing.T) {
	f := &fakeRemote{}
	f.call = func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) {
		reply(w, m, string(m.Params.Of(m.Raw)))
	}
	l := connect(t, serve(t, f))
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 20 {
				want := fmt.Sprintf(`{"name":"%d-%d"}`, i, j)
				m, err := l.Do(t.Context(), request(t, `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":`+want+`}`))
				if got := string(m.Result.Of(m.Raw)); err != nil || got != want {
					t.Errorf("got %s, %v, want %s", got, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestHTTPCloseEndsCallsAndWaits(t *testing.T) {
	started := make(chan struct{})
	f := &fakeRemote{session: "s"}
	f.call = func(w http.ResponseWriter, r *http.Request, _ jsonrpc.Message) {
		events(w)
		close(started)
		<-r.Context().Done()
	}
	l := connect(t, serve(t, f))
	ended := make(chan error, 1)
	go func() {
		_, err := l.Do(t.Context(), call(t))
		ended <- err
	}()
	<-started
	l.Close(t.Context())
	var e *TransportError
	if err := <-ended; !errors.As(err, &e) || e.Executed != ExecutedUnknown || e.Reason != "closed" || !e.Lost {
		t.Errorf("call in flight: %+v", err)
	}
	if _, err := l.Do(t.Context(), call(t)); !errors.As(err, &e) || e.Executed != ExecutedNo || e.Reason != "closed" {
		t.Errorf("call after Close: %+v", err)
	}
	if len(f.deleted) != 1 {
		t.Errorf("deleted %v", f.deleted)
	}
	l.Close(t.Context())
}
