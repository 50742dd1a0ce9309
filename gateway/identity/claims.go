package identity

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/interlock-mcp/interlock/policy"
)

// claims are what a token says (RFC 7519 section 4).
type claims map[string]any

var errClaims = errors.New("its claims are not a JSON object")

// parseClaims reads the payload of a token. One that names a claim twice is refused:
// others may have read the other.
func parseClaims(payload []byte) (claims, error) {
	var c claims
	if !jsontext.Value(payload).IsValid() || json.Unmarshal(payload, &c) != nil || c == nil {
		return nil, errClaims
	}
	return c, nil
}

// find returns the claim of a name or, if there is none, the one that a path with
// dots leads to. Some issuers have names with dots, and some put claims into others.
func (c claims) find(name string) any {
	if v, ok := c[name]; ok {
		return v
	}
	first, rest, path := strings.Cut(name, ".")
	if !path {
		return nil
	}
	if inner, ok := c[first].(map[string]any); ok {
		return claims(inner).find(rest)
	}
	return nil
}

// text returns a claim that is one.
func (c claims) text(name string) string {
	s, _ := c.find(name).(string)
	return s
}

// list returns the texts of a claim that is a list, or one text. divided takes a text
// apart at its spaces.
func (c claims) list(name string, divide func(string) []string) []string {
	switch v := c.find(name).(type) {
	case string:
		return divide(v)
	case []any:
		var out []string
		for _, item := range v {
			if s, ok := item.(string); ok && s != "" {
				out = append(out, s)
			}
		}
		return out
	}
	return nil
}

// whole takes a text as it is.
func whole(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// moment returns a NumericDate; ok is false where there is none that can be.
func (c claims) moment(name string) (at time.Time, ok bool) {
	f, ok := c[name].(float64)
	if !ok || f < 0 || f >= 1<<53 {
		return time.Time{}, false
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(frac*1e9)), true
}

// timely checks exp, nbf and iat (RFC 7519 section 4.1) against the time, and returns
// until when the token is accepted.
func (c claims) timely(now time.Time, skew time.Duration) (until time.Time, err error) {
	exp, ok := c.moment("exp")
	if !ok {
		return until, errors.New("it has no exp")
	}
	if until = exp.Add(skew); !now.Before(until) {
		return until, errors.New("expired")
	}
	for _, name := range []string{"nbf", "iat"} {
		at, ok := c.moment(name)
		if _, there := c[name]; there && !ok {
			return until, errors.New(name + " is not a time")
		}
		if ok && at.After(now.Add(skew)) {
			return until, errors.New(name + " is in the future")
		}
	}
	return until, nil
}

// has tells whether a claim has a value, or has it in its list.
func (c claims) has(name, value string) bool {
	is := func(v any) bool {
		switch v := v.(type) {
		case string:
			return v == value
		case bool:
			return strconv.FormatBool(v) == value
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64) == value
		}
		return false
	}
	v := c.find(name)
	if list, ok := v.([]any); ok {
		return slices.ContainsFunc(list, is)
	}
	return is(v)
}

// principal makes one of what the issuer's tokens say.
func (c claims) principal(o *OIDC) (*policy.Principal, error) {
	subject := c.text(or(o.SubjectClaim, "sub"))
	if subject == "" || len(subject) > 1024 {
		return nil, errors.New("it has no subject")
	}
	p := &policy.Principal{
		Issuer: o.Issuer, Subject: subject, Credential: "token",
		Groups: c.list(or(o.GroupsClaim, "groups"), whole),
	}
	if id := legible(c.text("jti")); id != "" {
		p.Credential += " " + id
	}
	if o.ScopesClaim != "" {
		p.Scopes = c.list(o.ScopesClaim, strings.Fields)
	} else {
		p.Scopes = distinct(append(c.list("scope", strings.Fields), c.list("scp", strings.Fields)...))
	}
	names := []string{o.NameClaim}
	if o.NameClaim == "" {
		names = []string{"preferred_username", "email", "name"}
	}
	for _, name := range names {
		if p.Name = legible(c.text(name)); p.Name != "" {
			break
		}
	}
	return p, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// legible returns a text for the log: what cannot be printed is left out, and what
// is longer than 128 characters is cut.
func legible(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == 128 {
			break
		}
		if r != utf8.RuneError && strconv.IsPrint(r) {
			b.WriteRune(r)
			n++
		}
	}
	return b.String()
}
