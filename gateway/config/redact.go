package config

import (
	"encoding"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/oauth"
)

const hiddenText = "***"

// Redact returns a copy of an upstream's configuration that may be shown: what
// came from a variable, the values of env and headers, passwords in URLs and
// what follows a flag such as --token are "***".
func (c *Config) Redact(u upstream.Config) upstream.Config {
	u.Command = c.hide(u.Command)
	u.URL = c.hideURL(u.URL)
	u.Cwd = c.hide(u.Cwd)
	u.Args = slices.Clone(u.Args)
	for i, arg := range u.Args {
		flag, value, pair := strings.Cut(arg, "=")
		switch {
		case pair && value != "" && secretKey.MatchString(flag):
			u.Args[i] = flag + "=" + hiddenText
		case i > 0 && strings.HasPrefix(u.Args[i-1], "-") && !strings.Contains(u.Args[i-1], "=") && secretKey.MatchString(u.Args[i-1]):
			u.Args[i] = hiddenText
		case strings.Contains(arg, "://"):
			u.Args[i] = c.hideURL(arg)
		default:
			u.Args[i] = c.hide(arg)
		}
	}
	u.Env, u.Headers = hideAll(u.Env), hideAll(u.Headers)
	u.Auth = c.hideAuth(u.Auth)
	return u
}

// hideAuth hides what a variable went into; the secrets show themselves as "***".
func (c *Config) hideAuth(a oauth.Config) oauth.Config {
	a.Issuer, a.ClientMetadata = c.hideURL(a.Issuer), c.hideURL(a.ClientMetadata)
	a.ClientID, a.PrivateKey = c.hide(a.ClientID), c.hide(a.PrivateKey)
	for _, list := range []*[]string{&a.Scopes, &a.Networks} {
		*list = slices.Clone(*list)
		for i, s := range *list {
			(*list)[i] = c.hide(s)
		}
	}
	return a
}

// hide hides a text that a variable went into.
func (c *Config) hide(s string) string {
	if s != "" && slices.Contains(c.secrets, s) {
		return hiddenText
	}
	return s
}

func (c *Config) hideURL(s string) string {
	if c.hide(s) != s {
		return hiddenText
	}
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	if u.User != nil {
		s = strings.Replace(s, u.User.String()+"@", hiddenText+"@", 1)
	}
	if u.RawQuery != "" {
		pairs := strings.Split(u.RawQuery, "&")
		for i, p := range pairs {
			if k, _, ok := strings.Cut(p, "="); ok {
				pairs[i] = k + "=" + hiddenText
			}
		}
		s = strings.Replace(s, u.RawQuery, strings.Join(pairs, "&"), 1)
	}
	return s
}

func hideAll(m map[string]string) map[string]string {
	out := maps.Clone(m)
	for k := range out {
		out[k] = hiddenText
	}
	return out
}

// Keys returns an upstream's configuration under the keys of the file, ready for
// JSON or YAML: redacted, durations as text, without what is empty.
func (c *Config) Keys(u upstream.Config) map[string]any {
	u.Health.Interval = u.Interval() // the default depends on the kind
	out, _ := keyed(reflect.ValueOf(c.Redact(u))).(map[string]any)
	if u.Prefix != nil {
		out["prefix"] = *u.Prefix
	}
	edges := map[string]any{}
	for _, d := range u.DependsOn {
		edges[d.On] = map[string]any{"condition": string(d.Condition), "restart": d.Restart}
	}
	if len(edges) > 0 {
		out["depends_on"] = edges
	}
	return out
}

// keyed returns a value under its koanf tags, nil if it is empty. Booleans and
// numbers are never empty.
func keyed(v reflect.Value) any {
	if d, ok := reflect.TypeAssert[time.Duration](v); ok {
		return d.String()
	}
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for i := range v.NumField() {
			key, option, _ := strings.Cut(v.Type().Field(i).Tag.Get("koanf"), ",")
			if option == "squash" {
				inner, _ := keyed(v.Field(i)).(map[string]any)
				maps.Copy(out, inner)
				continue
			}
			if key == "" || key == "-" {
				continue
			}
			if inner := keyed(v.Field(i)); inner != nil {
				out[key] = inner
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		inner := keyed(v.Elem())
		if inner == nil && v.Elem().Kind() == reflect.Struct {
			return map[string]any{} // that it is there says something
		}
		return inner
	case reflect.String:
		if v.Len() == 0 {
			return nil
		}
		if m, ok := reflect.TypeAssert[encoding.TextMarshaler](v); ok { // a secret's text is ***
			if text, err := m.MarshalText(); err == nil {
				return string(text)
			}
		}
		return v.String()
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		switch elem := v.Type().Elem().Kind(); {
		case elem != reflect.Struct && elem != reflect.Pointer:
		case v.Kind() == reflect.Slice:
			out := make([]any, v.Len())
			for i := range out {
				out[i] = keyed(v.Index(i))
			}
			return out
		default:
			out := map[string]any{}
			for key, inner := range v.Seq2() {
				out[key.String()] = keyed(inner)
			}
			return out
		}
	}
	return v.Interface()
}
