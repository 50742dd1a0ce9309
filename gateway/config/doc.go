// Package config reads Interlock's configuration.
//
// A configuration is one file or several, in YAML, JSON (with comments) or
// TOML; each is parsed once into a tree that knows where each value stands.
// On the tree variables are expanded, the keys of other clients translated, and
// each value is checked against the type of its key; the resulting layers are
// merged and decoded by koanf, and the whole is validated. All that is wrong is
// reported at once, as an *Errors whose problems have a file, line and column.
//
// The package starts no goroutine but in Watch, which ends before it returns, and
// knows nothing of running upstreams. No value that was expanded from a variable
// and no value of a key that holds secrets appears in a Problem.
package config
