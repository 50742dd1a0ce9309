package gateway

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream"
)

// plan says what becomes of the running upstreams with cfg, which came of files.
// It starts and changes nothing; inventories that were kept of what is new are
// read.
func (g *Gateway) plan(cfg, files *config.Config, warnings []string) admin.Plan {
	old := g.cfg.Load()
	p := admin.Plan{NeedRestart: needRestart(old, files), Keys: map[string][]string{}}
	for _, w := range files.Warnings {
		p.Warnings = append(p.Warnings, w.String())
	}
	p.Warnings = append(p.Warnings, warnings...)
	before, after := enabled(old), enabled(cfg)
	for _, c := range after {
		was := find(before, c.Name)
		switch {
		case was == nil:
			p.Added = append(p.Added, c.Name)
			continue
		case sameConfig(*was, c):
			p.Kept = append(p.Kept, c.Name)
			continue
		case was.RestartKey() != c.RestartKey():
			p.Restarted = append(p.Restarted, c.Name)
		default:
			p.Changed = append(p.Changed, c.Name)
		}
		p.Keys[c.Name] = changedKeys(was, &c)
	}
	for _, c := range before {
		if find(after, c.Name) == nil {
			p.Removed = append(p.Removed, c.Name)
		}
	}
	p.PoliciesAdded, p.PoliciesRemoved, p.PoliciesChanged = comparePolicies(old.Policies, cfg.Policies)
	p.Profiles = otherProfiles(old.Profiles, cfg.Profiles)
	now, then := g.toolNames(old, before), g.toolNames(cfg, after)
	p.ToolsAdded, p.ToolsRemoved = less(then, now), less(now, then)
	return p
}

// comparePolicies returns the names of the policies that are new, gone, or not as or
// where they were.
func comparePolicies(before, after []builtin.Config) (added, removed, changed []string) {
	at := func(all []builtin.Config, name string) int {
		return slices.IndexFunc(all, func(c builtin.Config) bool { return c.Called() == name })
	}
	for i := range before {
		if name := before[i].Called(); at(after, name) < 0 {
			removed = append(removed, name)
		}
	}
	last := -1 // where the one before stood
	for i := range after {
		was := at(before, after[i].Called())
		switch {
		case was < 0:
			added = append(added, after[i].Called())
			continue
		case was < last, !reflect.DeepEqual(before[was], after[i]):
			changed = append(changed, after[i].Called())
		}
		last = max(last, was)
	}
	return added, removed, changed
}

// otherProfiles names the profiles that only one of two configurations has, or that
// differ, sorted.
func otherProfiles(before, after []config.Profile) []string {
	were := make(map[string]config.Profile, len(before))
	for _, p := range before {
		were[p.Name] = p
	}
	var names []string
	for _, p := range after {
		if was, ok := were[p.Name]; !ok || !reflect.DeepEqual(was, p) {
			names = append(names, p.Name)
		}
		delete(were, p.Name)
	}
	for name := range were {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sameConfig tells whether a change of one into the other is none.
func sameConfig(a, b upstream.Config) bool { return reflect.DeepEqual(a, b) }

func enabled(c *config.Config) []upstream.Config {
	return slices.DeleteFunc(slices.Clone(c.Upstreams), func(u upstream.Config) bool { return !u.Enabled })
}

func find(list []upstream.Config, name string) *upstream.Config {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

// changedKeys returns the keys of the file, sorted, in which two upstreams differ.
func changedKeys(a, b *upstream.Config) []string {
	var keys []string
	va, vb := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range va.NumField() {
		key := va.Type().Field(i).Tag.Get("koanf")
		if key == "-" {
			key = map[string]string{"DependsOn": "depends_on"}[va.Type().Field(i).Name]
		}
		if key != "" && !reflect.DeepEqual(va.Field(i).Interface(), vb.Field(i).Interface()) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// toolNames are the tools that clients are listed with a configuration, as far as
// it is known what the upstreams offer.
func (g *Gateway) toolNames(cfg *config.Config, list []upstream.Config) []string {
	offers := make([]router.Offer, len(list))
	for i := range list {
		c := &list[i]
		o := offered{name: c.Name, config: c, listed: true}
		u := g.set.Upstream(c.Name)
		if u == nil || u.Config().RestartKey() != c.RestartKey() {
			o.inventory = g.set.Kept(c)
		}
		if u != nil {
			o.listed = u.Status().Desired
			if o.inventory == nil {
				o.inventory = u.Inventory()
			}
		}
		offers[i] = offerOf(o)
	}
	var names []string
	for _, e := range router.Build(cfg.Names, offers).Entries(router.Tools) {
		if e.Listed {
			names = append(names, e.Exposed)
		}
	}
	return names
}

// less returns those of a that are not in b, sorted.
func less(a, b []string) []string {
	there := make(map[string]bool, len(b))
	for _, name := range b {
		there[name] = true
	}
	var out []string
	for _, name := range a {
		if !there[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// needRestart names the changed keys that apply when the gateway starts next.
func needRestart(old, cfg *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		key     string
		changed bool
	}{
		{"server.listen", old.Server.Listen != cfg.Server.Listen},
		{"server.tls", old.Server.TLS != cfg.Server.TLS},
		{"server.path", old.Server.Path != cfg.Server.Path},
		{"admin", old.Admin != cfg.Admin},
		{"state_dir", old.StateDir != cfg.StateDir},
		{"telemetry", fmt.Sprint(old.Telemetry) != fmt.Sprint(cfg.Telemetry)},
	} {
		if k.changed {
			keys = append(keys, k.key)
		}
	}
	return keys
}
