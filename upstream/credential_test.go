package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// A source is told once that a server takes requests without a token.
func TestTakenWithoutAToken(t *testing.T) {
	p := new(purse)
	l, err := gated(t, new(porter), new(fakeRemote), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if m, err := l.Do(t.Context(), call(t)); err != nil || m.Kind != jsonrpc.Result {
			t.Errorf("call: %v", err)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open != 1 || len(p.accepted) != 0 {
		t.Errorf("told %d times, and %q", p.open, p.accepted)
	}
}

// TestTokenRefusedOnce is F17: fifty calls are answered 401, their token is renewed
// once, and each is sent once more.
func TestTokenRefusedOnce(t *testing.T) {
	for _, c := range []struct {
		status int
		says   string
	}{
		{401, ""},
		{401, `Bearer error="invalid_token"`},
		{403, `Bearer error="insufficient_scope", scope="write"`},
	} {
		t.Run(fmt.Sprint(c.status, c.says), func(t *testing.T) {
			gate, p := &porter{status: c.status, says: c.says, token: "t1"}, &purse{token: "t1", next: []string{"t2"}}
			l, err := gated(t, gate, new(fakeRemote), p, nil)
			if err != nil {
				t.Fatal(err)
			}
			gate.wants("t2")
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if m, err := l.Do(t.Context(), call(t)); err != nil || m.Kind != jsonrpc.Result {
						t.Errorf("call: %v", err)
					}
				})
			}
			wg.Wait()
			if p.renewals != 1 || len(p.told()) < max(gate.turned, 1) || gate.turned > 50 {
				t.Errorf("%d renewals, %d refusals, %d turned away", p.renewals, len(p.told()), gate.turned)
			}
			p.mu.Lock()
			accepted := slices.Clone(p.accepted)
			p.mu.Unlock()
			if len(accepted) < gate.turned || slices.ContainsFunc(accepted, func(s string) bool { return s != "Bearer t2" }) {
				t.Errorf("the source was told that %q are taken, after %d were turned away", accepted, gate.turned)
			}
			if want := strings.TrimSpace(fmt.Sprint(c.status, " Bearer t1 ", c.says)); strings.TrimSpace(p.told()[0]) != want {
				t.Errorf("the source was told %q, want %q", p.told()[0], want)
			}
			inside := 0
			for _, s := range gate.saw() {
				if s == "POST tools/call Bearer t2" {
					inside++
				}
			}
			if inside != 50 {
				t.Errorf("%d calls got in, want each once", inside)
			}
		})
	}
}

// TestTokenByHandHadABadMoment: a server that takes the token again, which nobody
// could renew, has no need of another one.
func TestTokenByHandHadABadMoment(t *testing.T) {
	accounts, key := oauth.New(oauth.Options{}), oauth.Key{Upstream: "fake"}
	conf := oauth.Config{Flow: oauth.Bearer, Token: "t1"}
	source := accounts.Source(&oauth.Target{Upstream: "fake", Config: conf}, "")
	gate := &porter{status: 401, token: "t1"}
	// A stream that was answered would tell the source that the token is taken, at any time.
	f := &fakeRemote{get: func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }}
	l, err := gated(t, gate, f, source, func(d *Dial) { d.Config.Auth = conf })
	if err != nil {
		t.Fatal(err)
	}
	gate.wants("another")
	if _, err := l.Do(t.Context(), call(t)); needsAuth(err) == nil || accounts.State(key).Needs == nil {
		t.Fatalf("error %v, state %+v", err, accounts.State(key))
	}
	gate.wants("t1")
	if _, err := l.Do(t.Context(), call(t)); err != nil {
		t.Fatal(err)
	}
	if n := accounts.State(key).Needs; n != nil {
		t.Errorf("it is taken, and yet: %v", n)
	}
}

func TestTokenRefusedForGood(t *testing.T) {
	plain := errors.New("as.example: 503")
	for _, c := range []struct {
		name   string
		status int
		says   string
		purse  *purse
		reason string
		sent   int
	}{
		{"needs a person", 401, "", &purse{token: "t1", err: nobody}, "needs_auth", 1},
		{"needs more", 403, `Bearer error="insufficient_scope"`, &purse{token: "t1", err: nobody}, "needs_auth", 1},
		{"none to be had", 401, "", &purse{token: "t1", err: plain}, "token", 1},
		{"nor the next", 401, "", &purse{token: "t1", next: []string{"t2"}, err: nobody}, "needs_auth", 2},
		{"nor any", 401, "", &purse{token: "t1", next: []string{"t2", "t3", "t4"}}, "unauthorized", 2},
		{"403 for another reason", 403, `Bearer error="access_denied"`, &purse{token: "t1", err: nobody}, "unauthorized", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			gate := &porter{status: c.status, says: c.says, token: "t1"}
			l, err := gated(t, gate, new(fakeRemote), c.purse, nil)
			if err != nil {
				t.Fatal(err)
			}
			gate.wants("another")
			_, err = l.Do(t.Context(), call(t))
			var way *TransportError
			var needs *oauth.NeedsAuth
			if !errors.As(err, &way) || way.Reason != c.reason || way.Executed != ExecutedNo || way.Status != c.status || way.Lost {
				t.Fatalf("error %+v", err)
			}
			if errors.As(err, &needs) != (c.reason == "needs_auth") || judge(way) != neutral {
				t.Errorf("error %+v, which counts as %v", err, judge(way))
			}
			if strings.Contains(err.Error(), "t1") || strings.Contains(err.Error(), "Bearer") {
				t.Errorf("error %v", err)
			}
			if gate.turned != c.sent {
				t.Errorf("sent %d times, want %d", gate.turned, c.sent)
			}
			if err := l.Notify(t.Context(), []byte(`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)); !errors.As(err, &way) || way.Reason != c.reason {
				t.Errorf("a notification: %v", err)
			}
		})
	}
}

// TestNobodySignedIn: a server that wants to know who asks is not asked a second
// time, in another era, and the error is what the supervisor looks for.
func TestNobodySignedIn(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error // of the source before anything is sent, nil for none
		sse  bool
		sent int
	}{{"asked", nil, false, 1}, {"known", nobody, false, 0}, {"sse", nil, true, 1}} {
		gate, p := &porter{status: 401, token: "t1"}, &purse{err: c.err}
		var source oauth.Source = p
		if c.err == nil {
			source = stranger{p}
		}
		_, err := gated(t, gate, new(fakeRemote), source, func(d *Dial) {
			if d.Config.Protocol = AutoProtocol; c.sse {
				d.Config.Transport = SSE
			}
		})
		var start *StartError
		if !errors.As(err, &start) || start.Stage != "handshake" || needsAuth(err) != nobody {
			t.Errorf("%s: error %v", c.name, err)
		}
		if len(gate.saw()) != c.sent {
			t.Errorf("%s: sent %q", c.name, gate.saw())
		}
	}
}

// stranger is a source without a token, that asks for a person when it is refused.
type stranger struct{ *purse }

func (stranger) Authorization(context.Context) (string, error)           { return "", nil }
func (stranger) Refused(context.Context, string, int, http.Header) error { return nobody }

// TestTokenThatCannotBeSent: a token that would end its line is not sent, nor is
// anything without it, and it is not told.
func TestTokenThatCannotBeSent(t *testing.T) {
	for _, bad := range []string{"x\r\nX-Accel-Redirect: /secret", "x\ny", "x\x00", "x\x7f"} {
		gate, p := &porter{}, &purse{token: "t1"}
		l, err := gated(t, gate, new(fakeRemote), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := len(gate.posts())
		p.set(bad)
		_, err = l.Do(t.Context(), call(t))
		var way *TransportError
		if !errors.As(err, &way) || way.Reason != "token" || way.Executed != ExecutedNo || strings.Contains(err.Error(), bad) {
			t.Errorf("%q: error %v", bad, err)
		}
		if all := gate.posts(); len(all) != before {
			t.Errorf("%q: sent %q", bad, all[before:])
		}
		p.set("t1")
		if _, err := l.Do(t.Context(), call(t)); err != nil {
			t.Error(err)
		}
	}
	// What the lean client is given besides is left out where it cannot be sent.
	q := &outgoing{method: "GET", to: &place{line: " / HTTP/1.1\r\n"}, header: newHeader(nil), more: []field{{"X-A", "1\r\nX-B: 2"}, {"X C", "3"}, {"X-D", "4"}}}
	if got, want := string(q.appendHead(nil, 0)), "GET / HTTP/1.1\r\nX-D: 4\r\n\r\n"; got != want {
		t.Errorf("head %q, want %q", got, want)
	}
}

// TestTokenStaysAtItsOrigin: a redirect to another origin is not followed, and its
// token goes nowhere.
func TestTokenStaysAtItsOrigin(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s with %q", r.Method, r.URL, r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{307, 308, 302, 301} {
		gate, p := &porter{token: "t1", status: 401}, &purse{token: "t1"}
		var away atomic.Bool
		f := &fakeRemote{post: func(w http.ResponseWriter, _ *http.Request, _ jsonrpc.Message) bool {
			if away.Load() {
				w.Header().Set("Location", elsewhere.URL+"/mcp")
				w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
				w.WriteHeader(status)
			}
			return away.Load()
		}}
		l, err := gated(t, gate, f, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		away.Store(true)
		var way *TransportError
		if _, err := l.Do(t.Context(), call(t)); !errors.As(err, &way) || way.Reason != "http_status" || way.Executed != ExecutedNo {
			t.Errorf("%d: error %v", status, err)
		}
		if told := p.told(); len(told) > 0 {
			t.Errorf("%d: the source was told %q", status, told)
		}
	}
	// Within the origin it goes along.
	gate := &porter{token: "t1", status: 401}
	f := &fakeRemote{post: func(w http.ResponseWriter, r *http.Request, _ jsonrpc.Message) bool {
		if r.URL.Path == "/mcp" {
			http.Redirect(w, r, "/v2/mcp", http.StatusTemporaryRedirect)
			return true
		}
		return false
	}}
	if _, err := gated(t, gate, f, &purse{token: "t1"}, nil); err != nil {
		t.Error(err)
	}
}

// TestConfiguredAuthorization: with a header of the operator's own nobody signs in.
func TestConfiguredAuthorization(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Dial)
		want   string
	}{
		{"header", func(d *Dial) { d.Config.Headers = map[string]string{"authorization": "Basic abc"} }, "Basic abc"},
		{"url", func(d *Dial) { d.Config.URL = strings.Replace(d.Config.URL, "//", "//me:pw@", 1) }, "Basic bWU6cHc="},
	} {
		gate, p := &porter{status: 401}, &purse{token: "t1"}
		l, err := gated(t, gate, new(fakeRemote), p, c.change)
		if err != nil {
			t.Fatal(err)
		}
		gate.wants("other")
		var way *TransportError
		if _, err := l.Do(t.Context(), call(t)); !errors.As(err, &way) || way.Reason != "unauthorized" {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, got := range gate.saw() {
			if !strings.HasSuffix(got, " "+c.want) {
				t.Errorf("%s: sent %q", c.name, got)
			}
		}
		if p.asked > 0 || len(p.told()) > 0 {
			t.Errorf("%s: the source was asked", c.name)
		}
	}
}

// TestTokenIsWaitedFor: what waits for a token when its time is up was not sent, and
// tells nothing of the server.
func TestTokenIsWaitedFor(t *testing.T) {
	gate, p := &porter{}, &purse{token: "t1"}
	l, err := gated(t, gate, new(fakeRemote), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := len(gate.posts())
	p.mu.Lock()
	p.held = make(chan struct{})
	p.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, errProbeTimeout)
	defer cancel()
	if _, err := l.Do(ctx, request(t, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)); !noToken(err) || !errors.Is(err, errProbeTimeout) {
		t.Errorf("error %v", err)
	}
	if all := gate.posts(); len(all) != before {
		t.Errorf("sent %q", all[before:])
	}
}

// TestStreamOfWhoSignedOut: a call whose stream was cut cannot be taken up again
// without a token. It may have run: to sign in is no reason to make it again.
func TestStreamOfWhoSignedOut(t *testing.T) {
	gate, p := &porter{status: 401, token: "t1"}, &purse{token: "t1", err: nobody}
	f := &fakeRemote{call: func(w http.ResponseWriter, _ *http.Request, _ jsonrpc.Message) {
		gate.wants("none")
		events(w)("id: 1\nretry: 1\ndata: ")
	}}
	l, err := gated(t, gate, f, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	var way *TransportError
	if _, err := l.Do(t.Context(), call(t)); !errors.As(err, &way) || way.Executed != ExecutedUnknown || needsAuth(err) != nil || judge(way) != neutral {
		t.Errorf("error %+v", err)
	}
}

// TestSessionOfWhoSignedOut: a session that is to be made anew for somebody who is
// signed out says that, and not that the server is ill.
func TestSessionOfWhoSignedOut(t *testing.T) {
	gate, p := &porter{status: 401, token: "t1"}, &purse{token: "t1", err: nobody}
	f := &fakeRemote{session: "s1"}
	f.call = func(w http.ResponseWriter, _ *http.Request, _ jsonrpc.Message) {
		gate.wants("none")
		w.WriteHeader(http.StatusNotFound)
	}
	l, err := gated(t, gate, f, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	var way *TransportError
	if _, err := l.Do(t.Context(), call(t)); !errors.As(err, &way) || way.Reason != "needs_auth" || way.Executed != ExecutedNo || needsAuth(err) == nil || judge(way) != neutral {
		t.Errorf("error %+v", err)
	}
}

// TestTokenBeforeTheEra: what it takes to get a token is not of the little time that a
// server has to say of which era it is, or a modern one would be taken for another: it
// is there before the question is begun.
func TestTokenBeforeTheEra(t *testing.T) {
	gate, p := &porter{}, &purse{token: "t1"}
	asked := 0
	f := &fakeRemote{post: func(w http.ResponseWriter, _ *http.Request, m jsonrpc.Message) bool {
		if m.MethodName() == "server/discover" {
			p.mu.Lock()
			asked = p.asked
			p.mu.Unlock()
			reply(w, m, discovered)
		}
		return m.MethodName() == "server/discover"
	}}
	l, err := gated(t, gate, f, p, func(d *Dial) { d.Config.Protocol = AutoProtocol })
	if err != nil || !l.Hello().Modern() {
		t.Fatalf("error %v", err)
	}
	if asked != 2 {
		t.Errorf("the source was asked %d times by the first request, want once before it", asked)
	}
}

// TestTokenIsNotWaitedForAfterTheLink: a call that waits for a token when its link is
// closed once waited on, for as long as it had time. It was not sent, and says so.
func TestTokenIsNotWaitedForAfterTheLink(t *testing.T) {
	for _, refused := range []bool{false, true} {
		gate, p := &porter{status: 401, token: "t1"}, &waited{purse: purse{token: "t1"}, waits: make(chan struct{}, 1)}
		l, err := gated(t, gate, new(fakeRemote), p, nil)
		if err != nil {
			t.Fatal(err)
		}
		before := len(gate.posts())
		if refused {
			gate.wants("t2")
			p.mu.Lock()
			p.renewing = p.waits
			p.mu.Unlock()
		} else {
			p.absent.Store(true)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := l.Do(t.Context(), call(t))
			ended <- err
		}()
		select {
		case <-p.waits:
		case err := <-ended:
			t.Fatalf("it did not wait: %v", err)
		}
		p.absent.Store(false) // for what says goodbye
		p.mu.Lock()
		p.renewing = nil
		p.mu.Unlock()
		gate.wants("t1")
		l.Close(t.Context())
		var way *TransportError
		if err := <-ended; !errors.As(err, &way) || way.Executed != ExecutedNo || way.Reason != "closed" || judge(way) != neutral {
			t.Errorf("refused %v: %+v", refused, err)
		}
		if n := len(gate.posts()) - before; !refused && n > 0 {
			t.Errorf("sent %d requests", n)
		}
	}
}

// waited is a purse that has no token at times, and says that somebody waits for one.
type waited struct {
	purse
	absent atomic.Bool
	waits  chan struct{} // takes one without blocking
}

func (w *waited) Authorization(ctx context.Context) (string, error) {
	if !w.absent.Load() {
		return w.purse.Authorization(ctx)
	}
	if ctx.Err() == nil {
		poke(w.waits)
	}
	<-ctx.Done()
	return "", ctx.Err()
}

// TestWhatRefusesAToken: a 403 is about the token if its challenge says so, and not if the
// word is in what the server tells besides, which once had a token renewed for nothing.
func TestWhatRefusesAToken(t *testing.T) {
	for _, c := range []struct {
		status int
		says   string
		want   bool
	}{
		{401, "", true},
		{403, "", false},
		{403, `Bearer error="insufficient_scope", scope="write"`, true},
		{403, `Basic realm="x", Bearer error=insufficient_scope`, true},
		{403, `Bearer error="access_denied", error_description="no insufficient_scope, but the plan"`, false},
		{403, `Bearer realm="insufficient_scope"`, false},
		{400, `Bearer error="insufficient_scope"`, false},
	} {
		resp := &response{status: c.status, header: http.Header{}}
		if c.says != "" {
			resp.header.Set("WWW-Authenticate", c.says)
		}
		if got := refusesToken(resp); got != c.want {
			t.Errorf("%d %s: %v", c.status, c.says, got)
		}
	}
}
