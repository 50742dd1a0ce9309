package config

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

const remote = "upstreams:\n  a:\n    url: https://a.example/mcp\n    auth: "

// TestSignInFaults has what auth and sign_in may not be; want is all that is reported.
func TestSignInFaults(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"unknown key", remote + "{clientid: x}\n", []string{`4:12: unknown key "clientid" (did you mean "client_id"?)`}},
		{"unknown flow", remote + "{flow: implicit}\n", []string{
			`4:18: "flow" "implicit" is not one of authorization_code, client_credentials, bearer, none`,
		}},
		{"unknown per", remote + "{per: user}\n", []string{`4:17: "per" "user" is not one of gateway, principal`}},
		{"bearer without a token", remote + "{flow: bearer}\n", []string{`4:18: "flow" needs a token (add token: ${VARIABLE})`}},
		{"a token without the flow", remote + "{token: abc}\n", []string{
			`4:19: "token" is for a token that was issued by hand (add flow: bearer)`,
		}},
		{"a token with its scheme", remote + "{flow: bearer, token: Bearer abc}\n", []string{
			`4:33: "token" begins with "Bearer " (write the token alone)`,
		}},
		{"a token of two lines", remote + "{flow: bearer, token: \"a\\nb\"}\n", []string{
			`4:33: "token" holds what no token may (RFC 6750 section 2.1) (look for a space or a line break)`,
		}},
		{"keys of another flow", remote + "{flow: bearer, token: a, scopes: [b], per: principal}\n", []string{
			`4:36: "scopes" does nothing with flow: bearer (remove it)`,
			`4:54: "per" does nothing with flow: bearer (remove it)`,
		}},
		{"a service account without a client", remote + "{flow: client_credentials}\n", []string{
			`4:18: "flow" needs a client that the issuer knows (add client_id, and client_secret or private_key)`,
		}},
		{"a service account without a proof", remote + "{flow: client_credentials, client_id: x}\n", []string{
			`4:18: "flow" needs a client that can prove who it is (add client_secret or private_key)`,
		}},
		{"a secret of nobody", remote + "{issuer: \"https://i.example\", client_secret: x}\n", []string{
			`4:56: "client_secret" is the secret of no client (add client_id)`,
		}},
		{"two proofs and two ids", remote + "{issuer: \"https://i.example\", client_id: x, client_secret: y, private_key: k.pem, client_id_metadata_document: \"https://x.example/c\"}\n", []string{
			`4:86: "private_key" is there, and client_secret as well (keep one)`,
			`4:122: "client_id_metadata_document" is the client's id, and there is client_id (keep one)`,
		}},
		{"a key that is no file", remote + "{client_id: x, private_key: \"-----BEGIN PRIVATE KEY-----\\ns3cret\"}\n", []string{
			`4:39: "private_key" is the key itself (write it into a file and name that)`,
		}},
		{"issuers", remote + "{issuer: \"http://i.example\"}\n  b: {url: \"https://b.example\", auth: {issuer: \"javascript:alert(1)\"}}\n  c: {url: \"https://c.example\", auth: {issuer: \"https://i.example/?a=b\"}}\n  d: {url: \"https://d.example\", auth: {issuer: \"http://localhost:1/\"}}\n", []string{
			`4:20: "issuer" must be https://: who is on the way would get the tokens`,
			`5:48: "issuer" must be an address such as https://auth.example.com`,
			`6:48: "issuer" has a query, a fragment or a user (RFC 8414 section 2) (write it as the authorization server does)`,
		}},
		{"documents of clients", remote + "{client_id_metadata_document: \"http://x.example/c\"}\n  b: {url: \"https://b.example\", auth: {client_id_metadata_document: \"https://x.example\"}}\n", []string{
			`4:41: "client_id_metadata_document" must be an address such as https://example.com/oauth/client.json, which the authorization server fetches`,
			`5:69: "client_id_metadata_document" must be an address such as https://example.com/oauth/client.json, which the authorization server fetches`,
		}},
		{"scopes", remote + "{scopes: [\"a b\", 'a\"', \"\", \"x\\ny\", \"files:read\"]}\n", []string{
			`4:21: item 1 of "scopes" "a b" is not a scope (write each as an item of its own)`,
			`4:28: item 2 of "scopes" "a\"" is not a scope (write each as an item of its own)`,
			`4:34: item 3 of "scopes" "" is not a scope (write each as an item of its own)`,
			`4:38: item 4 of "scopes" "x\ny" is not a scope (write each as an item of its own)`,
		}},
		{"networks", remote + "{networks: [10.0.0.1, intranet, \"::/0\", 10.0.0.0/8]}\n", []string{
			`4:23: item 1 of "networks" "10.0.0.1" is not a range of addresses (write one such as 10.20.0.0/16, or 10.20.30.40/32)`,
			`4:33: item 2 of "networks" "intranet" is not a range of addresses (write one such as 10.20.0.0/16, or 10.20.30.40/32)`,
			`4:43: item 3 of "networks" "::/0" is every address (name the network that the authorization server is in)`,
		}},
		{"a process", "upstreams:\n  a: {command: x, auth: {flow: bearer, token: s}}\n", []string{
			`2:19: "auth" is for a remote server, and this is a process (remove it; a process takes its credentials from env)`,
		}},
		{"two headers Authorization", "upstreams:\n  a: {url: \"https://a.example\", auth: {flow: bearer, token: s}, headers: {authorization: x}}\n", []string{
			`2:46: "flow" gives the header Authorization, and headers has it, too (keep one)`,
		}},
		{"a user and a token", "upstreams:\n  a: {url: \"https://me:pass-word@a.example\", auth: {flow: bearer, token: s}}\n", []string{
			`2:59: "flow" gives the header Authorization, and the url has a user, too (keep one)`,
		}},
		{"in the clear", "upstreams:\n  a: {url: \"http://a.example\", auth: {flow: bearer, token: s}}\n  b: {url: \"http://localhost:1\", auth: {flow: bearer, token: s}}\n  c: {url: \"http://c.example\", insecure_http: true, auth: {flow: bearer, token: s}}\n", []string{
			`2:45: "flow" would send its token in the clear (use https://, or set insecure_http: true)`,
		}},
		{"principals without server.auth", remote + "{per: principal}\n", []string{
			`4:17: "per" is one sign-in for each principal, and nobody has to say who it is (set server.auth, or per: gateway)`,
		}},
		{"exchange for the gateway", remote + "{exchange: true}\n", []string{
			`4:22: "exchange" exchanges the token of a principal, and the sign-in is the gateway's (add per: principal)`,
		}},
		{"exchange without tokens", "server: {auth: {api_keys: [{principal: a, hash: sha256:" + strings.Repeat("0", 64) + "}]}}\n" + remote + "{exchange: true, per: principal}\n    isolation: shared\n", []string{
			`5:22: "exchange" sends the principal's token to an issuer, which no server may choose (add issuer and client_id)`,
			`5:22: "exchange" needs the principals' own tokens, and no issuer gives them any (set server.auth.oidc)`,
			`6:16: "isolation" shares one link, and each principal signs in for itself (remove it)`,
		}},
		{"store", "sign_in: {store: vault}\n", []string{`1:18: "store" "vault" is not one of auto, keyring, file`}},
		{"once, of defaults", "defaults: {auth: {issuer: ftp://x}}\n" + remote + "{}\n  b: {url: \"https://b.example\"}\n", []string{
			`1:27: "issuer" must be an address such as https://auth.example.com`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := faults(t, options(files(t, map[string]string{"c.yaml": tt.text}), nil, "c.yaml"))
			for i := range got {
				got[i] = strings.TrimPrefix(got[i], "c.yaml:")
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

// TestDefaultsOfAuth has what an upstream takes of the auth in defaults.
func TestDefaultsOfAuth(t *testing.T) {
	cfg := good(t, "c.yaml", `
defaults:
  auth: {issuer: "https://i.example", client_id: shared, client_secret: s, scopes: [read], networks: [10.0.0.0/8]}
upstreams:
  plain: {url: "https://a.example"}
  own: {url: "https://b.example", auth: {scopes: [write], private_key: k.pem}}
  document: {url: "https://c.example", auth: {client_id_metadata_document: "https://c.example/c", client_secret: ""}}
  token: {url: "https://d.example", auth: {flow: bearer, token: t}}
  none: {url: "https://e.example", auth: {flow: none}}
  header: {url: "https://f.example", headers: {authorization: x}}
  user: {url: "https://me:pass@g.example"}
  process: {command: x}
`)
	i, nets := "https://i.example", []string{"10.0.0.0/8"}
	want := map[string]oauth.Config{
		"plain":    {Issuer: i, ClientID: "shared", ClientSecret: "s", Scopes: []string{"read"}, Networks: nets},
		"own":      {Issuer: i, ClientID: "shared", PrivateKey: "k.pem", Scopes: []string{"write"}, Networks: nets},
		"document": {Issuer: i, ClientMetadata: "https://c.example/c", Scopes: []string{"read"}, Networks: nets},
		"token":    {Flow: oauth.Bearer, Token: "t"},
		"none":     {Flow: oauth.NoFlow},
		"header":   {},
		"user":     {},
		"process":  {},
	}
	got := map[string]oauth.Config{}
	for _, u := range cfg.Upstreams {
		u.Auth.PrivateKey = strings.TrimPrefix(u.Auth.PrivateKey, cfg.dirOf(t))
		got[u.Name] = u.Auth
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if cfg.SignIn.Store != AutoStore {
		t.Errorf("store is %q", cfg.SignIn.Store)
	}
}

// dirOf is the folder of the one file, with its separator.
func (c *Config) dirOf(t *testing.T) string {
	t.Helper()
	return filepath.Dir(c.Sources[0]) + string(filepath.Separator)
}

func TestSignInWarnings(t *testing.T) {
	dir := files(t, map[string]string{"c.yaml": remote + "{client_id: x, client_secret: y, networks: [169.254.0.0/16]}\n  b: {url: \"https://b.example\", auth: {flow: client_credentials, client_id: x, private_key: gone.pem}}\n"})
	cfg, err := Load(options(dir, nil, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range cfg.Warnings {
		got = append(got, strings.TrimPrefix(w.String(), "c.yaml:"))
	}
	want := []string{
		`4:41: "client_secret" goes to whatever authorization server "a" names (add issuer)`,
		`4:44: "networks" holds 169.254.169.254, where a cloud tells its machines their credentials (name a smaller range)`,
		`5:93: "private_key" names a file that cannot be read: no such file or directory`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestPrivateKeyForAll(t *testing.T) {
	dir := files(t, map[string]string{"k.pem": "", "c.yaml": remote + "{client_id: x, private_key: k.pem}\n"})
	if err := os.Chmod(filepath.Join(dir, "k.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := faults(t, options(dir, nil, "c.yaml"))
	if len(got) != 1 || !strings.Contains(got[0], "can be read by every user") || !strings.Contains(got[0], "c.yaml:4:39: ") {
		t.Errorf("got %q", got)
	}
}

// TestSignInSecretsAreHidden: neither in what is shown nor in the lines of errors.
func TestSignInSecretsAreHidden(t *testing.T) {
	cfg := good(t, "c.yaml", `
sign_in: {store: file}
upstreams:
  a: {url: "https://a.example", auth: {issuer: "https://i.example", client_id: visible, client_secret: s3cret1, scopes: ["${S}"]}}
  b: {url: "https://b.example", auth: {flow: bearer, token: s3cret2}}
  c: {url: "https://c.example", auth: {issuer: "https://${S}", client_id: "${S}"}}
`, "S=s3cret3")
	out, err := json.Marshal(cfg.Tree())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.ReplaceAll(string(out), "https://s3cret3", ""), "s3cret") {
		t.Errorf("shows a secret: %s", out)
	}
	for _, want := range []string{`"client_id":"visible"`, `"client_secret":"***"`, `"token":"***"`, `"sign_in":{"store":"file"}`} {
		if !strings.Contains(string(out), want) {
			t.Errorf("no %s in %s", want, out)
		}
	}
	for _, text := range []string{
		remote + "{flow: bearer, token: \"s3cret x\"}\n", remote + "{client_secret: s3cret, issuer: x}\n", remote + "{flow: bearer, token: [s3cret]}\n",
		remote + "{private_key: \"-----BEGIN s3cret\", client_id: x}\n", remote + "{client_secrets: s3cret}\n", remote + "{issuer: \"https://u:s3cret@x\"}\n",
	} {
		_, err := Load(options(files(t, map[string]string{"c.yaml": text}), nil, "c.yaml"))
		var e *Errors
		if !errors.As(err, &e) {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var shown strings.Builder
		e.Render(&shown, false)
		if strings.Contains(shown.String(), "s3cret") {
			t.Errorf("shows a secret: %s", shown.String())
		}
	}
}

// TestExtendReadsNoPrivateKey: who sends entries over the network names no files.
func TestExtendReadsNoPrivateKey(t *testing.T) {
	cfg := good(t, "c.yaml", "upstreams: {}\n")
	entry := []byte(`{"upstreams": {"a": {"url": "https://a.example", "auth": {"client_id": "x", "private_key": "/etc/shadow"}}}}`)
	_, err := cfg.Extend(entry, ExtendOptions{Literal: true})
	var refused *Refused
	if !errors.As(err, &refused) || !strings.Contains(err.Error(), "files are not read here") {
		t.Errorf("got %v", err)
	}
	if _, err := cfg.Extend(entry, ExtendOptions{}); err != nil {
		t.Errorf("of the machine itself: %v", err)
	}
}
