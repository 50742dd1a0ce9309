package oauth

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// FieldError is a fault of one key. Path is the key's path below auth.
type FieldError struct {
	Path []string
	// Text says what is wrong, Mend how to mend it ("" if that is plain). Neither has
	// the value of a secret.
	Text, Mend string
}

func (e *FieldError) Error() string { return strings.Join(e.Path, ".") + ": " + e.Text }

// flowKeys are the keys that a flow has a use for, besides flow itself.
var flowKeys = map[Flow][]string{
	AuthorizationCode: {
		"per", "issuer", "client_id", "client_secret", "private_key", "client_id_metadata_document", "scopes", "exchange", "networks",
	},
	ClientCredentials: {"issuer", "client_id", "client_secret", "private_key", "scopes", "networks"},
	Bearer:            {"token"},
	NoFlow:            {},
}

// Takes tells whether a key of auth means something to the flow.
func (f Flow) Takes(key string) bool {
	if f == "" {
		f = AuthorizationCode
	}
	return key == "flow" || slices.Contains(flowKeys[f], key)
}

// set are the keys that c has a value for, in the order of Config.
func (c *Config) set() []string {
	var out []string
	for _, k := range []struct {
		key string
		is  bool
	}{
		{"per", c.Per != ""},
		{"issuer", c.Issuer != ""},
		{"client_id", c.ClientID != ""},
		{"client_secret", c.ClientSecret != ""},
		{"private_key", c.PrivateKey != ""},
		{"client_id_metadata_document", c.ClientMetadata != ""},
		{"scopes", len(c.Scopes) > 0},
		{"token", c.Token != ""},
		{"exchange", c.Exchange},
		{"networks", len(c.Networks) > 0},
	} {
		if k.is {
			out = append(out, k.key)
		}
	}
	return out
}

// Validate returns every fault of c, joined, each a *FieldError. It changes nothing
// and touches no file.
func (c *Config) Validate() error {
	v := &faults{}
	if _, known := flowKeys[c.Flow]; c.Flow != "" && !known {
		v.add(fmt.Sprintf("%q is not one of authorization_code, client_credentials, bearer, none", c.Flow), "", "flow")
		return v.joined()
	}
	for _, key := range c.set() {
		switch {
		case c.Flow.Takes(key):
		case c.Flow == "" && key == "token":
			v.add("is for a token that was issued by hand", "add flow: bearer", key)
		default:
			v.add("does nothing with flow: "+string(c.flow()), "remove it", key)
		}
	}
	if c.Per != "" && c.Per != PerGateway && c.Per != PerPrincipal {
		v.add(fmt.Sprintf("%q is not one of gateway, principal", c.Per), "", "per")
	}
	switch {
	case !c.Exchange || !c.Flow.Takes("exchange"):
	case c.Per != PerPrincipal:
		v.add("exchanges the token of a principal, and the sign-in is the gateway's", "add per: principal", "exchange")
	case c.Issuer == "" || c.ClientID == "":
		v.add("sends the principal's token to an issuer, which no server may choose", "add issuer and client_id", "exchange")
	}
	c.token(v)
	c.client(v)
	c.addresses(v)
	for i, s := range c.Scopes {
		if !isScope(s) {
			v.add(fmt.Sprintf("%q is not a scope", s), "write each as an item of its own", "scopes", strconv.Itoa(i))
		}
	}
	return v.joined()
}

func (c *Config) flow() Flow {
	if c.Flow == "" {
		return AuthorizationCode
	}
	return c.Flow
}

func (c *Config) token(v *faults) {
	switch token := string(c.Token); {
	case c.Flow == Bearer && token == "":
		v.add("needs a token", "add token: ${VARIABLE}", "flow")
	case len(token) > 7 && strings.EqualFold(token[:7], "bearer "):
		v.add(`begins with "Bearer "`, "write the token alone", "token")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		v.add("holds what no token may (RFC 6750 section 2.1)", "look for a space or a line break", "token")
	}
}

// client checks how the client is known and proves who it is.
func (c *Config) client(v *faults) {
	if c.ClientID != "" && c.ClientMetadata != "" {
		v.add("is the client's id, and there is client_id", "keep one", "client_id_metadata_document")
	}
	if c.ClientSecret != "" && c.PrivateKey != "" {
		v.add("is there, and client_secret as well", "keep one", "private_key")
	}
	if strings.Contains(c.PrivateKey, "-----BEGIN") {
		v.add("is the key itself", "write it into a file and name that", "private_key")
	}
	if strings.ContainsFunc(c.ClientID, func(r rune) bool { return r < ' ' || r > '~' }) {
		v.add("holds what no client id may (RFC 6749 appendix A.1)", "", "client_id")
	}
	switch {
	case c.Flow == ClientCredentials && c.ClientID == "":
		v.add("needs a client that the issuer knows", "add client_id, and client_secret or private_key", "flow")
	case c.Flow == ClientCredentials && c.ClientSecret == "" && c.PrivateKey == "":
		v.add("needs a client that can prove who it is", "add client_secret or private_key", "flow")
	case c.ClientSecret != "" && c.ClientID == "" && c.Flow.Takes("client_secret"):
		v.add("is the secret of no client", "add client_id", "client_secret")
	case c.PrivateKey != "" && c.ClientID == "" && c.ClientMetadata == "" && c.Flow.Takes("private_key"):
		v.add("is the key of no client", "add client_id or client_id_metadata_document", "private_key")
	}
}

func (c *Config) addresses(v *faults) {
	if c.Issuer != "" {
		u, err := url.Parse(c.Issuer)
		switch {
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
			v.add("must be an address such as https://auth.example.com", "", "issuer")
		case u.Scheme == "http" && !loopbackHost(u.Hostname()):
			v.add("must be https://: who is on the way would get the tokens", "", "issuer")
		case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
			v.add("has a query, a fragment or a user (RFC 8414 section 2)", "write it as the authorization server does", "issuer")
		}
	}
	if c.ClientMetadata != "" {
		u, err := url.Parse(c.ClientMetadata)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.Path == "" || u.Path == "/" || u.Fragment != "" || u.User != nil {
			v.add("must be an address such as https://example.com/oauth/client.json, which the authorization server fetches", "", "client_id_metadata_document")
		}
	}
	for i, n := range c.Networks {
		switch p, err := netip.ParsePrefix(n); {
		case err != nil:
			v.add(fmt.Sprintf("%q is not a range of addresses", n), "write one such as 10.20.0.0/16, or 10.20.30.40/32", "networks", strconv.Itoa(i))
		case p.Bits() == 0:
			v.add(fmt.Sprintf("%q is every address", n), "name the network that the authorization server is in", "networks", strconv.Itoa(i))
		}
	}
}

// isScope tells whether s is a scope-token of RFC 6749 section 3.3.
func isScope(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
}

// Loopback tells whether a host, in lower case, can be no other machine.
func Loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// loopbackHost is Loopback in any case.
func loopbackHost(host string) bool { return Loopback(strings.ToLower(host)) }

// faults collects what is wrong.
type faults struct{ all []error }

func (v *faults) add(text, mend string, path ...string) {
	v.all = append(v.all, &FieldError{path, text, mend})
}

func (v *faults) joined() error { return errors.Join(v.all...) }
