package upstream

import (
	"context"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// TestTokenOnEveryRequest: whatever a link sends says who it is from.
func TestTokenOnEveryRequest(t *testing.T) {
	stuck := func(started chan<- string) func(http.ResponseWriter, *http.Request, jsonrpc.Message) {
		return func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) {
			switch {
			case m.MethodName() == "server/discover":
				w.WriteHeader(http.StatusNotFound)
			case strings.Contains(string(m.Raw), `"wait"`):
				send := events(w)
				send(`data: {"jsonrpc":"2.0","id":"r","method":"roots/list"}`)
				started <- ""
				<-r.Context().Done()
			default: // cut, and taken up again
				send := events(w)
				send("id: 1\nretry: 1\ndata: ")
			}
		}
	}
	legacy := func(started chan<- string) http.Handler {
		f := &fakeRemote{t: t, session: "s1", call: stuck(started)}
		f.get = func(w http.ResponseWriter, r *http.Request) {
			send := events(w)
			if r.Header.Get("Last-Event-Id") != "" {
				send(`data: {"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"resumed"}}`)
				return
			}
			<-r.Context().Done()
		}
		return f
	}
	wait := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wait"}}`
	for _, c := range []struct {
		name string
		tls  bool
	}{{"plain", false}, {"tls", true}} {
		t.Run(c.name, func(t *testing.T) {
			started := make(chan string, 1)
			gate := &porter{inside: legacy(started), token: "t1", status: 401}
			srv := httptest.NewUnstartedServer(gate)
			var d *Dial
			if c.tls {
				srv.StartTLS()
				d = dialFor(srv.URL + "/mcp")
				d.Config.TLS.CA = filepath.Join(t.TempDir(), "ca.pem")
				if err := os.WriteFile(d.Config.TLS.CA, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
					t.Fatal(err)
				}
			} else {
				srv.Start()
				d = dialFor(srv.URL + "/mcp")
			}
			t.Cleanup(srv.Close)
			d.Config.Protocol = AutoProtocol
			var log strings.Builder
			l, err := signedIn(t, d, &purse{token: "t1"}, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))
			if err != nil {
				t.Fatal(err)
			}
			if m, err := l.Do(t.Context(), call(t)); err != nil || m.Kind != jsonrpc.Failure {
				t.Errorf("a call that is taken up again: %s, %v", m.Raw, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-started; gate.await(t, "POST answer"); cancel() }()
			if _, err := l.Do(ctx, request(t, wait)); !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
			gate.await(t, "POST notifications/cancelled")
			l.Close(t.Context())
			for _, want := range []string{
				"POST server/discover", "POST initialize", "POST notifications/initialized", "POST tools/call", "GET",
				"POST notifications/cancelled", "POST answer", "DELETE",
			} {
				gate.await(t, want)
			}
			for _, got := range gate.saw() {
				if !strings.HasSuffix(got, " Bearer t1") {
					t.Errorf("sent %q", got)
				}
			}
			if strings.Contains(log.String(), "t1") && strings.Contains(log.String(), "Bearer") {
				t.Errorf("logged %s", &log)
			}
		})
	}
	t.Run("modern", func(t *testing.T) {
		f := &fakeRemote{t: t, post: func(w http.ResponseWriter, r *http.Request, m jsonrpc.Message) bool {
			switch m.MethodName() {
			case "server/discover":
				reply(w, m, strings.Replace(discovered, `"tools":{}`, `"tools":{"listChanged":true}`, 1))
			case "subscriptions/listen":
				events(w)
				<-r.Context().Done()
			default:
				return false
			}
			return true
		}}
		gate := &porter{inside: f, token: "t1", status: 401}
		srv := httptest.NewServer(gate)
		t.Cleanup(srv.Close)
		d := dialFor(srv.URL + "/mcp")
		d.Config.Protocol = ModernProtocol
		l, err := signedIn(t, d, &purse{token: "t1"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Do(t.Context(), call(t)); err != nil {
			t.Fatal(err)
		}
		gate.await(t, "POST subscriptions/listen")
		l.Close(t.Context())
		for _, got := range gate.saw() {
			if !strings.HasSuffix(got, " Bearer t1") {
				t.Errorf("sent %q", got)
			}
		}
	})
	t.Run("sse", func(t *testing.T) {
		f := &fakeSSE{t: t, events: make(chan string, 10), end: make(chan struct{})}
		gate := &porter{inside: f, token: "t1", status: 401}
		srv := httptest.NewServer(gate)
		t.Cleanup(srv.Close)
		d := dialFor(srv.URL + "/sse")
		d.Config.Transport = SSE
		l, err := signedIn(t, d, &purse{token: "t0", next: []string{"t1"}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { gate.await(t, "POST tools/call"); cancel() }()
		if _, err := l.Do(ctx, request(t, wait)); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
		gate.await(t, "POST notifications/cancelled Bearer t1")
		for _, got := range gate.saw()[1:] { // the first stream was refused, and asked for again
			if !strings.HasSuffix(got, " Bearer t1") {
				t.Errorf("sent %q", got)
			}
		}
	})
}
