package oauth

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// swap exchanges what principals come with at the issuer of newRig.
var swap = Config{Per: PerPrincipal, Exchange: true, Issuer: "https://as.test", ClientID: "robot", ClientSecret: "cs-robot"}

func (r *rig) exchanges() int { return len(r.as.Seen("token/" + grantExchange)) }

// The token of a principal is exchanged before anybody is asked to sign in, and again
// when what came of it expires. Nothing of it is stored.
func TestExchange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{Scopes: []string{"read"}, Needs: map[string][]string{"tools/call:echo": {"write"}}}, swap)
		r.Present("ada", "at-ada", time.Now().Add(90*time.Minute))
		ada, bob := r.Source(r.target, "ada"), r.Source(r.target, "bob")
		if got := r.must(ada); got != "exchanged:at-ada read" {
			t.Errorf("whoami: %q", got)
		}
		if n := r.needs(bob, "whoami"); n.Why != NotSignedIn || n.Principal != "bob" {
			t.Errorf("bob, who has not come: %+v", n)
		}
		if n := r.needs(r.Source(r.target, ""), "whoami"); n.Why != NotSignedIn {
			t.Errorf("the gateway itself: %+v", n)
		}
		if _, err := r.call(ada, "echo"); err != nil {
			t.Errorf("a call that wants more: %v", err)
		}
		if n := r.exchanges(); n != 2 {
			t.Errorf("%d exchanges, want 2", n)
		}
		time.Sleep(59*time.Minute + 30*time.Second)
		r.slow("/token", time.Second)
		began := time.Now()
		if r.must(ada); time.Since(began) != 0 {
			t.Error("waited for an exchange ahead of the end")
		}
		time.Sleep(90 * time.Second)
		if n := r.exchanges(); n != 3 {
			t.Errorf("%d exchanges, want 3", n)
		}
		if got := r.must(ada); got != "exchanged:at-ada read,write" {
			t.Errorf("whoami: %q", got)
		}
		time.Sleep(61 * time.Minute) // now the principal's own token has expired too
		if n := r.needs(ada, "whoami"); n.Why != NotSignedIn {
			t.Errorf("needs %+v", n)
		}
		r.Present("ada", "at-ada2", time.Now().Add(time.Hour))
		time.Sleep(hold)
		if got := r.must(ada); got != "exchanged:at-ada2 read" {
			t.Errorf("whoami: %q", got)
		}
		if len(r.store.accounts) != 0 {
			t.Error("exchanged tokens are stored")
		}
		a := r.signIn("ada", "all")
		if got := r.must(ada); got != "somebody all" || r.header(ada) != a.header() {
			t.Errorf("a sign-in of the principal's own: %q", got)
		}
	})
}

// A principal's token goes to the configured issuer alone, and only if it exchanges;
// else a person is asked.
func TestNoExchange(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"no issuer configured": func(r *rig) { r.target.Config.Issuer = "" },
		"not asked for":        func(r *rig) { r.target.Config.Exchange = false },
		"no client":            func(r *rig) { r.target.Config.ClientID, r.target.Config.ClientSecret = "", "" },
		"not offered": func(r *rig) {
			r.as.Set(func(b *oauthtest.Behaviour) {
				b.Edit = func(doc map[string]any) { doc["grant_types_supported"] = []string{"authorization_code"} }
			})
		},
		"expired": func(r *rig) { time.Sleep(2 * time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, hour, oauthtest.Protection{}, swap)
				r.Present("ada", "at-ada", time.Now().Add(time.Hour))
				change(r)
				if n := r.needs(r.Source(r.target, "ada"), "whoami"); n.Why != NotSignedIn {
					t.Errorf("needs %+v", n)
				}
				if n := len(r.as.Seen("token")); n != 0 {
					t.Errorf("%d token requests, want none", n)
				}
			})
		})
	}
	t.Run("refused", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t, hour, oauthtest.Protection{}, swap)
			r.as.Set(func(b *oauthtest.Behaviour) {
				b.Before = func(w http.ResponseWriter, req *http.Request) bool {
					if req.URL.Path == "/token" {
						w.Header().Set("Content-Type", "application/json")
						w.WriteHeader(http.StatusBadRequest)
						fmt.Fprintf(w, `{"error":"invalid_request","error_description":"not %s"}`, "at-ada")
					}
					return req.URL.Path == "/token"
				}
			})
			r.Present("ada", "at-ada", time.Now().Add(time.Hour))
			s := r.Source(r.target, "ada")
			for range 5 {
				if n := r.needs(s, "whoami"); n.Why != NotSignedIn {
					t.Errorf("needs %+v", n)
				}
				time.Sleep(time.Second)
			}
			if r.count(Failed) != 1 || r.exchanges() != 1 {
				t.Errorf("%d exchanges, events: %+v", r.exchanges(), r.events)
			}
			r.as.Set(func(b *oauthtest.Behaviour) { b.Before = nil })
			r.Present("ada", "at-ada2", time.Now().Add(time.Hour))
			time.Sleep(hold)
			if got := r.must(s); got != "exchanged:at-ada2 " {
				t.Errorf("another token of the same principal: %q", got)
			}
		})
	})
}

// However many principals come, what is kept of them is bounded.
func TestSubjectsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := subjects{of: map[string]subject{}}
		for i := range maxSubjects {
			s.put(fmt.Sprint(i), subject{"at-x", time.Now().Add(time.Duration(1+i%2) * time.Hour)})
		}
		time.Sleep(90 * time.Minute)
		s.put("new", subject{token: "at-x"})
		if n := len(s.of); n != maxSubjects/2+1 {
			t.Errorf("%d are kept, want those that have not expired", n)
		}
		for i := range 2 * maxSubjects {
			name := fmt.Sprint("more", i)
			s.put(name, subject{token: "at-x"})
			if len(s.of) > maxSubjects || s.get(name).token == "" {
				t.Fatalf("%d are kept, want %d at most, and the last one", len(s.of), maxSubjects)
			}
		}
	})
}
