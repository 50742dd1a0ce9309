package identity

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// maxCredential is the longest credential that is looked at, in bytes.
const maxCredential = 16 << 10

// Faults of how a credential is presented.
var (
	errQuery    = errors.New("a credential in the query of the URL")
	errMany     = errors.New("more than one credential")
	errTooLong  = errors.New("longer than 16 KiB")
	errNoBearer = errors.New("not of the form Authorization: Bearer TOKEN")
)

// credentialOf returns the credential of a request, "" for none: what follows
// "Bearer" in Authorization (RFC 6750 section 2.1), or the value of X-API-Key, for
// clients that use Authorization for something else. Authorization of another
// scheme, which may be meant for a proxy before us, does not count then. A
// credential in the URL is refused whatever else there is: by now it is in the logs
// of every proxy on the way.
func credentialOf(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" && credentialInQuery(r.URL.RawQuery) {
		return "", errQuery
	}
	authorization, own := r.Header["Authorization"], r.Header["X-Api-Key"]
	if len(authorization) > 1 || len(own) > 1 {
		return "", errMany
	}
	token, bearer := "", false
	if len(authorization) == 1 {
		token, bearer = bearerToken(authorization[0])
	}
	switch {
	case len(own) == 1 && bearer:
		return "", errMany
	case len(own) == 1:
		if token = own[0]; !strings.HasPrefix(token, KeyPrefix) {
			return "", errNoBearer
		}
	case len(authorization) == 0:
		return "", nil
	}
	switch {
	case len(token) > maxCredential:
		return "", errTooLong
	case token == "" || !token68(token):
		return "", errNoBearer
	}
	return token, nil
}

// bearerToken returns what follows the scheme; bearer tells whether that is Bearer,
// in any case (RFC 9110 section 11.1).
func bearerToken(value string) (token string, bearer bool) {
	const scheme = "bearer"
	if len(value) < len(scheme) || !strings.EqualFold(value[:len(scheme)], scheme) {
		return "", false
	}
	rest := value[len(scheme):]
	if token = strings.TrimLeft(rest, " "); token == rest && rest != "" {
		return "", false // a scheme that begins like ours
	}
	return token, true
}

// token68 tells whether s is a b64token (RFC 6750 section 2.1).
func token68(s string) bool {
	s = strings.TrimRight(s, "=")
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '~', c == '+', c == '/':
		default:
			return false
		}
	}
	return s != ""
}

// credentialInQuery tells whether a query has a credential: under a name that is
// used for one (RFC 6750 section 2.3 and what people do), or by how it looks.
func credentialInQuery(raw string) bool {
	if strings.Contains(raw, KeyPrefix) {
		return true
	}
	for pair := range strings.FieldsFuncSeq(raw, func(r rune) bool { return r == '&' || r == ';' }) {
		if plain, err := url.QueryUnescape(pair); err == nil && strings.Contains(plain, KeyPrefix) {
			return true
		}
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		switch strings.ReplaceAll(strings.ToLower(name), "-", "_") {
		case "access_token", "id_token", "token", "bearer", "bearer_token", "authorization", "api_key", "apikey", "x_api_key":
			return true
		}
	}
	return false
}
