package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

var hour = oauthtest.Behaviour{Lifetime: time.Hour, Rotate: true}

// slow has the issuer take its time over requests to an endpoint.
func (r *rig) slow(path string, d time.Duration) {
	r.as.Set(func(b *oauthtest.Behaviour) {
		b.Before = func(_ http.ResponseWriter, req *http.Request) bool {
			if req.URL.Path == path {
				select {
				case <-time.After(d):
				case <-req.Context().Done():
				}
			}
			return false
		}
	})
}

// status has the issuer's token endpoint answer with a status, 0 for as it should.
func (r *rig) status(code int) {
	r.as.Set(func(b *oauthtest.Behaviour) {
		b.Before = func(w http.ResponseWriter, req *http.Request) bool {
			if code == 0 || req.URL.Path != "/token" {
				return false
			}
			http.Error(w, "oops at-planted rt-planted", code)
			return true
		}
	})
}

// Before a token expires the next request has it renewed, and does not wait.
func TestRenewsAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		r.header(s)
		time.Sleep(59*time.Minute - time.Second)
		if r.header(s) != first.header() {
			t.Fatal("not the token that is valid")
		}
		if synctest.Wait(); r.refreshes() != 0 {
			t.Fatal("renewed early")
		}
		r.slow("/token", 5*time.Second)
		time.Sleep(2 * time.Second)
		began := time.Now()
		for range 10 {
			if r.header(s) != first.header() {
				t.Fatal("not the token that is still valid")
			}
		}
		if waited := time.Since(began); waited != 0 {
			t.Errorf("waited %s for a renewal ahead", waited)
		}
		time.Sleep(6 * time.Second)
		if r.header(s) == first.header() {
			t.Error("the old token, though it was renewed")
		}
		if got := r.must(s); got != "somebody " {
			t.Errorf("whoami: %q", got)
		}
		if n := r.refreshes(); n != 1 || r.count(Renewed) != 1 {
			t.Errorf("%d token requests and %d events, want 1", n, r.count(Renewed))
		}
	})
}

// However long a renewal takes, no token that has expired is sent.
func TestNeverExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		r.header(s)
		r.slow("/token", 5*time.Second)
		time.Sleep(time.Hour - time.Millisecond)
		if r.header(s) != first.header() {
			t.Error("not the token that is still valid")
		}
		time.Sleep(time.Millisecond)
		if r.header(s) == first.header() {
			t.Error("a token that has expired")
		}
	})
}

// Who comes while there is no valid token waits for the one request that is made.
func TestOneRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		r.header(s)
		time.Sleep(2 * time.Hour)
		r.slow("/token", 3*time.Second)
		reads := r.store.reads

		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Authorization(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the caller who began it: %v", err)
		}
		var all sync.WaitGroup
		var got sync.Map
		for range 50 {
			all.Go(func() {
				h, err := s.Authorization(t.Context())
				if err != nil {
					t.Error(err)
				}
				got.Store(h, true)
				if text := r.must(s); text != "somebody " {
					t.Errorf("whoami: %q", text)
				}
			})
		}
		all.Wait()
		n := 0
		got.Range(func(h, _ any) bool { n++; return h != first.header() })
		if n != 1 || r.refreshes() != 1 {
			t.Errorf("%d headers, %d token requests, want 1", n, r.refreshes())
		}
		if n := r.store.reads - reads; n > 2 {
			t.Errorf("the store was read %d times, want no more than before and after it is locked", n)
		}
	})
}

// 50 calls that are refused with one token are one renewal too; a refusal that comes
// late is none.
func TestRefusedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		r.must(s)
		r.as.ExpireAccess()
		r.slow("/token", time.Second)
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { r.must(s) })
		}
		all.Wait()
		reads := r.store.reads
		if err := s.Refused(t.Context(), first.header(), http.StatusUnauthorized, http.Header{}); err != nil || r.store.reads != reads {
			t.Errorf("a late refusal: %v, %d reads", err, r.store.reads-reads)
		}
		if n := r.refreshes(); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
	})
}

// While the issuer is down, the token goes on until it expires; then requests fail
// with an error that is no need of a sign-in, and the issuer is asked once a second.
func TestIssuerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		time.Sleep(59*time.Minute + time.Second)
		r.status(http.StatusServiceUnavailable)
		for range 58 * 4 {
			if r.header(s) != first.header() {
				t.Fatal("not the token that is still valid")
			}
			time.Sleep(time.Second / 4)
		}
		// Each failure is two requests, a second apart, and a second of rest.
		if n := r.refreshes(); n < 50 || n > 60 {
			t.Errorf("%d token requests in 58 s, want about one a second", n)
		}
		if st := r.State(first.Key); !st.Signed || !st.Renewable || st.Needs != nil || !strings.Contains(st.Err, "503") {
			t.Errorf("state: %+v", st)
		}
		time.Sleep(999 * time.Millisecond)
		if r.header(s) != first.header() {
			t.Fatal("not the token that is still valid")
		}
		time.Sleep(500 * time.Millisecond)
		if h, err := s.Authorization(t.Context()); err == nil {
			t.Errorf("a token that has expired, %t", h == first.header())
		}
		time.Sleep(3 * time.Second)
		before := r.refreshes()
		for range 20 {
			_, err := r.call(s, "whoami")
			var n *NeedsAuth
			if err == nil || errors.As(err, &n) {
				t.Errorf("expired while the issuer is down: %v", err)
			}
		}
		if n := r.refreshes() - before; n != 2 {
			t.Errorf("%d token requests of 20 calls at once, want 2", n)
		}
		other := r.newProcess(Config{})
		if _, err := other.Source(other.target, "").Authorization(t.Context()); err == nil {
			t.Error("a token from nowhere")
		}
		if st := other.State(first.Key); !st.Signed || !st.Renewable || st.Issuer != r.as.URL {
			t.Errorf("state of another process: %+v", st)
		}
		if r.count(Failed) != 1 || r.count(Needed) != 0 {
			t.Errorf("events: %+v", r.events)
		}
		r.status(0)
		time.Sleep(2 * time.Second)
		r.must(s)
		if st := r.State(first.Key); st.Err != "" {
			t.Errorf("state: %+v", st)
		}
	})
}

// A sign-in that the issuer ended is used until the token expires, and asked for then,
// also by the next process.
func TestRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{AnyResource: true}, Config{})
		first := r.signIn("", "read")
		s := r.Source(r.target, "")
		time.Sleep(59*time.Minute + time.Second)
		r.as.Set(func(b *oauthtest.Behaviour) {
			b.Before = func(w http.ResponseWriter, req *http.Request) bool {
				if req.URL.Path != "/token" {
					return false
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusBadRequest)
				_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"it was rt-planted"}`))
				return true
			}
		})
		for range 50 {
			if r.must(s) != "somebody read" {
				t.Fatal("not the token that is still valid")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Second)
		for range 20 {
			if n := r.needs(s, "whoami"); n.Why != Revoked || n.Issuer != r.as.URL || n.Key != first.Key {
				t.Errorf("needs %+v", n)
			}
			time.Sleep(time.Second)
		}
		if n := r.refreshes(); n != 1 {
			t.Errorf("%d token requests, want 1", n)
		}
		if r.count(Needed) != 1 {
			t.Errorf("events: %+v", r.events)
		}
		other := r.newProcess(Config{})
		if n := r.needs(other.Source(other.target, ""), "whoami"); n.Why != Expired || r.refreshes() != 1 {
			t.Errorf("another process: needs %s, %d token requests", n.Why, r.refreshes())
		}
		r.as.Set(func(b *oauthtest.Behaviour) { b.Before = nil })
		r.signIn("")
		r.must(s)
		if st := r.State(first.Key); st.Needs != nil {
			t.Errorf("state after a sign-in: %+v", st)
		}
	})
}

// losing loses the answers of some token requests.
type losing struct {
	http.RoundTripper
	lose atomic.Int32
}

func (l *losing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(req)
	if err == nil && req.URL.Path == "/token" && l.lose.Add(-1) >= 0 {
		resp.Body.Close()
		return nil, errors.New("connection reset by peer")
	}
	return resp, err
}

// An answer that is lost is asked for again at once: many issuers take a refresh token
// twice for some seconds. To those that do not, the sign-in is lost, and that is said.
func TestLostAnswer(t *testing.T) {
	for _, kind := range []struct {
		name  string
		grace bool
	}{{"issuer with grace", true}, {"issuer without", false}} {
		t.Run(kind.name, func(t *testing.T) {
			b := hour
			b.Rotate = !kind.grace
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, b, oauthtest.Protection{}, Config{})
				lossy := &losing{RoundTripper: r.net}
				lossy.lose.Store(1)
				r.target.Client = &http.Client{Transport: lossy}
				r.signIn("")
				s := r.Source(r.target, "")
				time.Sleep(2 * time.Hour)
				began := time.Now()
				if kind.grace {
					r.must(s)
				} else if n := r.needs(s, "whoami"); n.Why != Revoked {
					t.Errorf("needs %s, want %s", n.Why, Revoked)
				}
				if took := time.Since(began); took != time.Second || r.refreshes() != 2 {
					t.Errorf("%d token requests in %s, want 2 in 1s", r.refreshes(), took)
				}
			})
		})
	}
}

// Two processes with one store take each refresh token once, in all of a day: else an
// issuer that rotates them ends the sign-in.
func TestTwoProcesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		r.signIn("")
		r.slow("/token", 700*time.Millisecond)
		other := r.newProcess(Config{})
		sources := []Source{r.Source(r.target, ""), other.Source(other.target, "")}
		for hours := range 24 {
			var all sync.WaitGroup
			for i := range 20 {
				all.Go(func() { r.must(sources[i%2]) })
			}
			all.Wait()
			if n := r.refreshes(); n != hours {
				t.Fatalf("%d token requests after %d hours", n, hours)
			}
			time.Sleep(time.Hour + time.Second)
		}
		// Ahead of the end too, where requests do not wait.
		r.must(sources[0])
		r.must(sources[1])
		time.Sleep(59*time.Minute + time.Second)
		for range 30 {
			r.must(sources[0])
			r.must(sources[1])
			time.Sleep(time.Second)
		}
		if n := r.refreshes(); n != 25 {
			t.Errorf("%d token requests, want 25", n)
		}
	})
}

// What came is stored before it is used.
func TestStoredBeforeUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		r.header(s)
		r.store.onPut(func(a *Account) error {
			time.Sleep(time.Second)
			if h := r.header(s); h == a.header() {
				t.Error("a token was used before it was stored")
			}
			return nil
		})
		time.Sleep(59*time.Minute + time.Second)
		r.header(s)
		time.Sleep(2 * time.Second)
		if r.header(s) == first.header() {
			t.Error("it was not renewed")
		}
	})
}

// A renewed account that cannot be stored is kept: the one before goes on as long as
// it can, then the new one, and storing is tried again, without another token request.
func TestStoreDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		r.header(s)
		tries := 0
		r.store.onPut(func(*Account) error { tries++; return errors.New("the keyring is locked") })
		time.Sleep(59*time.Minute + time.Second)
		for range 58 {
			if r.header(s) != first.header() {
				t.Fatal("a token was used before it was stored")
			}
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		for range 30 {
			r.must(s)
			time.Sleep(time.Second)
		}
		if st := r.State(first.Key); !strings.Contains(st.Err, "locked") || tries < 40 {
			t.Errorf("state %+v after %d tries", st, tries)
		}
		r.store.onPut(nil)
		for range 3 {
			r.must(s)
			time.Sleep(time.Second)
		}
		a, err := r.store.Account(t.Context(), first.Key)
		if err != nil || a.header() != r.header(s) || r.State(first.Key).Err != "" {
			t.Errorf("not stored once it could be: %v, %+v", err, r.State(first.Key))
		}
		if n := r.refreshes(); n != 1 || r.count(Failed) != 1 {
			t.Errorf("%d token requests, %d events", n, r.count(Failed))
		}
		time.Sleep(time.Hour)
		r.must(s)
	})
}

// An account that cannot be read any more wants a sign-in, which replaces it; one that
// cannot be read for now does not. Either can be forgotten.
func TestUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		r.store.unreadable(fmt.Errorf("the key is gone: %w", ErrLost))
		if n := r.needs(r.Source(r.target, ""), "whoami"); n.Why != Lost || n.Key != first.Key {
			t.Errorf("needs %s", n.Why)
		}
		r.store.unreadable(nil)
		r.signIn("")
		r.must(r.Source(r.target, ""))

		locked := errors.New("the keyring is locked")
		other := r.newProcess(Config{})
		r.store.unreadable(locked)
		_, err := other.Source(other.target, "").Authorization(t.Context())
		if n := (*NeedsAuth)(nil); !errors.Is(err, locked) || errors.As(err, &n) {
			t.Error(err)
		}
		if err := other.Forget(t.Context(), other.target, ""); !errors.Is(err, ErrNotRevoked) || !errors.Is(err, locked) {
			t.Error(err)
		}
		r.store.unreadable(nil)
		if _, err := r.store.Account(t.Context(), first.Key); !errors.Is(err, ErrNoAccount) {
			t.Errorf("it is not forgotten: %v", err)
		}
	})
}

// While it cannot be told which accounts there are, a server that wants none is not
// troubled by that; one that does says what is wrong, each time, and is signed in to again
// as soon as that is mended.
func TestUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{Open: []string{"tools/call"}}, Config{})
		r.signIn("")
		damaged := fmt.Errorf("%w: the index is damaged", ErrUnknown)
		r.store.unreadable(damaged)
		p := r.newProcess(Config{})
		s := p.Source(p.target, "")
		for range 20 {
			if got := r.must(s); got != "<nil>" {
				t.Errorf("whoami: %q", got)
			}
		}
		if reads := r.store.reads; reads > 1 {
			t.Errorf("the store was read %d times for 20 requests", reads)
		}
		if st := p.State(Key{Upstream: "linear"}); st.Err != "" || p.count(Failed) != 0 {
			t.Errorf("trouble is told, though nobody has any: %+v", st)
		}

		r.mcp.Set(func(x *oauthtest.Protection) { x.Open = nil })
		for range 3 {
			_, err := r.call(s, "whoami")
			if n := (*NeedsAuth)(nil); !errors.Is(err, damaged) || errors.As(err, &n) {
				t.Error(err)
			}
			time.Sleep(2 * time.Second)
			if st := p.State(Key{Upstream: "linear"}); !strings.Contains(st.Err, "damaged") {
				t.Errorf("state: %+v", st)
			}
		}
		if n := p.count(Failed); n != 1 {
			t.Errorf("told %d times, want once", n)
		}
		p.Look(t.Context(), Key{Upstream: "linear"})
		if len(p.changed) > 0 {
			t.Errorf("told of changes that nobody can know of: %v", p.changed)
		}

		r.store.unreadable(nil)
		if got := r.must(s); got != "somebody " {
			t.Errorf("whoami: %q", got)
		}
		if st := p.State(Key{Upstream: "linear"}); st.Err != "" || !st.Signed {
			t.Errorf("state: %+v", st)
		}
	})
}

// While the store takes nothing for hours, tokens are renewed in memory, each once, and
// what is kept in the end is the last. A sign-in that could not be stored for longer than
// its token lived was once not renewed any more.
func TestStoreDownForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		first := r.signIn("")
		s := r.Source(r.target, "")
		r.must(s)
		full := errors.New("no space left on device")
		r.store.onPut(func(*Account) error { return full })
		for range 5 * 60 {
			time.Sleep(time.Minute)
			if got := r.must(s); got != "somebody " {
				t.Errorf("whoami: %q", got)
			}
		}
		if st := r.State(first.Key); !strings.Contains(st.Err, full.Error()) || st.Needs != nil {
			t.Errorf("state: %+v", st)
		}
		if n := r.refreshes(); n != 5 || r.count(Failed) != 1 || r.count(Renewed) != 0 {
			t.Errorf("%d token requests, %d failures and %d renewals were told of", n, r.count(Failed), r.count(Renewed))
		}

		// A night without requests: the token has expired when the disk has room again.
		time.Sleep(8 * time.Hour)
		r.store.onPut(nil)
		sent := len(r.mcp.Calls())
		r.must(s)
		if calls := r.mcp.Calls()[sent:]; len(calls) != 1 {
			t.Errorf("%d requests for one call: a token that had expired was sent", len(calls))
		}
		time.Sleep(2 * time.Second)
		r.must(s)
		a, err := r.store.Account(t.Context(), first.Key)
		if err != nil || a.header() != r.header(s) || r.State(first.Key).Err != "" || r.count(Renewed) == 0 {
			t.Errorf("not stored once it could be: %v, %+v", err, r.State(first.Key))
		}
		next := r.newProcess(Config{}) // after the gateway has ended
		if got := r.must(next.Source(next.target, "")); got != "somebody " {
			t.Errorf("whoami: %q", got)
		}
	})
}

// A sign-in that ends in the middle of that is over, and says so.
func TestStoreDownAndRevoked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, hour, oauthtest.Protection{}, Config{})
		r.signIn("")
		s := r.Source(r.target, "")
		r.must(s)
		r.store.onPut(func(*Account) error { return errors.New("no space left on device") })
		for range 90 {
			time.Sleep(time.Minute)
			r.must(s)
		}
		r.as.Revoke()
		for range 3 {
			if n := r.needs(s, "whoami"); n.Why != Revoked {
				t.Errorf("needs %+v", n)
			}
			time.Sleep(time.Minute)
		}
		r.store.onPut(nil)
		r.signIn("")
		r.must(s)
	})
}
