package redact

import "strings"

// maskText masks in a text what follows the name of a secret: password=..., "token": "...",
// Authorization: ..., --api-key ..., <secret>...</secret>; what follows Bearer and Basic; and
// passwords in URLs. A text may itself be JSON, also in a string of JSON.
func maskText(text string) string {
	var out strings.Builder
	from := 0 // what of text is not in out yet
	for i := 0; i < len(text); i++ {
		var start, end int
		switch text[i] {
		case ':':
			if strings.HasPrefix(text[i:], "://") {
				start, end = userinfo(text, i+3)
				break
			}
			start, end = assigned(text, i)
		case '=':
			start, end = assigned(text, i)
		case '>':
			start, end = element(text, i)
		case ' ', '\t':
			start, end = behindWord(text, i)
		}
		if start >= end || start < from {
			continue
		}
		out.WriteString(text[from:start])
		out.WriteString(mask)
		from, i = end, end-1
	}
	if from == 0 {
		return text
	}
	return out.String() + text[from:]
}

// assigned finds the value behind the colon or the equals sign at i, if what is
// before it is the name of a secret. An empty range is none.
func assigned(text string, i int) (start, end int) {
	name := nameBefore(text, i)
	if !secretName(name) {
		return 0, 0
	}
	for i++; i < len(text) && strings.IndexByte(" \t:=>", text[i]) >= 0; i++ {
	}
	escapes := 0
	for i+escapes < len(text) && text[i+escapes] == '\\' {
		escapes++
	}
	if at := i + escapes; at < len(text) && strings.IndexByte("\"'`", text[at]) >= 0 {
		return at + 1, quoteEnd(text, at+1, text[at], escapes)
	}
	if i < len(text) && (text[i] == '{' || text[i] == '[') {
		return i, bracketEnd(text, i)
	}
	stops := " \t\r\n,;&\"'`<>)}]|"
	if n := strings.ToLower(name); strings.HasSuffix(n, "authorization") || strings.HasSuffix(n, "cookie") {
		stops = "\r\n\"'`<>" // all of a header's line
	}
	return i, indexAny(text, i, stops)
}

// nameBefore returns the one or two words before i, without what quotes them.
func nameBefore(text string, i int) string {
	end := i
	for end > 0 && strings.IndexByte(" \t\"'`\\])", text[end-1]) >= 0 && i-end < 8 {
		end--
	}
	start, blanks := end, 0
	for start > 0 && end-start < maxNameLen {
		switch c := text[start-1]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.', c >= 0x80:
		case c == ' ' && blanks == 0:
			blanks++
		default:
			return text[start:end]
		}
		start--
	}
	return text[start:end]
}

// quoteEnd returns where the quoted text ends that begins at i: at a quote that is
// escaped as often as the one before it, else at the end of the text.
func quoteEnd(text string, i int, quote byte, escapes int) int {
	run := 0 // of backslashes before at
	for at := i; at < len(text); at++ {
		switch {
		case text[at] == '\\':
			run++
			continue
		// JSON in a string of JSON has \" where it has ", and \\\" where it has \".
		case text[at] == quote && run%(2*(escapes+1)) == escapes:
			return max(i, at-escapes)
		}
		run = 0
	}
	return len(text)
}

// bracketEnd returns the end of the object or array that begins at i: also one in a
// string, with its quotes escaped.
func bracketEnd(text string, i int) int {
	depth, escapes := 0, 0
	for ; i < len(text); i++ {
		switch text[i] {
		case '\\':
			escapes++
			continue
		case '"':
			i = quoteEnd(text, i+1, '"', escapes) + escapes
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return i + 1
			}
		}
		escapes = 0
	}
	return len(text)
}

// userinfo finds the password of a URL whose authority begins at i.
func userinfo(text string, i int) (start, end int) {
	authority := text[i:indexAny(text, i, "/?# \t\r\n\"'<>\\")]
	at := strings.LastIndexByte(authority, '@')
	colon := strings.IndexByte(authority, ':')
	if at < 0 || colon < 0 || colon > at {
		return 0, 0
	}
	return i + colon + 1, i + at
}

// element finds the text of an XML element that is a secret's, whose tag ends at i.
func element(text string, i int) (start, end int) {
	open := strings.LastIndexByte(text[max(0, i-2*maxNameLen):i], '<')
	if open < 0 {
		return 0, 0
	}
	tag, _, _ := strings.Cut(text[max(0, i-2*maxNameLen)+open+1:i], " ")
	if strings.HasPrefix(tag, "/") || !secretName(tag) {
		return 0, 0
	}
	return i + 1, indexAny(text, i+1, "<")
}

// behindWord finds what follows Bearer and Basic, and options of a command line that
// are secrets.
func behindWord(text string, i int) (start, end int) {
	word := i
	for word > 0 && i-word < maxNameLen && strings.IndexByte(" \t\r\n\"'`=:,;([{", text[word-1]) < 0 {
		word--
	}
	name := text[word:i]
	switch {
	case strings.HasPrefix(name, "-") && secretName(name):
	case strings.EqualFold(name, "bearer"), strings.EqualFold(name, "basic"):
		end := indexAny(text, i+1, " \t\r\n\"'`,;<>")
		if end-i-1 < 8 { // a word of prose
			return 0, 0
		}
		return i + 1, end
	default:
		return 0, 0
	}
	if i+1 < len(text) && (text[i+1] == '"' || text[i+1] == '\'') {
		return i + 2, quoteEnd(text, i+2, text[i+1], 0)
	}
	return i + 1, indexAny(text, i+1, " \t\r\n\"'`")
}

// indexAny returns the first place from i on of one of the bytes, else the end.
func indexAny(text string, i int, bytes string) int {
	if i >= len(text) {
		return len(text)
	}
	if n := strings.IndexAny(text[i:], bytes); n >= 0 {
		return i + n
	}
	return len(text)
}
