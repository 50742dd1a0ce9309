package router

import (
	"unicode"
	"unicode/utf8"
)

// nameFault says why a name must not be shown, or "": it could be taken for
// another, or hides something from whoever reads it.
func nameFault(s string) string {
	if utf8.RuneCountInString(s) > maxOwnName {
		return "is longer than 128 characters"
	}
	if f := textFault(s); f != "" {
		return f
	}
	return lookalike(s)
}

// textFault says which character of s does not show, or "".
func textFault(s string) string {
	for _, r := range s {
		switch {
		case r >= 0x20 && r < 0x7f:
		case unicode.Is(unicode.Cc, r):
			return "has a control character"
		case r == utf8.RuneError:
			return "is not valid Unicode"
		case invisible(r):
			return "has an invisible character"
		}
	}
	return ""
}

func invisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Co, unicode.Z, unicode.Me, unicode.Variation_Selector,
		unicode.Other_Default_Ignorable_Code_Point) || r == 0x2800 || !unicode.In(r, unicode.C, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S)
}

// lookalike says why s could be read as a name in plain letters, or "". It is a
// part of Unicode TR39 that needs no tables beyond the standard library's: a
// mix of alphabets, letters that are others in disguise, and words of another
// alphabet that consist of twins of Latin letters alone.
func lookalike(s string) string {
	var latin, other *unicode.RangeTable
	twins, letters := 0, 0
	for _, r := range s {
		if r < 0x80 {
			if r|0x20 >= 'a' && r|0x20 <= 'z' {
				latin = unicode.Latin
			}
			continue
		}
		if disguised(r) {
			return "has a character that looks like a plain letter"
		}
		if !unicode.IsLetter(r) {
			continue
		}
		script := alphabet(r)
		switch {
		case script == unicode.Latin:
			latin = script
			continue
		case script == nil:
			continue
		case other != nil && other != script:
			return "mixes alphabets"
		}
		other = script
		letters++
		if twin(r) {
			twins++
		}
	}
	switch {
	case latin != nil && other != nil:
		return "mixes alphabets"
	case letters > 0 && twins == letters:
		return "is made of characters that look like plain letters"
	}
	return ""
}

// alphabet returns the script of r if it is one whose letters can be taken for
// those of another alphabet, else nil.
func alphabet(r rune) *unicode.RangeTable {
	for _, t := range []*unicode.RangeTable{
		unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee, unicode.Coptic,
		unicode.Lisu, unicode.Deseret, unicode.Gothic, unicode.Old_Italic, unicode.Hebrew, unicode.Georgian,
		unicode.Canadian_Aboriginal, unicode.Tifinagh, unicode.Vai, unicode.Osage, unicode.Runic,
	} {
		if unicode.Is(t, r) {
			return t
		}
	}
	return nil
}

// disguised reports whether r is a letter or digit in another shape: wide,
// mathematical, enclosed, raised, or one of the phonetic and ancient letters of
// Latin that differ from plain ones by a stroke.
func disguised(r rune) bool {
	switch {
	case r == 'ı' || r == 'ſ' || r == 'ĸ' || r == 'ª' || r == 'º' || r == '²' || r == '³' || r == '¹':
		return true
	case r >= 0x0180 && r <= 0x02ff, // Latin Extended-B, IPA, modifier letters
		r >= 0x1d00 && r <= 0x1dbf,                                                         // phonetic
		r >= 0x2070 && r <= 0x209c,                                                         // raised and lowered
		r >= 0x2100 && r <= 0x218b,                                                         // letterlike, number forms
		r >= 0x2460 && r <= 0x24ff,                                                         // enclosed
		r >= 0x2c60 && r <= 0x2c7f, r >= 0xa720 && r <= 0xa7ff, r >= 0xab30 && r <= 0xab6f, // Latin Extended-C to E
		r >= 0xfb00 && r <= 0xfb06,   // ligatures
		r >= 0xff01 && r <= 0xff5e,   // wide
		r >= 0x1d400 && r <= 0x1d7ff, // mathematical
		r >= 0x1f100 && r <= 0x1f1ff, r >= 0x1fbf0 && r <= 0x1fbf9:
		return unicode.In(r, unicode.L, unicode.N, unicode.S, unicode.P)
	}
	return false
}

// twin reports whether r, of another alphabet, looks like a Latin letter.
func twin(r rune) bool {
	switch alphabet(r) {
	case unicode.Cyrillic, unicode.Greek, unicode.Armenian:
		for _, t := range "авеікмнорстухѕјԁһԛԝѵүցոսՍաАВЕІКМНОРСТУХЅЈԌҮαβγηικνοπρτυωχΑΒΕΖΗΙΚΜΝΟΡΤΥΧϲϳօոհգ" {
			if r == t {
				return true
			}
		}
		return false
	case unicode.Hebrew, unicode.Georgian, unicode.Runic:
		return false
	}
	return true // the rest of alphabet's list is full of them
}
