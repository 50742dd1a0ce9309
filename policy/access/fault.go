package access

import (
	"regexp"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/interlock-mcp/interlock/policy"
)

var (
	// suggestion finds CEL's own in its message.
	suggestion = regexp.MustCompile(` \((did you mean .*\?)\)$`)
	// unknown finds what CEL does not know.
	unknown = regexp.MustCompile(`^(undefined field|undeclared reference to) '([^']*)'`)
	// expectation is ANTLR's list of all that could stand there.
	expectation = regexp.MustCompile(` expecting \{.*\}$`)
)

// fault makes a fault that CEL found in the text one of ours.
func fault(text string, e *cel.Error) *policy.FieldError {
	what := strings.ReplaceAll(e.Message, " (in container '')", "")
	what = strings.TrimPrefix(expectation.ReplaceAllString(what, ""), "Syntax error: ")
	what = strings.Replace(what, "mismatched input '<EOF>'", "it ends too early", 1)
	f := &policy.FieldError{Line: e.Location.Line(), Column: e.Location.Column() + 1}
	if m := suggestion.FindStringSubmatch(what); m != nil {
		what, f.Mend = strings.TrimSuffix(what, m[0]), strings.ReplaceAll(m[1], "'", `"`)
	}
	if m := unknown.FindStringSubmatch(what); m != nil {
		before := pointAt(m[2], text, f)
		if f.Mend == "" {
			f.Mend = near(m[2], before)
		}
	}
	f.Text = "does not compile: " + what
	return f
}

// pointAt moves the fault from the dot or parenthesis beside a name to the name,
// and returns what is before it in its line.
func pointAt(name, text string, f *policy.FieldError) string {
	lines := strings.Split(text, "\n")
	if f.Line < 1 || f.Line > len(lines) {
		return ""
	}
	line := []rune(lines[f.Line-1])
	at := min(f.Column-1, len(line))
	switch {
	case strings.HasPrefix(string(line[at:]), "."+name):
		at++
	case strings.HasPrefix(string(line[at:]), ".?"+name):
		at += 2
	case strings.HasSuffix(string(line[:at]), name):
		at -= len([]rune(name))
	}
	f.Column = at + 1
	return string(line[:at])
}

// near says what could have been meant by a name that is not known, after what is
// before it: a field of an object, or a variable.
func near(name, before string) string {
	var words []string
	if head, ok := strings.CutSuffix(strings.TrimSuffix(before, "?"), "."); ok {
		object := head[strings.LastIndexFunc(head, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		})+1:]
		words = fieldNames(object)
	} else {
		words = slices.Clone(variableNames)
	}
	if len(words) == 0 {
		return ""
	}
	for _, w := range words {
		if alike(name, w) {
			return `did you mean "` + w + `"?`
		}
	}
	return "there are " + strings.Join(words, ", ")
}

// alike reports whether two words differ in a third of their letters at most, and
// at most in three, or one begins with the other.
func alike(a, b string) bool {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if max(len(a), len(b)) > 64 {
		return false
	}
	if strings.HasPrefix(a, b) || strings.HasPrefix(b, a) {
		return true
	}
	row := make([]int, len(b)+1) // of Levenshtein's distance
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	d := row[len(b)]
	return d <= 3 && 3*d <= max(len(a), len(b))
}
