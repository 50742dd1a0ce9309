// Package rehearse runs made-up calls through policies, as the gateway does with real
// ones: it vets the definition of the tool, asks before the call and, with an answer
// that nobody gave, after it. Nothing is called and nothing is kept: each case meets
// policies that know of nothing but the calls that it says came before.
//
// Policies that need more than a configuration, Outside names their kinds, are left
// out. The package starts no goroutine that outlives a Run.
package rehearse

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Call is a call that is made up, or a message of a server. The yaml tags are the
// keys that it has in a file of cases.
type Call struct {
	Principal Principal `yaml:"principal"`
	// Groups and Scopes add to those of the principal.
	Groups  []string `yaml:"groups"`
	Scopes  []string `yaml:"scopes"`
	Session string   `yaml:"session"`
	Profile string   `yaml:"profile"`

	// Method is an MCP method; by default what Tool, Prompt or URI says.
	Method   string `yaml:"method"`
	Upstream string `yaml:"upstream"`
	// Tool and Prompt are the upstream's own names.
	Tool   string `yaml:"tool"`
	Prompt string `yaml:"prompt"`
	URI    string `yaml:"uri"`
	// Exposed is what clients call the tool or prompt; by default the upstream's
	// name, "__" and the own name.
	Exposed string `yaml:"exposed"`
	// Args are the arguments of a tool or prompt, or the params of another method or
	// of a server's message.
	Args map[string]any `yaml:"args"`
	// Answer is the result object of the upstream.
	Answer map[string]any `yaml:"answer"`

	// Tags are those of the upstream; nil for those that it has in the configuration.
	Tags []string `yaml:"tags"`
	// Definition is what the upstream says of the tool or prompt besides its name,
	// Annotations a member of it.
	Definition  map[string]any `yaml:"definition"`
	Annotations map[string]any `yaml:"annotations"`
	// Trusted says whether the annotations are believed; nil for what the
	// configuration says of the upstream, and true for one that it does not have.
	Trusted *bool `yaml:"trusted"`
}

// Case is a call, and what should become of it.
type Case struct {
	Name string `yaml:"name"`
	Call `yaml:",inline"`
	// After are calls that were made before, all of which must pass.
	After []Call `yaml:"after"`

	// Expect is "allow", "deny", or "error" for a policy that could not decide.
	Expect Effect `yaml:"expect"`
	// Policy and Rule are the names of who refused, Reason is a part of what it
	// said. "" stands for any.
	Policy string `yaml:"policy"`
	Rule   string `yaml:"rule"`
	Reason string `yaml:"reason"`
	// Change are the arguments, or params, that policies made of Args, and
	// ChangeAnswer is what they made of Answer; nil for any.
	Change       map[string]any `yaml:"change"`
	ChangeAnswer map[string]any `yaml:"change_answer"`
}

// Principal is who calls. In a file it is a map with these keys, or a text, which
// stands for a principal whom the gateway knows itself, with that subject and name.
type Principal struct {
	Issuer  string   `yaml:"issuer"`
	Subject string   `yaml:"subject"`
	Name    string   `yaml:"name"`
	Groups  []string `yaml:"groups"`
	Scopes  []string `yaml:"scopes"`
}

// own is the issuer of principals whom the gateway knows itself.
const own = "interlock"

// UnmarshalYAML reads either form.
func (p *Principal) UnmarshalYAML(unmarshal func(any) error) error {
	var name string
	if unmarshal(&name) == nil {
		*p = Principal{Issuer: own, Subject: name, Name: name}
		return nil
	}
	type plain Principal
	return unmarshal((*plain)(p))
}

// Effect is what became of a call.
type Effect string

// The effects.
const (
	Allow Effect = "allow"
	Deny  Effect = "deny"
	// Failed is a call that is refused since a policy could not decide.
	Failed Effect = "error"
)

// Validate returns all that is wrong with a case, joined.
func (c *Case) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case c.Expect == "":
		bad("expect is missing: allow, deny or error")
	case !slices.Contains([]Effect{Allow, Deny, Failed}, c.Expect):
		bad("expect must be allow, deny or error, not %q", c.Expect)
	case c.Expect == Allow && (c.Policy != "" || c.Rule != "" || c.Reason != ""):
		bad("policy, rule and reason are of a call that is refused, and allow is expected")
	case c.Expect != Allow && (c.Change != nil || c.ChangeAnswer != nil):
		bad("change and change_answer are of a call that passes, and %s is expected", c.Expect)
	}
	if err := c.Call.validate(); err != nil {
		errs = append(errs, err)
	}
	for i := range c.After {
		if err := c.After[i].validate(); err != nil {
			bad("call %d of after: %w", i+1, err)
		}
	}
	return errors.Join(errs...)
}

func (c *Call) validate() error {
	said := 0
	for _, s := range []string{c.Tool, c.Prompt, c.URI} {
		if s != "" {
			said++
		}
	}
	switch method := c.method(); {
	case c.Upstream == "":
		return errors.New("upstream is missing")
	case said > 1:
		return errors.New("it has more than one of tool, prompt and uri")
	case method == "":
		return errors.New("it has neither tool, prompt, uri nor method")
	case strings.HasPrefix(method, "tools/") && c.Tool == "", method == "prompts/get" && c.Prompt == "",
		strings.HasPrefix(method, "resources/") && c.URI == "":
		return fmt.Errorf("%s needs a name: tool, prompt or uri", method)
	}
	return nil
}

func (c *Call) method() string {
	switch {
	case c.Method != "":
		return c.Method
	case c.Tool != "":
		return "tools/call"
	case c.Prompt != "":
		return "prompts/get"
	case c.URI != "":
		return "resources/read"
	}
	return ""
}

// ofServer reports whether it is a message that a server sends of itself.
func (c *Call) ofServer() bool {
	switch method := c.method(); method {
	case "elicitation/create", "sampling/createMessage", "roots/list":
		return true
	default:
		return strings.HasPrefix(method, "notifications/")
	}
}
