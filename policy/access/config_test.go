package access

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/interlock-mcp/interlock/policy"
)

// faults returns what is wrong, one a line: path, place, text, mend.
func faults(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not joined: %v", err)
	}
	var lines []string
	for _, err := range joined.Unwrap() {
		f, ok := errors.AsType[*policy.FieldError](err)
		if !ok {
			t.Fatalf("not a fault of a field: %v", err)
		}
		line := strings.Join(f.Path, ".")
		if f.Line > 0 {
			line += fmt.Sprintf(" %d:%d", f.Line, f.Column)
		}
		line += ": " + f.Text
		if f.Mend != "" {
			line += " (" + f.Mend + ")"
		}
		lines = append(lines, line)
	}
	return lines
}

func TestExpressionFaults(t *testing.T) {
	for expression, want := range map[string]string{
		`upstream.name == "files" &&`: `1:28: does not compile: it ends too early`,
		`upstream.name = "files"`:     `1:15: does not compile: token recognition error at: '= '`,
		`princpal.name == ""`:         `1:1: does not compile: undeclared reference to 'princpal' (did you mean "principal"?)`,
		`zzzzzz == ""`:                `1:1: does not compile: undeclared reference to 'zzzzzz' (there are args, method, principal, profile, session, target, tool, upstream)`,
		`principal.nme == ""`:         `1:11: does not compile: undefined field 'nme' (did you mean "name"?)`,
		`upstream.zzzzzz == ""`:       `1:10: does not compile: undefined field 'zzzzzz' (there are name, tags)`,
		`tool.annotations.readOnly`:   `1:18: does not compile: undefined field 'readOnly' (did you mean "readOnlyHint"?)`,
		`args.path.startWith("/etc")`: `1:11: does not compile: undeclared reference to 'startWith' (did you mean "startsWith"?)`,
		"true &&\n  tool.nam == 'x'":  `2:8: does not compile: undefined field 'nam' (did you mean "name"?)`,
		`method == 1`:                 `1:8: does not compile: found no matching overload for '_==_' applied to '(string, int)'`,
		`principal == "ann"`:          `1:11: does not compile: found no matching overload for '_==_' applied to '(principal, string)'`,
		`1 + 2`:                       `1:1: is of type int, and a rule must be true or false (compare it with something)`,
		`upstream.name`:               `1:1: is of type string, and a rule must be true or false (compare it with something)`,
		`args.path.matches("(")`:      `1:19: does not compile: invalid matches argument`,
		`args.a.all(x, args.b.all(y, args.c.all(z, x + y + z > 0)))`: `1:1: may cost 4015303 with lists of 50 items, and cost_limit is 100000 (nest fewer loops, or raise cost_limit)`,
		`"` + strings.Repeat("x", maxExpression) + `" == ""`:         `: does not compile: expression code point size exceeds limit: size: 10008, limit 10000`,
		`ö == "ü" && tool.nam == ""`:                                 `1:1: does not compile: token recognition error at: 'ö'`,
		`"ü" == "" && tool.nam == ""`:                                `1:19: does not compile: undefined field 'nam' (did you mean "name"?)`,
	} {
		c := Config{Rules: []Rule{{Name: "ok", Allow: "true"}, {Deny: expression}}}
		got := faults(t, c.Validate())
		if len(got) != 1 || strings.Replace(got[0], ".deny: ", ".deny : ", 1) != "rules.1.deny "+want {
			t.Errorf("%.60s:\n got %q\nwant %q", expression, got, "rules.1.deny "+want)
		}
	}
}

// All faults are told at once.
func TestFaults(t *testing.T) {
	c := Config{Default: "maybe", CostLimit: -1, Rules: []Rule{
		{},
		{Allow: "true", Deny: "true"},
		{Name: "a", Allow: "true", Reason: "x"},
		{Name: "a", Deny: "1", Tools: []string{"ok", "["}, Upstreams: []string{""}, Methods: []string{"a["}},
	}}
	want := []string{
		`default: must be deny or allow`,
		`cost_limit: must not be negative`,
		`rules.0: neither allows nor denies (add allow: or deny: with an expression)`,
		`rules.1.deny: has an allow as well (make each a rule of its own)`,
		`rules.2.reason: is for a rule that denies (remove it)`,
		`rules.3.name: is "a", as rule 3 is called already (add another name)`,
		`rules.3.upstreams.0: "" is not a pattern (use letters, * and ? and [a-z])`,
		`rules.3.tools.1: "[" is not a pattern (use letters, * and ? and [a-z])`,
		`rules.3.methods.0: "a[" is not a pattern (use letters, * and ? and [a-z])`,
		`rules.3.deny 1:1: is of type int, and a rule must be true or false (compare it with something)`,
	}
	got := faults(t, c.Validate())
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for name, c := range map[string]struct {
		Config
		want string
	}{
		"no rules":       {Config{}, "rules: must hold at least one rule (add one, such as allow: tool.annotations.readOnlyHint)"},
		"an idle rule":   {Config{Default: "allow", Rules: []Rule{{Allow: "true"}}}, "rules.0.allow: does nothing where the default is allow, since a rule that denies wins over it (remove the rule, or set default: deny)"},
		"a higher limit": {Config{CostLimit: 1e8, Rules: []Rule{{Allow: `args.a.all(x, args.b.all(y, args.c.all(z, x + y + z > 0)))`}}}, ""},
	} {
		if got := strings.Join(faults(t, c.Validate()), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
