package router

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// InstructionsURI is the resource that holds the whole instructions when they
// are cut. The gateway answers it with FullInstructions.
const InstructionsURI = "interlock://instructions"

// maxInstructions is how many characters of instructions clients keep.
const maxInstructions = 2000

const wholeText = "Whole text: resource " + InstructionsURI

// instructions joins what the listed offers say. If it is too long each offer
// gets a fair share, short ones all they need. cut are the upstreams whose text
// was cut.
func (c Config) instructions(sources []*source) (short, full string, cut []string) {
	type part struct {
		upstream, head, text string
	}
	var parts []part
	for _, s := range sources {
		text := strings.TrimSpace(s.offer.Instructions)
		if !s.offer.Listed || text == "" {
			continue
		}
		head := "# " + s.offer.Upstream
		if s.prefix != "" {
			head += fmt.Sprintf(" (names begin with %s)", s.prefix+c.Separator)
		}
		parts = append(parts, part{s.offer.Upstream, head + "\n", text})
	}
	build := func(text func(part) string) string {
		var b strings.Builder
		for i, p := range parts {
			if i > 0 {
				b.WriteString("\n\n")
			}
			b.WriteString(p.head)
			b.WriteString(text(p))
		}
		return b.String()
	}
	full = build(func(p part) string { return p.text })
	if utf8.RuneCountInString(full) <= maxInstructions {
		return full, full, nil
	}
	room := maxInstructions - len(wholeText) - 2
	lengths := make([]int, len(parts))
	for i, p := range parts {
		room -= utf8.RuneCountInString(p.head) + 2
		lengths[i] = utf8.RuneCountInString(p.text)
	}
	share := fairShare(lengths, room)
	short = build(func(p part) string {
		text := clip(p.text, share)
		if text != p.text {
			cut = append(cut, p.upstream)
		}
		return text
	})
	if utf8.RuneCountInString(short)+len(wholeText)+2 > maxInstructions { // the heads alone are too many
		short = clip(short, maxInstructions-len(wholeText)-2)
	}
	return short + "\n\n" + wholeText, full, cut
}

// fairShare is the most that each may have so that all of lengths together,
// each cut to it, take no more than room.
func fairShare(lengths []int, room int) int {
	sorted := slices.Sorted(slices.Values(lengths))
	for i, n := range sorted {
		if share := room / (len(sorted) - i); n > share {
			return max(share, 0)
		}
		room -= n
	}
	return maxInstructions
}

// clip cuts s to n characters, at the end of a word if one ends near.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	if n <= 0 {
		return ""
	}
	end, count := 0, 0
	for i := range s {
		if end = i; count == n-1 {
			break
		}
		count++
	}
	s = s[:end]
	if at := strings.LastIndexAny(s, " \n"); at > len(s)*3/4 {
		s = s[:at]
	}
	return strings.TrimRight(s, " \n") + "…"
}
