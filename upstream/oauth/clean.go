package oauth

import (
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// Refusal is an error that an authorization server gave: of a token endpoint, of
// registration, or in the query with which a person came back.
type Refusal struct {
	// Code is the field error, for example invalid_grant, invalid_client,
	// access_denied. Text is error_description. Both are cut and have no control
	// characters.
	Code, Text string
	// Status is that of the answer, 0 for a query.
	Status int
}

func (e *Refusal) Error() string {
	if e.Text == "" {
		return "the authorization server refuses: " + e.Code
	}
	return fmt.Sprintf("the authorization server refuses: %s: %s", e.Code, e.Text)
}

// clean makes a stranger's text fit for one line of ours: what is printed, and 200
// characters of it.
func clean(s string) string {
	var out strings.Builder
	n := 0
	for _, r := range s {
		if !unicode.IsPrint(r) {
			r = ' '
		}
		if n++; n > 200 {
			out.WriteString("…")
			break
		}
		out.WriteRune(r)
	}
	return strings.TrimSpace(out.String())
}

// hide puts *** where one of the secrets is quoted, plain or as in a form.
func hide(s string, secrets ...string) string {
	for _, x := range secrets {
		if len(x) < 4 { // no secret, and in every other word
			continue
		}
		s = strings.ReplaceAll(s, x, "***")
		s = strings.ReplaceAll(s, url.QueryEscape(x), "***")
	}
	return s
}
