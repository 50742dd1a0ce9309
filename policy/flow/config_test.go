package flow

import (
	"errors"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/policy"
)

func TestValidate(t *testing.T) {
	c := Config{
		Tags:  Tags{Private: "secret", Egress: "untrusted"},
		Tools: map[string][]string{"chat__[": nil, "get": {"secret"}, "chat__get": {"secret", "private"}, "*": {"untrusted"}},
		Scope: "everybody", Require: []string{"private", "egress"}, ForgetAfter: -1,
	}
	want := []string{
		`tags: call both untrusted and egress "untrusted" (use a tag for each)`,
		`tools.chat__[: is not a pattern (use letters, * and ? and [a-z])`,
		`tools.chat__get.1: "private" means nothing to this policy (use secret, untrusted, untrusted)`,
		`tools.get: does not say of which upstream (write UPSTREAM__TOOL)`,
		`require.1: "egress" must be private or untrusted`,
		`scope: must be principal or session`,
		`forget_after: must not be negative`,
	}
	var got []string
	for _, err := range c.Validate().(interface{ Unwrap() []error }).Unwrap() {
		f, ok := errors.AsType[*policy.FieldError](err)
		if !ok {
			t.Fatal(err)
		}
		line := strings.Join(f.Path, ".") + ": " + f.Text
		if f.Mend != "" {
			line += " (" + f.Mend + ")"
		}
		got = append(got, line)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := new(Config).Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
}
