package oauth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

var robot = Config{Flow: ClientCredentials, ClientID: "robot", ClientSecret: "cs-robot"}

// machines is how many requests with client credentials the issuer got.
func (r *rig) machines() int { return len(r.as.Seen("token/client_credentials")) }

// A service account signs in by itself, once for all, and is renewed as others are.
func TestMachine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{Scopes: []string{"read"}}, robot)
		r.slow("/token", time.Second)
		s := r.Source(r.target, "ada")
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if got := r.must(s); got != "robot read" {
					t.Errorf("whoami: %q", got)
				}
			})
		}
		all.Wait()
		if n := r.machines(); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
		if seen := r.as.Seen("token")[0]; seen.Form.Get("resource") != r.mcp.URL {
			t.Errorf("asked for the resource %q", seen.Form.Get("resource"))
		}
		for _, call := range r.mcp.Calls() {
			if call.Method == "tools/call" && call.Status != http.StatusOK {
				t.Errorf("a call was answered %d", call.Status)
			}
		}
		time.Sleep(59*time.Minute + 30*time.Second)
		began := time.Now()
		r.must(s)
		if time.Since(began) != 0 {
			t.Error("waited for a renewal ahead")
		}
		time.Sleep(2 * time.Second)
		r.must(s)
		time.Sleep(2 * time.Hour)
		r.must(s)
		if n := r.machines(); n != 3 || r.count(Renewed) != 2 {
			t.Errorf("%d token requests and %d events, want 3 and 2", n, r.count(Renewed))
		}
		if len(r.store.accounts) != 0 {
			t.Error("its tokens are stored")
		}
		if st := r.State(Key{Upstream: "linear"}); !st.Signed || !st.Renewable || !slices.Equal(st.Scopes, []string{"read"}) {
			t.Errorf("state: %+v", st)
		}
	})
}

// One whose client proves who it is with a key.
func TestMachineKey(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{Flow: ClientCredentials, ClientID: "keyed", PrivateKey: file})
		r.as.Know(oauthtest.Client{ID: "keyed", Method: methodKey, Key: &key.PublicKey})
		if got := r.must(r.Source(r.target, "")); got != "keyed " {
			t.Errorf("whoami: %q", got)
		}
	})
}

// A token that is refused is replaced once, and one that should be good for more is
// asked for with more; what cannot be had is said, and the rest goes on.
func TestMachineRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := hour
		b.MaxScopes = []string{"read", "write"}
		r := newRig(t, b, oauthtest.Protection{
			Scopes: []string{"read"}, Needs: map[string][]string{"tools/call:echo": {"write"}, "tools/list": {"admin"}, "tools/call:erase": {"admin"}},
		}, robot)
		s := r.Source(r.target, "")
		r.must(s)
		r.as.ExpireAccess()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { r.must(s) })
		}
		all.Wait()
		if n := r.machines(); n != 2 {
			t.Errorf("%d token requests, want 2", n)
		}
		if _, err := r.call(s, "echo"); err != nil || r.must(s) != "robot read,write" {
			t.Errorf("a call that wants more: %v, %q", err, r.must(s))
		}
		if challenge, more := r.Wanted(Key{Upstream: "linear"}); challenge == nil || more != nil {
			t.Errorf("wanted, though it was had: %v", more)
		}
		r.mcp.Set(func(p *oauthtest.Protection) {
			p.Before = func(w http.ResponseWriter, req *http.Request) bool {
				w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="read"`)
				http.Error(w, "{}", http.StatusForbidden)
				return true
			}
		})
		if n := r.needs(s, "echo"); n.Why != MoreScope || r.machines() != 3 {
			t.Errorf("a server that wants what was granted: %+v, %d token requests", n, r.machines())
		}
		r.mcp.Set(func(p *oauthtest.Protection) { p.Before = nil })
		for range 3 {
			if n := r.needs(s, "erase"); n.Why != MoreScope || !slices.Equal(n.Scopes, []string{"read", "write", "admin"}) {
				t.Errorf("needs %+v", n)
			}
			if got := r.must(s); got != "robot read,write" {
				t.Errorf("whoami: %q", got)
			}
		}
		if n := r.machines(); n != 4 {
			t.Errorf("%d token requests, want one for what could not be had", n)
		}
		before := r.machines()
		r.mcp.Trust(oauthtest.NewIssuer(t, r.net, "https://strict.test", oauthtest.Behaviour{}))
		r.mcp.Set(func(p *oauthtest.Protection) {
			p.Edit = func(doc map[string]any) { doc["authorization_servers"] = []string{r.as.URL} }
		})
		for range 50 {
			if n := r.needs(s, "whoami"); n.Why != Rejected {
				t.Errorf("needs %+v", n)
			}
			time.Sleep(time.Second)
		}
		if n := r.machines() - before; n > 6 {
			t.Errorf("%d token requests in 50 s of refusals", n)
		}
	})
}

// An issuer that gives the same token again has no other.
func TestMachineSameToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, robot)
		r.as.Set(func(b *oauthtest.Behaviour) {
			b.Before = func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path == "/token" {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write([]byte(`{"access_token":"at-same","token_type":"Bearer","expires_in":3600}`))
				}
				return req.URL.Path == "/token"
			}
		})
		s := r.Source(r.target, "")
		if n := r.needs(s, "whoami"); n.Why != Rejected || r.machines() != 2 || r.count(Needed) != 1 {
			t.Errorf("needs %+v after %d token requests", n, r.machines())
		}
		if n := slices.DeleteFunc(r.mcp.Calls(), func(c oauthtest.Call) bool { return c.Method != "tools/call" }); len(n) != 1 {
			t.Errorf("%d calls, want 1", len(n))
		}
	})
}

// After a failure the endpoints are looked for again: they may have moved.
func TestMachineMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, robot)
		s := r.Source(r.target, "")
		r.must(s)
		time.Sleep(2 * time.Hour)
		r.status(http.StatusNotFound)
		if _, err := r.call(s, "whoami"); err == nil {
			t.Error("a token from nowhere")
		}
		r.status(0)
		before := len(r.as.Seen("metadata"))
		time.Sleep(retry)
		r.must(s)
		if n := len(r.as.Seen("metadata")) - before; n != 1 {
			t.Errorf("the metadata was fetched %d times, want 1", n)
		}
	})
}

// A client that the issuer does not know is said so, and the issuer is left alone.
func TestMachineUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := robot
		c.ClientSecret = "cs-wrong"
		r := newRig(t, hour, oauthtest.Protection{}, c)
		s := r.Source(r.target, "")
		for range 9 {
			if n := r.needs(s, "whoami"); n.Why != BadClient || n.Issuer != r.as.URL {
				t.Errorf("needs %+v", n)
			}
			time.Sleep(time.Second)
		}
		if n := r.machines(); n != 1 || r.count(Needed) != 1 {
			t.Errorf("%d token requests, %d events", n, r.count(Needed))
		}
		r.as.Know(oauthtest.Client{ID: "robot", Secret: "cs-wrong", Method: methodBasic})
		time.Sleep(hold)
		r.must(s)
	})
}

// A server that relies on another issuer now is signed in to there by a machine, and
// needs a sign-in where a person is.
func TestIssuerMoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		a := r.signIn("")
		m := *r.target
		m.Upstream, m.Config = "machine", robot
		s, auto := r.Source(r.target, ""), r.Source(&m, "")
		r.must(s)
		r.must(auto)
		other := oauthtest.NewIssuer(t, r.net, "https://other.test", hour)
		other.Know(oauthtest.Client{ID: "robot", Secret: "cs-robot", Method: methodBasic})
		r.mcp.Trust(other)
		if n := r.needs(s, "whoami"); n.Why != IssuerChanged || n.Issuer != other.URL {
			t.Errorf("needs %+v", n)
		}
		if challenge, _ := r.Wanted(a.Key); !strings.Contains(challenge.Get("WWW-Authenticate"), "resource_metadata") {
			t.Errorf("wanted: %v", challenge)
		}
		for _, seen := range other.Seen("token") {
			if seen.Form.Get("refresh_token") != "" {
				t.Error("the new issuer was given a refresh token of the old one")
			}
		}
		if got := r.must(auto); got != "robot " {
			t.Errorf("the machine: %q", got)
		}
	})
}
