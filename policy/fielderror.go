package policy

import "strings"

// FieldError is a fault of one key of a policy's configuration.
type FieldError struct {
	// Path is the key's path below the policy's own section.
	Path []string
	// Text says what is wrong with it, Mend how to mend it, "" if that is plain.
	Text, Mend string
	// Line and Column are where in the value the fault is, from 1; 0 for the whole.
	Line, Column int
}

func (e *FieldError) Error() string { return strings.Join(e.Path, ".") + ": " + e.Text }
