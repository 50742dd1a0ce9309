package oauthtest

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A handler that waits ends with the request, and one that never ends with its reader.
func TestNetEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n Net
		n.Handle("slow.test", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
		n.Handle("endless.test", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := io.WriteString(w, strings.Repeat("x", 1000)); err != nil {
					return
				}
			}
		}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://slow.test/", nil)
		if _, err := n.Client().Do(req); err == nil {
			t.Error("a request to a handler that waits ended without an error")
		}
		req, _ = http.NewRequestWithContext(t.Context(), http.MethodGet, "https://endless.test/", nil)
		resp, err := n.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(resp.Body, make([]byte, 2500)); err != nil {
			t.Error(err)
		}
		resp.Body.Close()
		if _, err := n.Client().Get("https://nowhere.test/"); err == nil {
			t.Error("a host that is not there answered")
		}
	})
}

// Without a token the server challenges, with one of its issuer it answers.
func TestResource(t *testing.T) {
	var n Net
	as := NewIssuer(t, &n, "https://as.test", Behaviour{})
	mcp := NewResource(t, &n, "https://mcp.test/mcp", as, Protection{Scopes: []string{"read"}})
	as.Know(Client{ID: "me", Secret: "s", Method: "client_secret_post"})
	post := func(address, kind, token, body string) (*http.Response, string) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, address, strings.NewReader(body))
		req.Header.Set("Content-Type", kind)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := n.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp, string(b)
	}
	call := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"whoami"}}`
	resp, _ := post(mcp.URL, "application/json", "", call)
	want := `Bearer scope="read", resource_metadata="https://mcp.test/.well-known/oauth-protected-resource/mcp"`
	if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != http.StatusUnauthorized || got != want {
		t.Errorf("without a token: %d %s, want %s", resp.StatusCode, got, want)
	}
	_, body := post("https://as.test/token", "application/x-www-form-urlencoded", "", "grant_type=client_credentials&client_id=me&client_secret=s&scope=read&resource="+mcp.URL)
	_, token, _ := strings.Cut(body, `"access_token":"`)
	token, _, _ = strings.Cut(token, `"`)
	if resp, body = post(mcp.URL, "application/json", token, call); resp.StatusCode != http.StatusOK || !strings.Contains(body, "me read") {
		t.Errorf("with a token: %d %s", resp.StatusCode, body)
	}
	as.ExpireAccess()
	if resp, _ = post(mcp.URL, "application/json", token, call); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("with a token that has expired: %d", resp.StatusCode)
	}
}
