package secrets

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// judge notes a match, whose offsets are from offset on, unless it is no secret.
func (s *search) judge(r *rule, m []int, offset int) {
	s.work -= costFound + costAt*(m[1]-m[0])
	c := candidate{text: s.text, path: s.path, match: [2]int{m[0] + offset, m[1] + offset}}
	c.start, c.end = c.match[0], c.match[1]
	if group := 2 * r.group; group > 0 && group < len(m) && m[group] >= 0 {
		c.start, c.end = m[group]+offset, m[group+1]+offset
	} else if group == 0 {
		for g := 2; g < len(m); g += 2 {
			if m[g] >= 0 && m[g+1] > m[g] {
				c.start, c.end = m[g]+offset, m[g+1]+offset
				break
			}
		}
	}
	for c.end > c.start && (s.text[c.end-1] == '\n' || s.text[c.end-1] == '\r') {
		c.end--
	}
	secret := s.text[c.start:c.end]
	if len(secret) == 0 || r.entropy > 0 && entropy(secret) <= r.entropy ||
		s.allow != nil && s.allow.Match(secret) || s.global.holds(&c) ||
		slices.ContainsFunc(r.allowed, func(a *allowance) bool { return a.holds(&c) }) {
		return
	}
	s.found = append(s.found, finding{c.start, c.end, r.id})
}

// entropy is Shannon's, in bits for each character.
func entropy(text []byte) float64 {
	var counts [utf8.RuneSelf]int
	var others map[rune]int
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		i += n
		if r < utf8.RuneSelf {
			counts[r]++
			continue
		}
		if others == nil {
			others = make(map[rune]int)
		}
		others[r]++
	}
	sum := 0.0
	add := func(n int) {
		if n > 0 {
			f := float64(n) / float64(len(text))
			sum -= f * math.Log2(f)
		}
	}
	for _, n := range counts {
		add(n)
	}
	for _, n := range others {
		add(n)
	}
	return sum
}

// apart joins findings that overlap, under the name of the one that says most, and
// puts them in order.
func apart(all []finding) []finding {
	if len(all) < 2 {
		return all
	}
	slices.SortFunc(all, func(a, b finding) int {
		if a.start != b.start {
			return a.start - b.start
		}
		if a.end != b.end {
			return b.end - a.end
		}
		return strings.Compare(a.rule, b.rule)
	})
	out := all[:1]
	for _, f := range all[1:] {
		last := &out[len(out)-1]
		if f.start >= last.end {
			out = append(out, f)
			continue
		}
		last.end = max(last.end, f.end)
		if strings.HasPrefix(last.rule, "generic") {
			last.rule = f.rule
		}
	}
	return out
}
