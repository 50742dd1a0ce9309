// Package pointer writes JSON Pointers (RFC 6901) to places in calls, for reasons
// and notes, which hold no values of a call.
package pointer

import (
	"strings"
	"unicode/utf8"
)

// Append appends a key to a pointer. What does not look like a name becomes "*": it
// may be a value that somebody put there.
func Append(p []byte, key string) []byte {
	return append(append(p, '/'), Escape(Name(key))...)
}

// Name is a key if it looks like a name, else "*".
func Name(key string) string {
	if key == "" || len(key) > 64 {
		return "*"
	}
	for _, r := range key {
		if r >= utf8.RuneSelf || r != '_' && r != '-' && r != '.' && r != '$' && r != '@' &&
			(r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return "*"
		}
	}
	return key
}

// Escape writes a key as a part of a pointer.
func Escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
