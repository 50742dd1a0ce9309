package identity

import (
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/policy"
)

func TestNewKey(t *testing.T) {
	key, hash := NewKey()
	again, _ := NewKey()
	if key == again || !strings.HasPrefix(key, "ilk_") || len(key) != 4+64 {
		t.Errorf("keys %q and %q", key, again)
	}
	if got, err := HashKey(key); err != nil || got != hash || !hashForm(hash) {
		t.Errorf("HashKey = %q, %v; want %q", got, err, hash)
	}
	for _, bad := range []string{"", "ilk_", "ilk_" + strings.Repeat("A", 64), key + "0", key[4:], "password"} {
		if _, err := HashKey(bad); err == nil {
			t.Errorf("%q is taken for a key", bad)
		}
	}
}

func TestKeys(t *testing.T) {
	laptop, laptopHash := NewKey()
	server, serverHash := NewKey()
	bob, bobHash := NewKey()
	unknown, _ := NewKey()
	a := newKit(t, Config{APIKeys: []APIKey{
		{Principal: "ci", Name: "laptop", Hash: laptopHash, Scopes: []string{"mcp"}, Groups: []string{"dev"}},
		{Principal: "ci", Name: "server", Hash: serverHash},
		{Principal: "bob", Hash: bobHash},
	}})
	for _, c := range []struct {
		key  string
		want *policy.Principal
	}{
		{laptop, &policy.Principal{Issuer: "interlock", Subject: "ci", Name: "ci", Scopes: []string{"mcp"}, Groups: []string{"dev"}, Credential: "key laptop"}},
		{server, &policy.Principal{Issuer: "interlock", Subject: "ci", Name: "ci", Credential: "key server"}},
		{bob, &policy.Principal{Issuer: "interlock", Subject: "bob", Name: "bob", Credential: "key"}},
		{unknown, nil},
		{strings.ToUpper(laptop), nil},
		{laptop[:len(laptop)-1], nil},
		{laptop + "0", nil},
		{laptopHash, nil},
		{"ilk_", nil},
	} {
		p, ch := a.Authenticate(t.Context(), request(c.key))
		if diff := cmp.Diff(c.want, p); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if (ch == nil) != (c.want != nil) || ch != nil && (ch.Status != http.StatusUnauthorized || ch.Reason() != "invalid_token") {
			t.Errorf("challenge %+v", ch)
		}
		if strings.Contains(a.log.String(), c.key) && len(c.key) > 4 {
			t.Errorf("the log holds the key: %s", a.log)
		}
	}
}

func TestKeyExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // begins at midnight of 2000-01-01, UTC
		key, hash := NewKey()
		day := newKit(t, Config{APIKeys: []APIKey{{Principal: "ci", Name: "k", Hash: hash, Expires: "2000-01-01"}}})
		moment := newKit(t, Config{APIKeys: []APIKey{{Principal: "ci", Hash: hash, Expires: "2000-01-01T12:00:00+01:00"}}})
		valid := func(a *kit) bool {
			_, c := a.Authenticate(t.Context(), request(key))
			return c == nil
		}
		time.Sleep(11*time.Hour - time.Second)
		if !valid(day) || !valid(moment) {
			t.Error("expired too early")
		}
		time.Sleep(time.Second)
		if !valid(day) || valid(moment) {
			t.Error("the moment is past at 11:00 UTC, the day is not")
		}
		time.Sleep(13 * time.Hour)
		if valid(day) {
			t.Error("the day is over")
		}
		if line := lastLine(day.log); !strings.Contains(line, "reason=expired") || !strings.Contains(line, `credential="key k"`) {
			t.Errorf("the log does not name the key: %s", line)
		}
	})
}

// TestPresented is where a credential may stand, and where not.
func TestPresented(t *testing.T) {
	key, hash := NewKey()
	a := newKit(t, Config{APIKeys: []APIKey{{Principal: "ci", Hash: hash}}})
	for name, c := range map[string]struct {
		header http.Header
		query  string
		want   string // of Reason, "" for let in
	}{
		"bearer":                     {header: http.Header{"Authorization": {"Bearer " + key}}},
		"any case":                   {header: http.Header{"Authorization": {"bEARER  " + key}}},
		"own header":                 {header: http.Header{"X-Api-Key": {key}}},
		"own header, basic before":   {header: http.Header{"X-Api-Key": {key}, "Authorization": {"Basic eDp5"}}},
		"harmless query":             {header: http.Header{"X-Api-Key": {key}}, query: "session=1&tokens=5"},
		"nothing":                    {want: "unauthenticated"},
		"another header":             {header: http.Header{"Api-Key": {key}}, want: "unauthenticated"},
		"basic":                      {header: http.Header{"Authorization": {"Basic " + key}}, want: "invalid_token"},
		"no scheme":                  {header: http.Header{"Authorization": {key}}, want: "invalid_token"},
		"scheme alone":               {header: http.Header{"Authorization": {"Bearer"}}, want: "invalid_token"},
		"scheme and a space":         {header: http.Header{"Authorization": {"Bearer "}}, want: "invalid_token"},
		"empty":                      {header: http.Header{"Authorization": {""}}, want: "invalid_token"},
		"a scheme that begins so":    {header: http.Header{"Authorization": {"BearerX " + key}}, want: "invalid_token"},
		"no space":                   {header: http.Header{"Authorization": {"Bearer" + key}}, want: "invalid_token"},
		"tab":                        {header: http.Header{"Authorization": {"Bearer\t" + key}}, want: "invalid_token"},
		"two words":                  {header: http.Header{"Authorization": {"Bearer " + key + " " + key}}, want: "invalid_token"},
		"list":                       {header: http.Header{"Authorization": {"Bearer " + key + ", Bearer " + key}}, want: "invalid_token"},
		"two headers":                {header: http.Header{"Authorization": {"Bearer " + key, "Bearer " + key}}, want: "invalid_token"},
		"both headers":               {header: http.Header{"Authorization": {"Bearer " + key}, "X-Api-Key": {key}}, want: "invalid_token"},
		"two own headers":            {header: http.Header{"X-Api-Key": {key, key}}, want: "invalid_token"},
		"token in the own header":    {header: http.Header{"X-Api-Key": {"a.b.c"}}, want: "invalid_token"},
		"not ASCII":                  {header: http.Header{"Authorization": {"Bearer ilk_é"}}, want: "invalid_token"},
		"in the query":               {query: "access_token=" + key, want: "invalid_token"},
		"in the query, escaped":      {header: http.Header{"Authorization": {"Bearer " + key}}, query: "a=%zz&x=%69lk_" + key[len(KeyPrefix):], want: "invalid_token"},
		"in the query, another name": {query: "k=" + key, want: "invalid_token"},
		"a token in the query":       {query: "a=1;Access%5Ftoken=a.b.c", want: "invalid_token"},
		"api key in the query":       {query: "api-key=x", want: "invalid_token"},
		"in both":                    {header: http.Header{"Authorization": {"Bearer " + key}}, query: "token=x", want: "invalid_token"},
	} {
		r := request("")
		maps.Copy(r.Header, c.header)
		r.URL.RawQuery = c.query
		_, ch := a.Authenticate(t.Context(), r)
		switch {
		case ch == nil && c.want != "":
			t.Errorf("%s: let in", name)
		case ch != nil && (ch.Status != http.StatusUnauthorized || ch.Reason() != c.want):
			t.Errorf("%s: %d %s, want %q", name, ch.Status, ch.Reason(), c.want)
		}
	}
}

func TestLocalIsNobodysKey(t *testing.T) {
	_, hash := NewKey()
	for _, name := range []string{"local", "operator"} {
		c := Config{APIKeys: []APIKey{{Principal: name, Hash: hash}}}
		if fe, ok := errors.AsType[*policy.FieldError](c.Validate()); !ok || !strings.Contains(fe.Text, "gateway's own") {
			t.Errorf("a key of %s: %v", name, c.Validate())
		}
	}
	if key := Local().Key(); key == "" {
		t.Error("who is local is anonymous")
	}
}
