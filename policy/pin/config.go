package pin

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
)

// Action is what is done with a definition that was not approved as it is.
type Action string

// The actions.
const (
	Serve Action = "serve" // it is offered, and reported
	Hide  Action = "hide"  // it is not listed, and unknown to whoever calls it
	// Block keeps a changed one listed as it was approved, and refuses calls. A new one
	// is not listed.
	Block Action = "block"
)

// First is what is done with an upstream that was never seen.
type First string

// What First may be.
const (
	Trust     First = "trust" // what it offers then is approved
	HideFirst First = "hide"  // nothing of it is listed until it is approved
)

// FileName is the name of the lock file if none is configured.
const FileName = "interlock.pins.yaml"

// Config is the `pin` section of a policy.
type Config struct {
	// File is the lock file; by default interlock.pins.yaml beside the file that has
	// the policy.
	File string `koanf:"file"`
	// Added is what is done with what was never approved, of an upstream that is known:
	// serve, hide (the default) or block, which is the same for something new.
	Added Action `koanf:"new"`
	// Changed is what is done with what is not as it was approved: serve, hide or block
	// (the default).
	Changed Action `koanf:"changed"`
	// First is trust (the default) or hide: what an upstream that was never seen offers
	// is approved by itself, or hidden.
	First First `koanf:"first"`
	// Kinds are what is pinned: tool, prompt and instructions by default; also resource
	// and resource_template.
	Kinds []policy.Kind `koanf:"kinds"`
}

// Files are the keys that name files. What is empty gets its default, so that it is
// beside the configuration.
func (c *Config) Files() []policy.File {
	if c.File == "" {
		c.File = FileName
	}
	return []policy.File{{Path: []string{"file"}, Value: &c.File}}
}

// Validate returns every fault, joined, each a *policy.FieldError.
func (c *Config) Validate() error {
	var errs []error
	bad := func(text, mend string, path ...string) {
		errs = append(errs, &policy.FieldError{Path: path, Text: text, Mend: mend})
	}
	for _, a := range []struct {
		key   string
		value Action
	}{{"new", c.Added}, {"changed", c.Changed}} {
		if !slices.Contains([]Action{"", Serve, Hide, Block}, a.value) {
			bad(fmt.Sprintf("is %q", string(a.value)), "write serve, hide or block", a.key)
		}
	}
	if !slices.Contains([]First{"", Trust, HideFirst}, c.First) {
		bad(fmt.Sprintf("is %q", string(c.First)), "write trust or hide", "first")
	}
	for i, k := range c.Kinds {
		at := fmt.Sprint(i)
		switch {
		case !slices.Contains(kinds, k):
			bad(fmt.Sprintf("is %q", string(k)), "write "+words(), "kinds", at)
		case slices.Contains(c.Kinds[:i], k):
			bad(fmt.Sprintf("is %q, which is there already", string(k)), "", "kinds", at)
		}
	}
	return errors.Join(errs...)
}

// kinds are all kinds of definition, in the order of the lock file.
var kinds = []policy.Kind{policy.Instructions, policy.Tool, policy.Prompt, policy.Template, policy.Resource}

func words() string {
	var all []string
	for _, k := range kinds {
		all = append(all, string(k))
	}
	last := len(all) - 1
	return strings.Join(all[:last], ", ") + " or " + all[last]
}

// filled is c with its defaults.
func (c *Config) filled() Config {
	f := *c
	if f.Added == "" {
		f.Added = Hide
	}
	if f.Changed == "" {
		f.Changed = Block
	}
	if f.First == "" {
		f.First = Trust
	}
	if f.Kinds == nil {
		f.Kinds = []policy.Kind{policy.Tool, policy.Prompt, policy.Instructions}
	}
	return f
}
