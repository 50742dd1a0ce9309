package oauth

import (
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"
)

const (
	maxScopes = 200
	offline   = "offline_access" // a refresh token (OpenID Connect Core section 11)
)

// scopesOf reads a list of scopes, a text with spaces or, as some servers have it, a
// list of texts. What is no scope is left out; nil if there is none.
func scopesOf(v any) []string {
	var all []string
	switch v := v.(type) {
	case string:
		all = strings.Fields(v)
	case []any:
		for _, x := range v {
			if s, ok := x.(string); ok {
				all = append(all, strings.Fields(s)...)
			}
		}
	}
	return union(all)
}

// union is all scopes of the lists, each once, in order of appearance; nil for none.
func union(lists ...[]string) []string {
	var out []string
	for _, l := range lists {
		for _, s := range l {
			if isScope(s) && len(s) <= 256 && len(out) < maxScopes && !slices.Contains(out, s) {
				out = append(out, s)
			}
		}
	}
	return out
}

// wanted are the scopes to ask for, nil to leave it to the authorization server.
//
// Those of the configuration are instead of the server's; else the server's go with
// those that were granted already: whoever signs in once more, for one more scope,
// must not lose the others (SEP-2350). What was asked for besides comes always.
// offline_access comes where the authorization server has it (SEP-2207), unless
// nothing else is asked for: it alone would take the place of the server's defaults.
func wanted(c *Config, d *Discovery, granted, more []string) []string {
	list := union(c.Scopes, more)
	if len(c.Scopes) == 0 {
		list = union(granted, d.Scopes, more)
	}
	if len(list) > 0 && refreshes(&d.Server) && slices.Contains(d.Server.ScopesSupported, offline) {
		list = union(list, []string{offline})
	}
	return list
}

// refreshes tells whether a server may give refresh tokens: one that lists its grants
// without that one does not.
func refreshes(s *oauthex.AuthServerMeta) bool {
	return len(s.GrantTypesSupported) == 0 || slices.Contains(s.GrantTypesSupported, grantRefresh)
}
