package router

import (
	"errors"
	"fmt"
	"strings"
)

// Config says how names are made. The koanf tags are the keys of the `names`
// section. The zero value is not usable: start from Defaults.
type Config struct {
	// Separator stands between an upstream's prefix and its own name. No prefix
	// may contain it, so that a client's wildcard rule for one upstream never
	// covers another.
	Separator string `koanf:"separator"`
	// Max is how many characters a name may have where a model reads it.
	Max int `koanf:"max"`
	// ClientPrefix is what clients put before every name of ours before a model
	// reads it; its length is taken off Max.
	ClientPrefix string `koanf:"client_prefix"`
}

// minBudget is the least that Max less ClientPrefix may be: a hash suffix and
// something a person can still recognise.
const minBudget = 16

// minName is what a prefix must leave: one character and a hash.
const minName = 1 + hashLen

// Defaults returns the configuration that is used when nothing is said.
func Defaults() Config {
	return Config{Separator: "__", Max: 64, ClientPrefix: "mcp__interlock__"}
}

// FieldError is a fault of one key. Path is the key's path below its section, Mend
// how to mend it, "" where the text says enough.
type FieldError struct {
	Path []string
	Text string
	Mend string
}

func (e *FieldError) Error() string { return strings.Join(e.Path, ".") + ": " + e.Text }

// Validate returns every fault of c, joined, each a *FieldError.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, text string) { errs = append(errs, &FieldError{Path: []string{key}, Text: text}) }
	switch {
	case c.Separator == "":
		bad("separator", "must not be empty")
	case !legal(c.Separator):
		bad("separator", "may contain only letters, digits, _ and -")
	case len(c.Separator) > 8:
		bad("separator", "must be at most 8 characters")
	}
	if !legal(c.ClientPrefix) {
		bad("client_prefix", "may contain only letters, digits, _ and -")
	}
	switch {
	case c.Max > maxOwnName:
		bad("max", fmt.Sprintf("must be at most %d: no model API accepts longer names", maxOwnName))
	case c.Budget() < minBudget:
		bad("max", fmt.Sprintf("must leave at least %d characters after client_prefix (%d)", minBudget, len(c.ClientPrefix)))
	}
	return errors.Join(errs...)
}

// Budget is how long a name of ours may be.
func (c Config) Budget() int { return c.Max - len(c.ClientPrefix) }

// CheckPrefix returns why prefix cannot go before an upstream's names, or nil.
// The empty prefix is fine: names pass as the upstream has them.
func (c Config) CheckPrefix(prefix string) error {
	switch {
	case prefix == "":
		return nil
	case !legal(prefix):
		return fmt.Errorf("prefix %q: may contain only letters, digits, _ and -", prefix)
	case c.Separator != "" && strings.Contains(prefix, c.Separator):
		return fmt.Errorf("prefix %q: may not contain the separator %q", prefix, c.Separator)
	case strings.Index(prefix+c.Separator, c.Separator) != len(prefix):
		return fmt.Errorf("prefix %q: runs together with the separator %q; end it otherwise", prefix, c.Separator)
	case len(prefix)+len(c.Separator) > c.Budget()-minName:
		return fmt.Errorf("prefix %q: leaves no room for a name: use at most %d characters, or raise names.max",
			prefix, max(0, c.Budget()-minName-len(c.Separator)))
	}
	return nil
}

// maxOwnName is the longest name an upstream may give a thing (SEP-986).
const maxOwnName = 128

// legal reports whether s has only characters that model APIs accept.
func legal(s string) bool {
	for i := range len(s) {
		if !legalByte(s[i]) {
			return false
		}
	}
	return true
}

func legalByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-'
}
