package config

import (
	"slices"
	"strings"
)

// Locate returns where the gateway of a configuration listens for its operator,
// and its state folder, also when something else in the configuration is at
// fault: a command that asks a running gateway needs no more, and a variable that
// is only set where the gateway runs must not keep an operator from it. The
// error is as that of Load, of a file that cannot be read or of a fault in these
// very keys.
func Locate(o LoadOptions) (Admin, string, error) {
	l := newLoader(o)
	cfg, err := l.load()
	if err != nil {
		return Admin{}, "", err
	}
	for _, f := range l.problems.errors {
		l.lost = l.lost || locates(f.Key)
	}
	if l.lost {
		return Admin{}, "", &Errors{l.shown(l.problems.errors)}
	}
	return cfg.Admin, cfg.StateDir, nil
}

// locates reports whether a key is one that Locate reads.
func locates(key string) bool {
	top, _, _ := strings.Cut(key, ".")
	return top == "admin" || top == "state_dir" || top == "include"
}

// LoadFor is Load for who has to do with one upstream alone. What is wrong elsewhere
// is left out, and what it is wrong with is not to be relied on: of the result count
// that upstream, if the file has it, Admin, StateDir, SignIn and Server.PublicURL.
func LoadFor(o LoadOptions, upstream string) (*Config, error) {
	l := newLoader(o)
	cfg, err := l.load()
	if err != nil {
		return nil, err
	}
	faults := slices.DeleteFunc(slices.Clone(l.problems.errors), func(f found) bool { return !l.lost && !concerns(f.Key, upstream) })
	if len(faults) > 0 {
		return nil, &Errors{l.shown(faults)}
	}
	return cfg, nil
}

// concerns reports whether a fault in a key is one of LoadFor.
func concerns(key, upstream string) bool {
	own := dotted([]string{"upstreams", upstream})
	switch {
	case key == "" || locates(key) || key == own || strings.HasPrefix(key, own+"."):
		return true
	case key == "server.public_url" || key == "defaults" || strings.HasPrefix(key, "defaults."):
		return true
	}
	top, _, _ := strings.Cut(key, ".")
	return top == "sign_in"
}
