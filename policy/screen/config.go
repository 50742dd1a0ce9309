package screen

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/narrow"
)

// Action is what is done when something is found.
type Action string

// The actions.
const (
	Allow  Action = "allow"  // nothing
	Report Action = "report" // it is noted, and passes
	Strip  Action = "strip"  // it is taken out
	Hide   Action = "hide"   // the definition is not listed
	Block  Action = "block"  // the answer or message is refused
)

// Config is the `screen` section of a policy.
type Config struct {
	narrow.Config `koanf:",squash"`
	// Definitions says what is done with tools, prompts, resources and instructions in
	// which something is found.
	Definitions Definitions `koanf:"definitions"`
	// Results says the same of answers, errors and what servers send of themselves.
	Results Results `koanf:"results"`
	// Limits are how large what servers send may be.
	Limits Limits `koanf:"limits"`
}

// Definitions are actions: hide, strip, report or allow. Names and Size have no strip.
type Definitions struct {
	// Smuggled are characters that carry text nobody sees: tags, and variation selectors
	// that select nothing. By default hide.
	Smuggled Action `koanf:"smuggled"`
	// Invisible are zero-width and other invisible characters where no script needs them.
	// By default strip.
	Invisible Action `koanf:"invisible"`
	// Bidi are changes of direction that make a text look like another one. By default
	// strip.
	Bidi Action `koanf:"bidi"`
	// Control are escape sequences of terminals (ANSI) and control characters. By default
	// strip.
	Control Action `koanf:"control"`
	// Private are characters without a public meaning. By default strip.
	Private Action `koanf:"private"`
	// Names are names of other upstreams' tools. By default report.
	Names Action `koanf:"names"`
	// Size is what is larger than the limits. By default hide.
	Size Action `koanf:"size"`
}

// Results are actions: block, strip, report or allow. Size has no strip.
type Results struct {
	// Smuggled are characters that carry text nobody sees. By default strip.
	Smuggled Action `koanf:"smuggled"`
	// Invisible are invisible characters where no script needs them. By default strip.
	Invisible Action `koanf:"invisible"`
	// Bidi are changes of direction that make a text look like another one. By default
	// strip.
	Bidi Action `koanf:"bidi"`
	// Control are escape sequences of terminals and control characters. By default strip.
	Control Action `koanf:"control"`
	// Private are characters without a public meaning. By default allow: the symbols of
	// terminals' fonts are such.
	Private Action `koanf:"private"`
	// Size is what is larger than the limit. By default block.
	Size Action `koanf:"size"`
}

// Limits are the largest sizes; 0 is the default, and a negative one no limit.
type Limits struct {
	// Definition is in bytes, 64KiB by default.
	Definition int64 `koanf:"definition"`
	// Description is that of each description in a definition, in characters, 16384 by
	// default.
	Description int64 `koanf:"description"`
	// Result is that of an answer or message in bytes; there is no limit by default but
	// that of the upstream (max_message).
	Result int64 `koanf:"result"`
	// Name is how long a tool's name must be to be looked for in other definitions when
	// it is written like a word, 12 by default. Names such as read_file or readFile are
	// looked for from 5 characters on.
	Name int64 `koanf:"name"`
}

const (
	defaultDefinition  = 64 << 10
	defaultDescription = 16 << 10
	defaultName        = 12
)

// setting is a key and its value, with its default and what it may be.
type setting struct {
	key       string
	value     *Action
	otherwise Action
	may       []Action
}

func (d *Definitions) settings() []setting {
	all, some := []Action{Hide, Strip, Report, Allow}, []Action{Hide, Report, Allow}
	return []setting{
		{"smuggled", &d.Smuggled, Hide, all},
		{"invisible", &d.Invisible, Strip, all},
		{"bidi", &d.Bidi, Strip, all},
		{"control", &d.Control, Strip, all},
		{"private", &d.Private, Strip, all},
		{"names", &d.Names, Report, some},
		{"size", &d.Size, Hide, some},
	}
}

func (r *Results) settings() []setting {
	all, some := []Action{Block, Strip, Report, Allow}, []Action{Block, Report, Allow}
	return []setting{
		{"smuggled", &r.Smuggled, Strip, all},
		{"invisible", &r.Invisible, Strip, all},
		{"bidi", &r.Bidi, Strip, all},
		{"control", &r.Control, Strip, all},
		{"private", &r.Private, Allow, all},
		{"size", &r.Size, Block, some},
	}
}

// Validate returns every fault, joined, each a *policy.FieldError.
func (c *Config) Validate() error {
	errs := c.Faults()
	for _, part := range []struct {
		key      string
		settings []setting
	}{{"definitions", c.Definitions.settings()}, {"results", c.Results.settings()}} {
		for _, s := range part.settings {
			if *s.value != "" && !slices.Contains(s.may, *s.value) {
				errs = append(errs, &policy.FieldError{
					Path: []string{part.key, s.key}, Text: fmt.Sprintf("is %q", string(*s.value)), Mend: "write " + words(s.may),
				})
			}
		}
	}
	return errors.Join(errs...)
}

func words(all []Action) string {
	var w []string
	for _, a := range all {
		w = append(w, string(a))
	}
	last := len(w) - 1
	return strings.Join(w[:last], ", ") + " or " + w[last]
}

// filled is c with its defaults. A limit of 0 then is none.
func (c *Config) filled() Config {
	f := *c
	for _, s := range append(f.Definitions.settings(), f.Results.settings()...) {
		if *s.value == "" {
			*s.value = s.otherwise
		}
	}
	for _, l := range []struct {
		value     *int64
		otherwise int64
	}{{&f.Limits.Definition, defaultDefinition}, {&f.Limits.Description, defaultDescription}, {&f.Limits.Result, 0}, {&f.Limits.Name, defaultName}} {
		if *l.value == 0 {
			*l.value = l.otherwise
		}
		*l.value = max(*l.value, 0)
	}
	return f
}
