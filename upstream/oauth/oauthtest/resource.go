package oauthtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Resource is an MCP server over HTTP, of revision 2025-11-25 and without streams, that
// takes the tokens of an Issuer: it has the tools whoami, which says whose token it was
// called with, and echo.
type Resource struct {
	// URL is the address of its MCP endpoint.
	URL string

	mu     sync.Mutex // guards all below
	p      Protection
	issuer *Issuer
	calls  []Call
}

// Protection is how a Resource is protected. The zero value is as the specification
// has it: everything wants a token, the challenge names the metadata, which is at the
// well-known path.
type Protection struct {
	// Metadata is the path of the protected resource metadata: "" is the well-known one
	// with the endpoint's path, "/.well-known/oauth-protected-resource" that of the
	// root, "none" that there is none.
	Metadata string
	// Edit changes the metadata, to lie in it.
	Edit func(doc map[string]any)
	// Challenge is the whole header WWW-Authenticate of a 401, "" for the usual one,
	// "none" for none. Unnamed leaves the metadata out of the usual one.
	Challenge string
	Unnamed   bool
	// Scopes are named in the challenge of a 401, Supported in the metadata.
	Scopes, Supported []string
	// Needs are the scopes that methods want, by method or, for calls, "tools/call:NAME":
	// a token without them is answered 403.
	Needs map[string][]string
	// Open are methods that want no token, written as in Needs.
	Open []string
	// AnyResource takes tokens of the issuer that were meant for other servers.
	AnyResource bool
	// Before is asked first for each request; true says that it has answered.
	Before func(w http.ResponseWriter, r *http.Request) bool
}

// Call is a request to the MCP endpoint.
type Call struct {
	Method string // of HTTP for those that are no POST, else of JSON-RPC
	Token  string
	Status int
}

// NewResource returns a server in n at the address, for example "https://mcp.test/mcp".
func NewResource(tb testing.TB, n *Net, address string, issuer *Issuer, p Protection) *Resource {
	tb.Helper()
	u, err := url.Parse(address)
	if err != nil {
		tb.Fatal(err)
	}
	s := &Resource{URL: address, issuer: issuer, p: p}
	n.Handle(u.Host, s)
	return s
}

// StartResource returns a server on a port of loopback, at the path /mcp, until the
// test ends.
func StartResource(tb testing.TB, issuer *Issuer, p Protection) *Resource {
	tb.Helper()
	s := &Resource{issuer: issuer, p: p}
	srv := httptest.NewUnstartedServer(s)
	s.URL = "http://" + srv.Listener.Addr().String() + "/mcp"
	srv.Start() // no sooner: s answers with its URL
	tb.Cleanup(srv.Close)
	return s
}

// Set changes the protection from now on.
func (s *Resource) Set(change func(*Protection)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.p)
}

// Trust makes another issuer the one whose tokens are taken: a changed authorization
// server.
func (s *Resource) Trust(issuer *Issuer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issuer = issuer
}

// Calls returns the requests to the MCP endpoint so far.
func (s *Resource) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// ServeHTTP implements http.Handler.
func (s *Resource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	p, issuer := s.p, s.issuer
	s.mu.Unlock()
	if p.Before != nil && p.Before(w, r) {
		return
	}
	at, _ := url.Parse(s.URL)
	switch r.URL.Path {
	case at.Path:
		s.serve(w, r, p, issuer)
	case metadataPath(p, at):
		resource := s.URL
		if p.Metadata == wellKnown {
			resource = at.Scheme + "://" + at.Host
		}
		doc := map[string]any{"resource": resource, "authorization_servers": []string{issuer.URL}, "bearer_methods_supported": []string{"header"}}
		if p.Supported != nil {
			doc["scopes_supported"] = p.Supported
		}
		if p.Edit != nil {
			p.Edit(doc)
		}
		answer(w, http.StatusOK, doc)
	default:
		http.NotFound(w, r)
	}
}

const wellKnown = "/.well-known/oauth-protected-resource"

func metadataPath(p Protection, at *url.URL) string {
	if p.Metadata == "" {
		return wellKnown + at.Path
	}
	return p.Metadata
}

// serve answers the MCP endpoint.
func (s *Resource) serve(w http.ResponseWriter, r *http.Request, p Protection, issuer *Issuer) {
	msg, method := read(r)
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	g := issuer.valid(token)
	if g != nil && !p.AnyResource && !s.named(g.resource) {
		g = nil
	}
	status, missing := http.StatusOK, []string(nil)
	if g == nil && !slices.Contains(p.Open, method) && !slices.Contains(p.Open, method+":"+msg.Params.Name) {
		status = http.StatusUnauthorized
	}
	if g != nil {
		for _, x := range slices.Concat(p.Needs[method], p.Needs[method+":"+msg.Params.Name]) {
			if !slices.Contains(g.scopes, x) {
				status, missing = http.StatusForbidden, append(missing, x)
			}
		}
	}
	s.mu.Lock()
	s.calls = append(s.calls, Call{method, token, status})
	s.mu.Unlock()
	if status != http.StatusOK {
		if c := s.challenge(p, token, missing); c != "none" {
			w.Header().Set("WWW-Authenticate", c)
		}
		answer(w, status, map[string]any{"error": "see WWW-Authenticate"})
		return
	}
	switch {
	case r.Method == http.MethodDelete:
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method != http.MethodPost: // it has no streams
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case len(msg.ID) == 0:
		w.WriteHeader(http.StatusAccepted)
		return
	}
	result, fault := msg.reply(g)
	out := map[string]any{"jsonrpc": "2.0", "id": msg.ID}
	if fault != nil {
		out["error"] = fault
	} else {
		out["result"] = result
	}
	answer(w, http.StatusOK, out)
}

func (s *Resource) named(resource string) bool {
	return resource != "" && (s.URL == resource || strings.HasPrefix(s.URL, strings.TrimSuffix(resource, "/")+"/"))
}

// challenge is WWW-Authenticate of a 401, or of a 403 for want of scopes.
func (s *Resource) challenge(p Protection, token string, missing []string) string {
	if p.Challenge != "" && missing == nil {
		return p.Challenge
	}
	var params []string
	switch {
	case missing != nil:
		params = append(params, `error="insufficient_scope"`, fmt.Sprintf("scope=%q", strings.Join(missing, " ")))
	case token != "":
		params = append(params, `error="invalid_token"`)
	}
	if missing == nil && len(p.Scopes) > 0 {
		params = append(params, fmt.Sprintf("scope=%q", strings.Join(p.Scopes, " ")))
	}
	if at, _ := url.Parse(s.URL); !p.Unnamed && p.Metadata != "none" {
		params = append(params, fmt.Sprintf("resource_metadata=%q", at.Scheme+"://"+at.Host+metadataPath(p, at)))
	}
	return strings.TrimSpace("Bearer " + strings.Join(params, ", "))
}

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name            string         `json:"name"`
		ProtocolVersion string         `json:"protocolVersion"`
		Arguments       map[string]any `json:"arguments"`
	} `json:"params"`
}

func read(r *http.Request) (message, string) {
	var m message
	if r.Method != http.MethodPost {
		return m, r.Method
	}
	b, _ := io.ReadAll(r.Body)
	_ = json.Unmarshal(b, &m) // a method that is not there is answered as unknown
	return m, m.Method
}

// reply is the result of a request, or its error.
func (m *message) reply(g *sign) (result, fault any) {
	schema := map[string]any{"type": "object"}
	switch m.Method {
	case "initialize":
		version := m.Params.ProtocolVersion
		if !slices.Contains([]string{"2025-03-26", "2025-06-18", "2025-11-25"}, version) {
			version = "2025-11-25"
		}
		return map[string]any{"protocolVersion": version, "capabilities": map[string]any{"tools": map[string]any{}}, "serverInfo": map[string]any{"name": "oauthtest", "version": "1"}}, nil
	case "ping":
		return map[string]any{}, nil
	case "tools/list":
		return map[string]any{"tools": []any{
			map[string]any{"name": "whoami", "description": "whose token this is", "inputSchema": schema},
			map[string]any{"name": "echo", "description": "what it was given", "inputSchema": schema},
		}}, nil
	case "tools/call":
		text := fmt.Sprint(m.Params.Arguments["text"])
		if m.Params.Name == "whoami" && g != nil {
			text = g.subject + " " + strings.Join(g.scopes, ",")
		}
		return map[string]any{"content": []any{map[string]any{"type": "text", "text": text}}}, nil
	default:
		return nil, map[string]any{"code": -32601, "message": "Method not found"}
	}
}
