// Package builtin makes the policies that come with Interlock of the `policies`
// section of the configuration.
package builtin

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/access"
	"github.com/interlock-mcp/interlock/policy/flow"
	"github.com/interlock-mcp/interlock/policy/pin"
	"github.com/interlock-mcp/interlock/policy/plugin"
	"github.com/interlock-mcp/interlock/policy/rate"
	"github.com/interlock-mcp/interlock/policy/screen"
	"github.com/interlock-mcp/interlock/policy/secrets"
	"github.com/interlock-mcp/interlock/policy/validate"
)

// Config is one item of `policies`. Exactly one of the
// kinds is set.
type Config struct {
	// Name identifies the policy in answers, metrics and the audit; by default that
	// is its kind.
	Name string `koanf:"name"`
	// OnError is "deny" (the default) or "allow": what becomes of a call that the
	// policy could not decide.
	OnError policy.Effect `koanf:"on_error"`
	// DryRun has it report what it would do, and do nothing.
	DryRun bool `koanf:"dry_run"`
	// Timeout is how long it may take to decide, 0 for its kind's own.
	Timeout time.Duration `koanf:"timeout"`

	Access   *access.Config   `koanf:"access"`
	Flow     *flow.Config     `koanf:"flow"`
	Pin      *pin.Config      `koanf:"pin"`
	Plugin   *plugin.Config   `koanf:"plugin"`
	Rate     *rate.Config     `koanf:"rate"`
	Screen   *screen.Config   `koanf:"screen"`
	Secrets  *secrets.Config  `koanf:"secrets"`
	Validate *validate.Config `koanf:"validate"`
}

// section is the configuration of one kind of policy.
type section interface {
	// Validate returns every fault, joined, each a *policy.FieldError.
	Validate() error
	// New makes the policy. Of a valid configuration it fails only for what is
	// outside of it: a file, a process.
	New(policy.Env) (policy.Policy, error)
}

// files is a section that names files. Its Files have paths below its own key.
type files interface{ Files() []policy.File }

// Files are all keys of the policy that name files, so that relative paths can be
// made absolute before the policy is made.
func (c *Config) Files() []policy.File {
	keys, s := c.section()
	f, ok := s.(files)
	if !ok {
		return nil
	}
	all := f.Files()
	for i := range all {
		all[i].Path = append([]string{keys[len(keys)-1]}, all[i].Path...)
	}
	return all
}

// warner is a section that has something to say of itself that is no fault. The
// paths are below its own key.
type warner interface{ Warnings() []*policy.FieldError }

// Warnings are what is not wrong with the policies, but worth a thought. Paths begin
// with the number of the policy.
func Warnings(all []Config) []*policy.FieldError {
	var warnings []*policy.FieldError
	for i := range all {
		keys, s := all[i].section()
		if w, ok := s.(warner); ok {
			for _, fe := range w.Warnings() {
				fe.Path = append([]string{strconv.Itoa(i), keys[len(keys)-1]}, fe.Path...)
				warnings = append(warnings, fe)
			}
		}
	}
	return warnings
}

// kinds are all there are: the key, and the section that a configuration has
// there. A section that is absent is a nil pointer.
var kinds = []struct {
	key string
	of  func(*Config) section
}{
	{"access", func(c *Config) section { return c.Access }},
	{"flow", func(c *Config) section { return c.Flow }},
	{"pin", func(c *Config) section { return c.Pin }},
	{"plugin", func(c *Config) section { return c.Plugin }},
	{"rate", func(c *Config) section { return c.Rate }},
	{"screen", func(c *Config) section { return c.Screen }},
	{"secrets", func(c *Config) section { return c.Secrets }},
	{"validate", func(c *Config) section { return c.Validate }},
}

// Kinds are the keys that say what kind a policy is.
func Kinds() []string {
	keys := make([]string, len(kinds))
	for i, k := range kinds {
		keys[i] = k.key
	}
	return keys
}

// section returns the kinds that are set, and the section of the last of them.
func (c *Config) section() (keys []string, s section) {
	for _, k := range kinds {
		if of := k.of(c); of != nil && !reflect.ValueOf(of).IsNil() {
			keys, s = append(keys, k.key), of
		}
	}
	return keys, s
}

// Kind is the key that says what kind of policy it is, "" for none.
func (c *Config) Kind() string {
	keys, _ := c.section()
	if len(keys) == 0 {
		return ""
	}
	return keys[len(keys)-1]
}

// Called is the name of the policy.
func (c *Config) Called() string {
	if keys, _ := c.section(); c.Name == "" && len(keys) > 0 {
		return keys[0]
	}
	return c.Name
}

// Validate returns every fault of the policies, joined, each a *policy.FieldError
// whose path begins with the number of the policy.
func Validate(all []Config) error {
	var errs []error
	names := make(map[string]int)
	pinned := false
	for i := range all {
		c := &all[i]
		at := strconv.Itoa(i)
		bad := func(text, mend string, path ...string) {
			errs = append(errs, &policy.FieldError{Path: append([]string{at}, path...), Text: text, Mend: mend})
		}
		keys, s := c.section()
		switch len(keys) {
		case 0:
			bad("does not say what kind of policy it is", "add one of "+strings.Join(Kinds(), ", "))
			continue
		case 1:
		default:
			bad("has "+strings.Join(keys, " and "), "make each a policy of its own", keys[1])
		}
		if c.Pin != nil {
			if pinned {
				bad("is there a second time", "one lock file holds all that is approved", "pin")
			}
			pinned = true
		}
		switch first, taken := names[c.Called()]; {
		case !taken:
			names[c.Called()] = i
		case c.Name == "":
			bad(fmt.Sprintf("is called by its kind, as policy %d is", first+1), "add a name to one of them", keys[0])
		default:
			bad(fmt.Sprintf("is %q, as policy %d is called already", c.Name, first+1), "add another name", "name")
		}
		if c.OnError != "" && c.OnError != policy.Deny && c.OnError != policy.Allow {
			bad("must be deny or allow", "", "on_error")
		}
		if c.Timeout < 0 {
			bad("must not be negative", "", "timeout")
		}
		errs = append(errs, below(s.Validate(), at, keys[len(keys)-1])...)
	}
	return errors.Join(errs...)
}

// below puts path before that of each fault that was joined in err.
func below(err error, path ...string) []error {
	if err == nil {
		return nil
	}
	all := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		all = many.Unwrap()
	}
	for i, err := range all {
		if fe, ok := errors.AsType[*policy.FieldError](err); ok {
			deep := *fe
			deep.Path = append(append([]string(nil), path...), fe.Path...)
			all[i] = &deep
		}
	}
	return all
}
