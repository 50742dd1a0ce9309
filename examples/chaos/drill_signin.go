package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// guarded makes a server for each time that the fault is injected, before each of
// which is an entrance: a token that was just renewed is not renewed again for a while.
func guarded(s *stand) error {
	if err := s.fail(s.times, kind{remote: true}, map[string]any{
		"auth": map[string]any{"flow": "client_credentials", "client_id": "drill", "client_secret": "none of anybody's"},
	}); err != nil {
		return err
	}
	for _, p := range s.sick {
		p.guard(&entrance{inside: p.fake, origin: "http://" + p.proxy.address()})
	}
	return nil
}

// turnedAway: the token of 50 clients is not taken any more while they call.
func turnedAway(ctx context.Context, s *stand) error {
	clients, err := s.connected(ctx, 50)
	if err != nil {
		return err
	}
	ok, renewals := 0, 0
	for n, p := range s.sick {
		if err := s.state(ctx, p, "running"); err != nil {
			return err
		}
		for _, c := range clients { // each has its session
			s.sickCall(ctx, c, p, 2*n)
		}
		before := p.entrance.revoke()
		s.row.Injected++
		var mu sync.Mutex
		var work sync.WaitGroup
		for _, c := range clients {
			work.Go(func() {
				if s.sickCall(ctx, c, p, 2*n+1) == answered {
					mu.Lock()
					defer mu.Unlock()
					ok++
				}
			})
		}
		work.Wait()
		renewals += p.entrance.granted() - before
	}
	s.exactly("renewals", renewals, s.times)
	if ok != 50*s.times {
		s.missed("%d of %d answered", ok, 50*s.times)
	}
	return nil
}

// entrance lets requests with its token through to a server, and is the authorization
// server that gives the token.
type entrance struct {
	inside http.Handler
	origin string

	mu      sync.Mutex // guards the rest
	grants  int        // tokens that were given
	revoked bool       // the last of them
}

// revoke makes the token void, and returns how many there were.
func (e *entrance) revoke() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.revoked = true
	return e.grants
}

func (e *entrance) granted() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.grants
}

// grant gives another token.
func (e *entrance) grant() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.grants++
	e.revoked = false
	return fmt.Sprint("token-", e.grants)
}

// opens reports whether a header is that of the token.
func (e *entrance) opens(header string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.revoked && header == fmt.Sprint("Bearer token-", e.grants)
}

// ServeHTTP implements http.Handler.
func (e *entrance) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.well-known/oauth-protected-resource/mcp":
		say(w, map[string]any{"resource": e.origin + "/mcp", "authorization_servers": []string{e.origin}})
	case "/.well-known/oauth-authorization-server":
		say(w, map[string]any{
			"issuer": e.origin, "authorization_endpoint": e.origin + "/authorize", "token_endpoint": e.origin + "/token",
			"response_types_supported": []string{"code"}, "code_challenge_methods_supported": []string{"S256"},
			"grant_types_supported": []string{"client_credentials"}, "token_endpoint_auth_methods_supported": []string{"client_secret_post"},
		})
	case "/token":
		say(w, map[string]any{"access_token": e.grant(), "token_type": "Bearer", "expires_in": 3600})
	default:
		if e.opens(r.Header.Get("Authorization")) {
			e.inside.ServeHTTP(w, r)
			return
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer error="invalid_token", resource_metadata=%q`, e.origin+"/.well-known/oauth-protected-resource/mcp"))
		w.WriteHeader(http.StatusUnauthorized)
	}
}

func say(w http.ResponseWriter, document map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // whoever asked is gone
}
