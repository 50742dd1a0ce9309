package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
	"github.com/interlock-mcp/interlock/upstream/oauth/oauthtest"
)

// A damaged index of sign-ins once had remote servers fail that want none. The
// others say which file it is, and start when that is mended.
func TestDamagedIndex(t *testing.T) {
	issuer := oauthtest.StartIssuer(t, "", oauthtest.Behaviour{})
	public := oauthtest.StartResource(t, issuer, oauthtest.Protection{Open: []string{"GET", "DELETE", "initialize", "notifications/initialized", "ping", "tools/list", "tools/call", "server/discover"}})
	locked := oauthtest.StartResource(t, issuer, oauthtest.Protection{})
	cfg := config.Defaults()
	cfg.StateDir, cfg.SignIn.Store = t.TempDir(), config.FileStore
	for _, name := range []string{"public", "locked"} {
		u := upstream.Defaults()
		u.Name, u.URL = name, public.URL
		u.Restart.Delay = 2 * time.Second // longer than a failure to have a token is the answer
		if name == "locked" {
			u.URL = locked.URL
		}
		cfg.Upstreams = append(cfg.Upstreams, u)
	}
	index := filepath.Join(cfg.StateDir, "sign-in", "index.json")
	if err := errors.Join(os.Mkdir(filepath.Dir(index), 0o700), os.WriteFile(index, []byte(`{"version":`), 0o600)); err != nil {
		t.Fatal(err)
	}
	r := startWith(t, &cfg, Options{})
	until(r, func() bool {
		return r.set.Upstream("public").Status().State == upstream.Running && r.set.Upstream("locked").Status().Failure != nil
	})
	if f := r.set.Upstream("public").Status().Failure; f != nil {
		t.Errorf("what wants no sign-in failed first: %s", f.Message)
	}
	f := r.set.Upstream("locked").Status().Failure
	for _, want := range []string{oauth.ErrUnknown.Error(), index, "put a copy back, or move it away"} {
		if !strings.Contains(f.Message, want) {
			t.Errorf("%q does not say %q", f.Message, want)
		}
	}
	if err := os.Rename(index, index+".old"); err != nil {
		t.Fatal(err)
	}
	for _, o := range r.set.Order(upstream.VerbRestart, "locked") {
		_ = o.Wait(t.Context())
	}
	until(r, func() bool {
		f := r.set.Upstream("locked").Status().Failure
		return f != nil && f.Reason == "needs_auth"
	})
}

// until blocks until something is so that changes with the upstreams.
func until(r *rig, so func() bool) {
	r.t.Helper()
	for !so() {
		select {
		case <-r.Changed():
		case <-r.t.Context().Done():
			r.t.Fatal("it did not come to be")
		}
	}
}
