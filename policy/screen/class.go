package screen

import "unicode"

// class is what a character may do where it does not belong.
type class uint8

const (
	harmless    class = iota
	tag               // a letter that nobody sees; three flags need some
	selector          // another look of the character before it
	ideographic       // the same for Chinese characters
	mongolian         // the same for Mongolian
	joiner            // joins or parts letters of some scripts, and emoji
	breakable         // a place to break a line, in scripts without spaces
	mark              // a letter's direction without a letter
	embedding         // begins or ends a part in another direction
	override          // has letters run against their direction
	hyphen            // is seen at the end of a line alone
	byteOrder         // may begin a text
	grapheme          // holds accents together
	filler            // stands for a missing part of a Korean syllable
	khmer             // vowels without a shape
	useless           // shows nothing, and no text needs it
	personal          // means what somebody agreed with himself
	controls          // C0 but tab and line breaks, DEL, C1
)

// leads are the first bytes of what classOf may call anything but harmless.
var leads = func() (t [256]bool) {
	for _, c := range []byte{0xc2, 0xcd, 0xd8, 0xe1, 0xe2, 0xe3, 0xee, 0xef, 0xf0, 0xf3, 0xf4} {
		t[c] = true
	}
	return t
}()

func classOf(r rune) class {
	switch {
	case r < 0xa0:
		if r >= 0x20 && r < 0x7f || r == '\t' || r == '\n' || r == '\r' || r == '\f' || r == 0x85 {
			return harmless
		}
		return controls
	case r < 0x1000:
		switch r {
		case 0xad:
			return hyphen
		case 0x34f:
			return grapheme
		case 0x61c:
			return mark
		}
		return harmless
	case r < 0x2000:
		switch {
		case r == 0x115f || r == 0x1160:
			return filler
		case r == 0x17b4 || r == 0x17b5:
			return khmer
		case r >= 0x180b && r <= 0x180f:
			return mongolian
		}
		return harmless
	case r < 0x2070:
		return punctuation(r)
	case r < 0xe000:
		if r == 0x3164 {
			return useless
		}
		return harmless
	case r < 0xf900:
		return personal
	case r < 0x10000:
		switch {
		case r >= 0xfe00 && r <= 0xfe0f:
			return selector
		case r == 0xfeff:
			return byteOrder
		case r == 0xffa0 || r >= 0xfff0 && r <= 0xfffb || r >= 0xfdd0 && r <= 0xfdef || r >= 0xfffe:
			return useless
		}
		return harmless
	case r >= 0x1bca0 && r <= 0x1bca3 || r >= 0x1d173 && r <= 0x1d17a:
		return useless
	case r < 0xe0000:
		return harmless
	case r < 0xe0080:
		return tag
	case r >= 0xe0100 && r <= 0xe01ef:
		return ideographic
	case r < 0xf0000:
		return tag // of no meaning, and as invisible
	}
	return personal
}

// punctuation is classOf from U+2000 to U+206F.
func punctuation(r rune) class {
	switch {
	case r == 0x200b:
		return breakable
	case r == 0x200c || r == 0x200d:
		return joiner
	case r == 0x200e || r == 0x200f:
		return mark
	case r >= 0x202a && r <= 0x202c || r >= 0x2066 && r <= 0x2069:
		return embedding
	case r == 0x202d || r == 0x202e:
		return override
	case r >= 0x2060:
		return useless
	}
	return harmless
}

func within(r rune, ranges ...rune) bool {
	for i := 0; i < len(ranges); i += 2 {
		if r >= ranges[i] && r <= ranges[i+1] {
			return true
		}
	}
	return false
}

// selects reports whether the character before has the look that a selector asks for.
func selects(before, r rune) bool {
	switch {
	case r >= 0xfe0e: // text and emoji
		return within(before, '0', '9', '#', '#', '*', '*', 0x2100, 0x214f) ||
			before >= 0xa9 && classOf(before) == harmless && unicode.In(before, unicode.S, unicode.P, unicode.N)
	case before == '0': // with a stroke
		return r == 0xfe00
	}
	return before >= 0x1000 && classOf(before) == harmless && unicode.In(before, unicode.L, unicode.S, unicode.P)
}

// pictured reports whether r may stand beside a joiner in an emoji.
func pictured(r rune) bool { return r >= 0x2190 && unicode.Is(unicode.S, r) }

const (
	emojiLook = 0xfe0f
	flag      = 0x1f3f4
	endTag    = 0xe007f
)

// joins reports whether a joiner between two characters is one of those that a script
// or an emoji needs.
func joins(before, r, after rune) bool {
	if r == 0x200d && (pictured(before) || before == emojiLook || before == endTag) && pictured(after) {
		return true
	}
	return joined(before) || joined(after)
}

// joined reports whether r is of a script whose letters change their shape beside
// others: Arabic and its kin, the scripts of India and South-East Asia, Mongolian.
func joined(r rune) bool {
	return within(r, 0x600, 0x109f, 0x1700, 0x18af, 0x1900, 0x1cff, 0xa800, 0xab2f, 0xabc0, 0xabff, 0xfb50, 0xfdcf, 0xfdf0, 0xfdff, 0xfe70, 0xfefc,
		0x10a00, 0x11fff, 0x1e800, 0x1e95f) && unicode.In(r, unicode.L, unicode.M) && classOf(r) == harmless
}

// spaceless reports whether r is of a script that writes no spaces between words.
func spaceless(r rune) bool {
	return within(r, 0xe00, 0x109f, 0x1780, 0x17b3, 0x17b6, 0x17ff, 0x1950, 0x1aaf, 0x1b00, 0x1b7f, 0xa980, 0xa9df, 0xaa60, 0xaadf)
}

// hangul reports whether r is a part of a Korean syllable.
func hangul(r rune) bool {
	return within(r, 0x1100, 0x115e, 0x1161, 0x11ff, 0xa960, 0xa97f, 0xd7b0, 0xd7ff)
}

// leftward reports whether r is a letter of a script that runs from right to left.
func leftward(r rune) bool {
	return within(r, 0x590, 0x8ff, 0xfb1d, 0xfdff, 0xfe70, 0xfefc, 0x10800, 0x10fff, 0x1e800, 0x1efff) && unicode.IsLetter(r)
}
