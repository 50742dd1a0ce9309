package secrets

import (
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"
)

// Where in a match of a rule one of its keywords is.
type where int

const (
	anywhere where = iota // or not in it at all: the whole text is tried
	within                // in it, at most some bytes from its start
	atStart               // what may stand before it is no part of the secret
)

// span is where a match can be, once a keyword was found.
type span struct {
	where   where
	before  int  // how many bytes can come before the keyword
	longest int  // how many bytes a match can have
	led     bool // whether lead was cut off
	assigns bool // whether all that matches assigns something
}

// lead is how many of gitleaks' patterns begin: with what stands before a keyword
// and does not matter.
const lead = `[\w.-]{0,50}?`

// unbounded is how far a match is followed that has no end of its own.
const unbounded = 64 << 10

// locate finds out where a keyword is in each match of a pattern.
func locate(pattern string, keywords []string) span {
	s := span{longest: unbounded}
	short := strings.Replace(pattern, lead, "", 1)
	s.led = short != pattern && strings.HasPrefix(strings.TrimPrefix(pattern, "(?i)"), lead)
	if !s.led {
		short = pattern
	}
	re, err := syntax.Parse(short, syntax.Perl)
	if err != nil || len(keywords) == 0 {
		return s
	}
	names, _ := heads([]*syntax.Regexp{re})
	s.assigns = s.led && re.Op == syntax.OpConcat && !slices.ContainsFunc(names, func(name string) bool {
		return strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf || kindOf[r]&named == 0 })
	})
	before, ok := ahead(re, keywords)
	if !ok {
		return s
	}
	s.before = before
	if n := most(re); n >= 0 && n < unbounded {
		s.longest = n
	}
	s.where = within
	if before == 0 {
		s.where = atStart
	}
	return s
}

// ahead returns how many bytes can come before a keyword in a match of re at most,
// if there is one in every match.
func ahead(re *syntax.Regexp, keywords []string) (int, bool) {
	switch re.Op {
	case syntax.OpCapture:
		return ahead(re.Sub[0], keywords)
	case syntax.OpAlternate:
		if begins(re.Sub[:0], re, keywords) {
			return 0, true
		}
		longest := 0
		for _, sub := range re.Sub {
			n, ok := ahead(sub, keywords)
			if !ok {
				return 0, false
			}
			longest = max(longest, n)
		}
		return longest, true
	case syntax.OpConcat:
		sum := 0
		for i, sub := range re.Sub {
			if begins(re.Sub[i:], nil, keywords) {
				return sum, true
			}
			if n, ok := ahead(sub, keywords); ok {
				return sum + n, true
			}
			n := most(sub)
			if n < 0 {
				return 0, false
			}
			sum += n
		}
		return 0, false
	}
	return 0, begins(nil, re, keywords)
}

// begins reports whether all that the concatenation of list, or else re, matches
// begins with a keyword.
func begins(list []*syntax.Regexp, re *syntax.Regexp, keywords []string) bool {
	if re != nil {
		list = []*syntax.Regexp{re}
	}
	all, _ := heads(list)
	return len(all) > 0 && !slices.ContainsFunc(all, func(head string) bool {
		return !slices.ContainsFunc(keywords, func(k string) bool { return strings.HasPrefix(head, k) })
	})
}

// maxHeads is how many beginnings are looked at.
const maxHeads = 256

// heads returns what all matches of a concatenation begin with, in lower case, and
// whether that is all there is of them.
func heads(list []*syntax.Regexp) (all []string, whole bool) {
	all = []string{""}
	for _, re := range list {
		next, whole := head(re)
		if next == nil || len(all)*len(next) > maxHeads {
			return all, false
		}
		var product []string
		for _, a := range all {
			for _, b := range next {
				product = append(product, a+b)
			}
		}
		if all = product; !whole {
			return all, false
		}
	}
	return all, true
}

// head is heads of one expression; nil if it can begin with too much.
func head(re *syntax.Regexp) (all []string, whole bool) {
	switch re.Op {
	case syntax.OpLiteral:
		return []string{strings.ToLower(string(re.Rune))}, true
	case syntax.OpCharClass:
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if r >= utf8.RuneSelf { // the Kelvin sign is a k, when case does not matter
					continue
				}
				if s := strings.ToLower(string(r)); !slices.Contains(all, s) {
					all = append(all, s)
				}
				if len(all) > 16 {
					return nil, false
				}
			}
		}
		return all, true
	case syntax.OpCapture:
		return head(re.Sub[0])
	case syntax.OpConcat:
		return heads(re.Sub)
	case syntax.OpAlternate:
		whole = true
		for _, sub := range re.Sub {
			some, w := head(sub)
			if some == nil {
				return nil, false
			}
			all, whole = append(all, some...), whole && w
		}
		return all, whole
	case syntax.OpEmptyMatch, syntax.OpBeginLine, syntax.OpBeginText, syntax.OpEndLine, syntax.OpEndText,
		syntax.OpWordBoundary, syntax.OpNoWordBoundary:
		return []string{""}, true
	case syntax.OpQuest:
		if all, whole = head(re.Sub[0]); all != nil {
			all = append(all, "")
		}
		return all, whole
	case syntax.OpPlus:
		all, _ = head(re.Sub[0])
		return all, false
	case syntax.OpRepeat:
		if re.Min > 0 {
			all, _ = head(re.Sub[0])
			return all, false
		}
	}
	return nil, false
}

// most is how many bytes a match can have, -1 for any number.
func most(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return 3 * len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		if n := len(re.Rune); re.Op == syntax.OpCharClass && n > 0 && re.Rune[n-1] < utf8.RuneSelf {
			return 1
		}
		return utf8.UTFMax
	case syntax.OpStar, syntax.OpPlus:
		return -1
	case syntax.OpQuest, syntax.OpCapture:
		return most(re.Sub[0])
	case syntax.OpRepeat:
		n := most(re.Sub[0])
		if re.Max < 0 || n < 0 {
			return -1
		}
		return n * re.Max
	case syntax.OpConcat:
		sum := 0
		for _, sub := range re.Sub {
			n := most(sub)
			if n < 0 {
				return -1
			}
			sum += n
		}
		return sum
	case syntax.OpAlternate:
		longest := 0
		for _, sub := range re.Sub {
			n := most(sub)
			if n < 0 {
				return -1
			}
			longest = max(longest, n)
		}
		return longest
	}
	return 0
}
