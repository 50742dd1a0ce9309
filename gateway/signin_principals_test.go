package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// members is an MCP server of either era that knows who has which token, and says so.
type members struct {
	modern bool

	mu    sync.Mutex // guards the rest
	known map[string]string
	calls map[string]int // of tools, by token
}

func (s *members) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var m struct {
		ID     json.RawMessage
		Method string
		Params struct{ Arguments struct{ As string } }
	}
	_ = json.NewDecoder(r.Body).Decode(&m) // a GET has none
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	who, ok := s.known[token]
	if m.Method == "tools/call" {
		s.calls[token]++
	}
	s.mu.Unlock()
	var result string
	switch {
	case !ok:
		w.Header().Set("WWW-Authenticate", `Bearer scope="all"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	case r.Method != http.MethodPost:
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	case m.ID == nil:
		w.WriteHeader(http.StatusAccepted)
		return
	case m.Method == "server/discover" && s.modern:
		result = `{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"m","version":"1"}}`
	case m.Method == "initialize" && !s.modern:
		w.Header().Set("Mcp-Session-Id", "s"+strconv.FormatInt(time.Now().UnixNano(), 36))
		result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"m","version":"1"}}`
	case m.Method == "tools/list":
		result = `{"resultType":"complete","ttlMs":0,"cacheScope":"private","tools":[{"name":"whoami","inputSchema":{"type":"object"}}]}`
	case m.Method == "tools/call":
		text := who
		if m.Params.Arguments.As != who {
			text = "MIXED UP: " + m.Params.Arguments.As + " as " + who
		}
		result = `{"resultType":"complete","content":[{"type":"text","text":"` + text + `"}]}`
	case m.Method == "ping":
		result = "{}"
	default:
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`, m.ID)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, result)
}

// plant keeps an account with a token for a principal that has a key, "" for the
// gateway.
func plant(t *testing.T, kept oauth.Store, at, principal, token string) {
	t.Helper()
	key := ""
	if principal != "" {
		key = identity.Issuer + "\x00" + principal
	}
	if err := kept.Put(t.Context(), &oauth.Account{
		Key: oauth.Key{Upstream: "up", Principal: key}, Issuer: "https://as.example", Resource: at,
		AccessToken: oauth.Secret(token), Obtained: time.Now(), Expires: time.Now().Add(time.Hour),
	}); err != nil {
		t.Fatal(err)
	}
}

// Where principals sign in for themselves each one's calls go with its own token and
// no other, to servers of both eras, from clients of both.
func TestPrincipalsUseTheirOwnTokens(t *testing.T) {
	for _, modern := range []bool{false, true} {
		t.Run(fmt.Sprintf("modern %v", modern), func(t *testing.T) {
			s := &members{modern: modern, known: map[string]string{"tok-own": "gateway", "tok-a": "alice", "tok-b": "bob"}, calls: map[string]int{}}
			srv := httptest.NewServer(s)
			t.Cleanup(srv.Close)
			cfg := settings(t, "up=http")
			cfg.Upstreams[0].URL, cfg.Upstreams[0].Auth.Per = srv.URL+"/mcp", oauth.PerPrincipal
			keys := keyed(cfg, "alice", "bob", "carol")
			kept := kept(t)
			plant(t, kept, srv.URL+"/mcp", "", "tok-own")
			plant(t, kept, srv.URL+"/mcp", "alice", "tok-a")
			plant(t, kept, srv.URL+"/mcp", "bob", "tok-b")
			r := startWith(t, cfg, Options{SignIns: kept}).running()
			const each = 25
			var all sync.WaitGroup
			for _, who := range []string{"alice", "bob"} {
				old := (&client{r: r, path: "/mcp", version: "2025-11-25", key: keys[who]}).begin("{}")
				fresh := r.caller("{}")
				fresh.key = keys[who]
				for i := range each {
					all.Go(func() {
						has(t, who, old.post(calls(strconv.Itoa(i+1), "up__whoami", `{"as":"`+who+`"}`)).body, `"text":"`+who+`"`)
						has(t, who, fresh.call("tools/call", `{"name":"up__whoami","arguments":{"as":"`+who+`"}}`).body, `"text":"`+who+`"`)
					})
				}
			}
			all.Wait()
			s.mu.Lock()
			if s.calls["tok-a"] != 2*each || s.calls["tok-b"] != 2*each || s.calls["tok-own"] != 0 || s.calls[""] != 0 || len(s.calls) != 2 {
				t.Errorf("calls by token: %v", s.calls)
			}
			s.mu.Unlock()

			// Who has no sign-in gets nobody else's, and is offered one of its own.
			carol := (&client{r: r, path: "/mcp", version: "2025-11-25", key: keys["carol"]}).begin(`{"elicitation":{"url":{}}}`)
			at := pageIn(t, <-carol.told(calls("1", "up__whoami", `{"as":"carol"}`)))
			has(t, "carol's page", newBrowser(t).visit(at).body, "carol, through Interlock", "and are carol")
			plain := (&client{r: r, path: "/mcp", version: "2025-11-25", key: keys["carol"]}).begin(`{}`)
			has(t, "carol without links", plain.post(calls("1", "up__whoami", `{"as":"carol"}`)).body, `"reason":"needs_auth"`, "a client that can open links")
			s.mu.Lock()
			s.known["tok-c"] = "carol"
			s.mu.Unlock()
			plant(t, kept, srv.URL+"/mcp", "carol", "tok-c")
			for _, o := range r.SignedIn(t.Context(), admin.Order{Names: []string{"up"}, Wait: true}) {
				if !o.OK {
					t.Errorf("%+v", o)
				}
			}
			has(t, "carol", plain.post(calls("2", "up__whoami", `{"as":"carol"}`)).body, `"text":"carol"`)
		})
	}
}

// A principal whose sign-in ends is alone in that.
func TestPrincipalSignsOut(t *testing.T) {
	s := &members{known: map[string]string{"tok-own": "gateway", "tok-a": "alice", "tok-b": "bob"}, calls: map[string]int{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	cfg := settings(t, "up=http")
	cfg.Upstreams[0].URL, cfg.Upstreams[0].Auth.Per = srv.URL+"/mcp", oauth.PerPrincipal
	keys := keyed(cfg, "alice", "bob")
	kept := kept(t)
	for who, token := range map[string]string{"": "tok-own", "alice": "tok-a", "bob": "tok-b"} {
		plant(t, kept, srv.URL+"/mcp", who, token)
	}
	r := startWith(t, cfg, Options{SignIns: kept}).running()
	alice, bob := r.as(keys["alice"]), r.as(keys["bob"])
	has(t, "alice", alice.post(calls("1", "up__whoami", `{"as":"alice"}`)).body, `"text":"alice"`)
	s.mu.Lock()
	delete(s.known, "tok-a") // the server takes it no more
	s.mu.Unlock()
	got := alice.post(calls("2", "up__whoami", `{"as":"alice"}`))
	has(t, "alice", got.body, `"reason":"needs_auth"`)
	if got.status != http.StatusOK {
		t.Errorf("the server's 401 became %d", got.status)
	}
	has(t, "bob", bob.post(calls("1", "up__whoami", `{"as":"bob"}`)).body, `"text":"bob"`)
	if st := r.set.Upstream("up").Status(); st.State != "running" {
		t.Errorf("the upstream is %s", st.State)
	}
}

// Nobody's account is used where the configuration changes from one for all to one
// each.
func TestAccountsAfterAReload(t *testing.T) {
	s := &members{known: map[string]string{"tok-own": "gateway", "tok-a": "alice"}, calls: map[string]int{}}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	cfg := settings(t, "up=http")
	cfg.Upstreams[0].URL = srv.URL + "/mcp"
	keys := keyed(cfg, "alice")
	kept := kept(t)
	plant(t, kept, srv.URL+"/mcp", "", "tok-own")
	plant(t, kept, srv.URL+"/mcp", "alice", "tok-a")
	r := startWith(t, cfg, Options{SignIns: kept}).running()
	alice := r.as(keys["alice"])
	has(t, "shared", alice.post(calls("1", "up__whoami", `{"as":"gateway"}`)).body, `"text":"gateway"`)
	next := *cfg
	next.Upstreams = append(next.Upstreams[:0:0], cfg.Upstreams...)
	next.Upstreams[0].Auth.Per = oauth.PerPrincipal
	generation := r.set.Upstream("up").Status().Generation
	if _, err := r.Apply(t.Context(), &next); err != nil {
		t.Fatal(err)
	}
	r.until(func() bool { return r.set.Upstream("up").Status().Generation != generation }).running()
	has(t, "one each", alice.post(calls("2", "up__whoami", `{"as":"alice"}`)).body, `"text":"alice"`)
}
