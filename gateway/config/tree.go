package config

import (
	"reflect"
	"slices"
)

// Tree returns the whole configuration under the keys of the file, ready for JSON
// or YAML: redacted, durations as text, without what is empty.
func (c *Config) Tree() map[string]any {
	out := map[string]any{}
	for key, part := range map[string]any{"server": c.Server, "admin": c.Admin, "names": c.Names, "telemetry": c.Telemetry, "alerts": c.Alerts, "sign_in": c.SignIn, "policies": c.Policies} {
		if tree := keyed(reflect.ValueOf(part)); tree != nil {
			out[key] = c.hideTree([]string{key}, tree)
		}
	}
	ups := map[string]any{}
	for _, u := range c.Upstreams {
		ups[u.Name] = c.Keys(u)
	}
	out["upstreams"] = ups
	profiles := map[string]any{}
	for _, p := range c.Profiles {
		profiles[p.Name] = c.hideTree([]string{"profiles", p.Name}, keyed(reflect.ValueOf(p)))
	}
	if len(profiles) > 0 {
		out["profiles"] = profiles
	}
	if c.StateDir != "" {
		out["state_dir"] = c.StateDir
	}
	return out
}

// hideTree hides what may be secret in what keyed returned.
func (c *Config) hideTree(path []string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			v[key] = c.hideTree(child(path, key), inner)
		}
	case []any:
		for i, inner := range v {
			v[i] = c.hideTree(path, inner)
		}
	case string:
		if secretKey.MatchString(last(path)) || slices.ContainsFunc(path, secretTable) {
			return hiddenText
		}
		return c.hideURL(v)
	}
	return v
}
