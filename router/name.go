package router

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// hashLen is the length of "_" and the hash that ends a shortened name.
const hashLen = 1 + 8

// prefix makes of what an offer asks for a prefix that holds only characters
// that names may have and in which the separator cannot be found too early.
func (c Config) prefix(p string) string {
	p = replaced(p)
	for p != "" && strings.Index(p+c.Separator, c.Separator) != len(p) {
		at := strings.Index(p+c.Separator, c.Separator)
		p = p[:at] + p[min(at+1, len(p)):]
	}
	return p
}

// join puts the prefix before an own name.
func (c Config) join(prefix, own string) string {
	if prefix == "" {
		return own
	}
	return prefix + c.Separator + own
}

// fit makes full acceptable to model APIs: characters they refuse become _, and
// what is too long, or of which nothing legible would be left, ends in a hash of
// full. kind is "" if nothing had to change.
func (c Config) fit(full, own string) (name string, kind ProblemKind) {
	switch {
	case len(full) > c.Budget() && len(replaced(full)) > c.Budget():
		return c.hashed(full), Shortened
	case legal(full):
		return full, ""
	case !strings.ContainsFunc(own, alphanumeric):
		return c.hashed(full), Replaced
	}
	return replaced(full), Replaced
}

// hashed is the acceptable form of full that ends in a hash of it. Equal names
// have equal hashes wherever and whenever they are made.
func (c Config) hashed(full string) string {
	name := replaced(full)
	if keep := max(c.Budget()-hashLen, 0); len(name) > keep {
		name = name[:keep]
	}
	sum := sha256.Sum256([]byte(full))
	return name + "_" + hex.EncodeToString(sum[:(hashLen-1)/2])
}

// replaced has _ for each character that is not a letter, digit, _ or - of
// ASCII.
func replaced(s string) string {
	if legal(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if r < 0x80 && legalByte(byte(r)) {
			return r
		}
		return '_'
	}, s)
}

func alphanumeric(r rune) bool {
	return r < 0x80 && legalByte(byte(r)) && r != '_' && r != '-'
}
