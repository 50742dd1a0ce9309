package upstream

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// purse is a Source with one token at a time.
type purse struct {
	mu       sync.Mutex // guards the rest
	token    string     // "" for none
	next     []string   // what renewals bring
	err      error      // of Authorization, and of a renewal that brings nothing
	asked    int
	renewals int
	refusals []string // "status token challenge"
	accepted []string // but for those that went without a token
	open     int      // those
	held     chan struct{}
	// renewing has refusals wait for their context alone, which it is told of; nil if
	// they do not.
	renewing chan struct{}
}

func (p *purse) Authorization(ctx context.Context) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if held := p.held; held != nil {
		p.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
		}
		p.mu.Lock()
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	if p.token == "" {
		return "", p.err
	}
	return "Bearer " + p.token, nil
}

func (p *purse) Refused(ctx context.Context, sent string, status int, h http.Header) error {
	p.mu.Lock()
	renewing := p.renewing
	p.mu.Unlock()
	if renewing != nil {
		poke(renewing)
		<-ctx.Done()
		return ctx.Err()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusals = append(p.refusals, fmt.Sprint(status, " ", sent, " ", h.Get("WWW-Authenticate")))
	switch {
	case sent != "Bearer "+p.token: // it is another one by now
		return nil
	case len(p.next) == 0:
		return p.err
	}
	p.token, p.next = p.next[0], p.next[1:]
	p.renewals++
	return nil
}

func (p *purse) Accepted(sent string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if sent == "" {
		p.open++
		return
	}
	p.accepted = append(p.accepted, sent)
}

// set makes another token the one there is.
func (p *purse) set(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token = token
}

func (p *purse) told() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.refusals)
}

var nobody = &oauth.NeedsAuth{Key: oauth.Key{Upstream: "fake"}, Why: oauth.Revoked}

// signedIn connects with a source of tokens.
func signedIn(t *testing.T, d *Dial, s oauth.Source, log *slog.Logger) (Link, error) {
	t.Helper()
	dialer, err := NewDialer(DialerOptions{Log: log, Credentials: func(*Config, string) oauth.Source { return s }})
	if err != nil {
		t.Fatal(err)
	}
	l, err := dialer.Dial(t.Context(), d)
	if err == nil {
		t.Cleanup(func() {
			ctx, stop := context.WithTimeout(context.Background(), patient)
			defer stop()
			l.Close(ctx)
		})
	}
	return l, err
}

// porter lets in who has the token, and notes what everybody said.
type porter struct {
	inside http.Handler
	status int    // of a refusal
	says   string // its WWW-Authenticate

	mu     sync.Mutex // guards the rest
	token  string     // the one that is good, "" for any
	seen   []string   // "POST tools/call Bearer x"
	turned int        // calls that were turned away
}

func (p *porter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	what := r.Method
	if r.Method == http.MethodPost {
		body, _ := io.ReadAll(r.Body)
		m, _ := jsonrpc.Parse(body)
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		if what += " " + m.MethodName(); m.MethodName() == "" {
			what += "answer"
		}
	}
	got := strings.Join(r.Header.Values("Authorization"), " and ")
	p.mu.Lock()
	p.seen = append(p.seen, what+" "+got)
	good := p.token == "" || got == "Bearer "+p.token
	if !good && strings.HasPrefix(what, "POST tools/call") {
		p.turned++
	}
	p.mu.Unlock()
	if good {
		p.inside.ServeHTTP(w, r)
		return
	}
	if p.says != "" {
		w.Header().Set("WWW-Authenticate", p.says)
	}
	w.WriteHeader(p.status)
}

func (p *porter) saw() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// posts is saw less the streams of a session, which come when they like.
func (p *porter) posts() []string {
	return slices.DeleteFunc(p.saw(), func(s string) bool { return strings.HasPrefix(s, "GET") })
}

// wants makes another token the good one.
func (p *porter) wants(token string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token = token
}

// await waits until a request was seen.
func (p *porter) await(t *testing.T, what string) {
	t.Helper()
	for end := time.Now().Add(patient); !slices.ContainsFunc(p.saw(), func(s string) bool { return strings.HasPrefix(s, what) }); {
		if time.Now().After(end) {
			t.Fatalf("no %s, but %q", what, p.saw())
		}
		<-time.After(time.Millisecond)
	}
}

// gated connects to a server behind a porter, with a source of tokens. The stream
// that a session asks for was let in, or turned away, when it returns: what the
// porter wants from then on, and what token there is, are of what a test sends.
func gated(t *testing.T, gate *porter, f *fakeRemote, s oauth.Source, change func(*Dial)) (Link, error) {
	t.Helper()
	f.t = t
	gate.inside = f
	srv := httptest.NewServer(gate)
	t.Cleanup(srv.Close)
	d := dialFor(srv.URL + "/mcp")
	d.Config.Protocol = LegacyProtocol
	if change != nil {
		change(d)
	}
	l, err := signedIn(t, d, s, nil)
	if err == nil && !l.Hello().Modern() {
		gate.await(t, "GET")
	}
	return l, err
}
