package config

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"

	"github.com/interlock-mcp/interlock/upstream"
)

// finish merges the layers, decodes and validates them. What it returns is
// complete only if no problem was found.
func (l *loader) finish() *Config {
	cfg := Defaults()
	doc := document{
		Server: cfg.Server, Names: cfg.Names, SignIn: cfg.SignIn, Telemetry: telemetryKeys{Config: cfg.Telemetry},
	}
	whole := merged(l.layers...)
	cfg.defaults, _ = whole["defaults"].(map[string]any)
	entries, _ := whole["upstreams"].(map[string]any)
	delete(whole, "defaults")
	delete(whole, "upstreams")
	l.decode(whole, &doc)
	cfg.Server, cfg.Admin, cfg.Names, cfg.Telemetry = doc.Server, doc.Admin, doc.Names, doc.Telemetry.Config
	cfg.Alerts = doc.Alerts.Config
	cfg.SignIn = doc.SignIn
	cfg.Policies = doc.Policies
	l.policyPaths(cfg.Policies)
	cfg.Profiles = l.profilesOf(doc.Profiles)
	cfg.StateDir = l.stateDir(doc.StateDir)
	if path := &cfg.Telemetry.Audit.Path; *path != "-" {
		*path = l.resolve(l.places.find([]string{"telemetry", "audit", "path"}).src, *path)
	}

	insecureHTTP := map[string]bool{}
	for _, name := range l.names {
		entry, ok := entries[name].(map[string]any)
		if !ok {
			continue // null in each layer, or not a table and reported
		}
		keys := l.entry(name, cfg.defaults, entry)
		insecureHTTP[name] = keys.InsecureHTTP
		cfg.Upstreams = append(cfg.Upstreams, keys.Config)
	}
	l.serverFiles(&cfg.Server.TLS)
	cfg.Sources = slices.Clone(l.paths)
	cfg.secrets = l.secrets
	cfg.insecureFiles = doc.InsecureFiles
	l.validate(&cfg, insecureHTTP)
	return &cfg
}

// entry decodes one upstream over the defaults.
func (l *loader) entry(name string, under, entry map[string]any) upstreamKeys {
	keys := upstreamKeys{Config: upstream.Defaults()}
	l.decode(merged(inherited(under, entry), entry), &keys)
	keys.Name = name
	keys.Config.DependsOn = l.dependencies(name, keys.DependsOn)
	l.settle(&keys.Config)
	return keys
}

// merged merges layers, later ones winning; tables merge by key, all else is
// replaced.
func merged(layers ...map[string]any) map[string]any {
	k := koanf.New(separator)
	for _, layer := range layers {
		// confmap returns no error, and merging is not strict.
		if err := k.Load(confmap.Provider(layer, ""), nil); err != nil {
			panic(err)
		}
	}
	return k.Raw()
}

// decode decodes values that were checked already, over the defaults in out. An
// error means that the check and the types disagree.
func (l *loader) decode(values map[string]any, out any) {
	k := koanf.New(separator)
	err := k.Load(confmap.Provider(values, ""), nil)
	if err == nil {
		err = k.UnmarshalWithConf("", out, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
			TagName: "koanf", ErrorUnused: true, Result: out,
			MatchName: func(key, field string) bool { return key == field },
		}})
	}
	if err != nil {
		l.problems.add(pos{}, "", fmt.Sprintf("cannot be decoded: %v", err), "")
	}
}

// dependencies returns the edges of an upstream in the order of the file.
func (l *loader) dependencies(name string, edges map[string]dependency) []upstream.Dependency {
	var out []upstream.Dependency
	for _, on := range sortedKeys(edges) {
		e := edges[on]
		if e.Condition == "" {
			e.Condition = upstream.ConditionRunning
		}
		out = append(out, upstream.Dependency{On: on, Condition: e.Condition, Restart: e.Restart})
	}
	line := func(d upstream.Dependency) pos { return l.place(name, "depends_on", d.On) }
	slices.SortStableFunc(out, func(a, b upstream.Dependency) int {
		p, q := line(a), line(b)
		if p.line != q.line {
			return p.line - q.line
		}
		return p.col - q.col
	})
	return out
}

// place returns the place of a key of an upstream: its own, else the one in
// defaults, else the upstream's.
func (l *loader) place(name string, path ...string) pos {
	full := append([]string{"upstreams", name}, path...)
	for ; len(full) > 2; full = full[:len(full)-1] {
		under := append([]string{"defaults"}, full[2:]...)
		for _, p := range [][]string{full, under} {
			if n := l.places.value(p); n != nil && n.kind < list {
				return n.at
			}
			if at, ok := l.places.key(p); ok {
				return at
			}
		}
	}
	return l.places.find(full)
}

// settle fills in what depends on where an upstream stands in the file.
func (l *loader) settle(u *upstream.Config) {
	for _, f := range []struct {
		path *string
		keys []string
	}{
		{&u.Cwd, []string{"cwd"}},
		{&u.TLS.CA, []string{"tls", "ca"}},
		{&u.TLS.Cert, []string{"tls", "cert"}},
		{&u.TLS.Key, []string{"tls", "key"}},
		{&u.Auth.PrivateKey, []string{"auth", "private_key"}},
	} {
		if *f.path != "" {
			*f.path = l.resolve(l.place(u.Name, f.keys...).src, *f.path)
		}
	}
}

func (l *loader) stateDir(dir string) string {
	if dir == "" {
		dir, _ = defaultStateDir(func(k string) string { return l.env[k] })
		return dir
	}
	return filepath.Clean(l.resolve(l.places.find([]string{"state_dir"}).src, dir))
}
