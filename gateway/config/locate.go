package config

import "strings"

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
