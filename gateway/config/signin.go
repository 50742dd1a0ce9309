package config

import (
	"errors"
	"maps"
	"net/netip"
	"net/url"
	"os"
	"runtime"
	"strings"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// SignIn says where the sign-ins to upstreams are kept: the `sign_in` section.
type SignIn struct {
	// Store is auto (the system's keyring if there is one, else a file), keyring, or
	// file (encrypted, in state_dir).
	Store SignInStore `koanf:"store"`
}

// SignInStore is where sign-ins are kept.
type SignInStore string

// The stores.
const (
	AutoStore    SignInStore = "auto"
	KeyringStore SignInStore = "keyring"
	FileStore    SignInStore = "file"
)

// instead are the keys of auth of which an upstream's own displaces the other, where
// that came from defaults.
var instead = map[string]string{
	"client_secret": "private_key", "private_key": "client_secret",
	"client_id": "client_id_metadata_document", "client_id_metadata_document": "client_id",
}

// inherited is what an upstream takes of defaults. Of its auth that is what goes with
// the upstream's own: nothing for a process or beside an Authorization of its own, and no
// key that its own flow has no use for.
func inherited(defaults, own map[string]any) map[string]any {
	theirs, ok := defaults["auth"].(map[string]any)
	if !ok {
		return defaults
	}
	auth, _ := own["auth"].(map[string]any)
	kept := maps.Clone(theirs)
	for key := range auth {
		delete(kept, instead[key])
	}
	if flow, ok := auth["flow"].(string); ok {
		maps.DeleteFunc(kept, func(key string, _ any) bool { return !oauth.Flow(flow).Takes(key) })
	}
	_, process := own["command"]
	headers, _ := own["headers"].(map[string]any)
	target, _ := own["url"].(string)
	at, err := url.Parse(target)
	if auth == nil && (process || HasAuthorization(headers) || err == nil && at.User != nil) {
		clear(kept)
	}
	out := maps.Clone(defaults)
	out["auth"] = kept
	return out
}

// HasAuthorization tells whether headers have one named Authorization, however it is
// written.
func HasAuthorization[T any](headers map[string]T) bool {
	for name := range headers {
		if strings.EqualFold(name, "Authorization") {
			return true
		}
	}
	return false
}

// signIns checks the `sign_in` section.
func (l *loader) signIns(cfg *Config) {
	path := []string{"sign_in", "store"}
	switch s := cfg.SignIn.Store; {
	case s != AutoStore && s != KeyringStore && s != FileStore:
		l.field(path, quote(string(s))+" is not one of auto, keyring, file")
	case s == FileStore && cfg.StateDir == "":
		l.fault(l.places.find(path), path, "needs a folder, and the user has no state folder", "set state_dir")
	}
}

// signIn checks `auth` of an upstream, and what it needs of the rest.
func (l *loader) signIn(u *upstream.Config, cfg *Config, insecureHTTP bool) {
	path := []string{"upstreams", u.Name, "auth"}
	bad := func(what, mend string, keys ...string) {
		l.fault(l.place(u.Name, append([]string{"auth"}, keys...)...), append(path[:3:3], keys...), what, mend)
	}
	if u.URL == "" {
		if _, written := l.places.key(path); written && u.Command != "" {
			bad("is for a remote server, and this is a process", "remove it; a process takes its credentials from env")
		}
		return
	}
	for _, err := range flatten(u.Auth.Validate()) {
		if fe := (*oauth.FieldError)(nil); errors.As(err, &fe) {
			bad(fe.Text, fe.Mend, fe.Path...)
		}
	}
	flow := u.Auth.Flow
	if target, err := url.Parse(u.URL); err == nil && flow != "" && flow != oauth.NoFlow {
		if HasAuthorization(u.Headers) {
			bad("gives the header Authorization, and headers has it, too", "keep one", "flow")
		}
		if target.User != nil {
			bad("gives the header Authorization, and the url has a user, too", "keep one", "flow")
		}
		if target.Scheme == "http" && !loopback(target.Hostname()) && !insecureHTTP {
			bad("would send its token in the clear", "use https://, or set insecure_http: true", "flow")
		}
	}
	if u.Auth.Per == oauth.PerPrincipal && flow.Takes("per") {
		switch {
		case !cfg.Server.Asks():
			bad("is one sign-in for each principal, and nobody has to say who it is", "set server.auth, or per: gateway", "per")
		case u.Auth.Exchange && len(cfg.Server.Auth.OIDC) == 0:
			bad("needs the principals' own tokens, and no issuer gives them any", "set server.auth.oidc", "exchange")
		}
		if u.Isolation == upstream.Shared {
			l.fault(l.place(u.Name, "isolation"), []string{"upstreams", u.Name, "isolation"}, "shares one link, and each principal signs in for itself", "remove it")
		}
	}
	if u.Auth.ClientSecret != "" && u.Auth.Issuer == "" {
		at := l.place(u.Name, "auth", "client_secret")
		l.problems.warn(at, dotted(child(path, "client_secret")), `"client_secret" goes to whatever authorization server `+quote(u.Name)+" names", "add issuer")
	}
	l.networks(u)
	l.privateKey(u)
}

// cloudMetadata is where a cloud tells its machines their credentials.
var cloudMetadata = netip.MustParseAddr("169.254.169.254")

func (l *loader) networks(u *upstream.Config) {
	for _, n := range u.Auth.Networks {
		if p, err := netip.ParsePrefix(n); err == nil && p.Bits() >= 16 && p.Contains(cloudMetadata) {
			l.problems.warn(l.place(u.Name, "auth", "networks"), dotted([]string{"upstreams", u.Name, "auth", "networks"}),
				`"networks" holds 169.254.169.254, where a cloud tells its machines their credentials`, "name a smaller range")
		}
	}
}

// privateKey warns of a file that is not there; it may yet come.
func (l *loader) privateKey(u *upstream.Config) {
	file := u.Auth.PrivateKey
	if file == "" || !u.Enabled || strings.Contains(file, "-----BEGIN") {
		return
	}
	at := l.place(u.Name, "auth", "private_key")
	switch _, err := os.Stat(file); {
	case err != nil:
		l.problems.warn(at, dotted([]string{"upstreams", u.Name, "auth", "private_key"}), `"private_key" names a file that cannot be read: `+reason(err), "")
	case runtime.GOOS != "windows" && worldReadable(file):
		l.fileSecrets = append(l.fileSecrets, found{at, Problem{Text: quote(file) + " can be read by every user of this machine"}})
	}
}
