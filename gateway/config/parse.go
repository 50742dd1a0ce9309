package config

import (
	"bytes"
	"path/filepath"
	"strings"
	"unicode/utf8"
)

// parse reads a source by the ending of its path; any other than .json, .jsonc
// and .toml is YAML. It returns nil when the source is empty, or wrong and
// reported.
func parse(s *source, path string, p *problems) (root *node) {
	s.data = bytes.TrimPrefix(s.data, []byte("\xef\xbb\xbf"))
	if !utf8.Valid(s.data) {
		bad := 0
		for bad < len(s.data) {
			r, size := utf8.DecodeRune(s.data[bad:])
			if r == utf8.RuneError && size <= 1 {
				break
			}
			bad += size
		}
		p.add(s.offset(bad), "", "is not UTF-8", "save the file as UTF-8")
		return nil
	}
	if n := tooDeep(s.data); n >= 0 {
		p.add(s.offset(n), "", "is nested too deeply", "")
		return nil
	}
	// The parsers are not ours, and a reload must not end the gateway.
	defer func() {
		if recover() != nil {
			p.add(pos{src: s}, "", "cannot be parsed", "")
			root = nil
		}
	}()
	switch strings.ToLower(filepath.Ext(path)) {
	case ".json", ".jsonc":
		return parseJSON(s, p)
	case ".toml":
		return parseTOML(s, p)
	}
	return parseYAML(s, p)
}

// tooDeep returns the offset at which brackets, or indicators of YAML in a row,
// nest deeper than any configuration does, or -1. It keeps recursive parsers from
// using up the stack, which nothing can recover; a bracket in a string counts,
// which does no harm at this depth.
func tooDeep(data []byte) int {
	const most = 1000
	depth, row := 0, 0
	for i, b := range data {
		switch b {
		case '[', '{':
			depth++
		case ']', '}':
			depth = max(0, depth-1)
		}
		switch b {
		case '-', '?', ':', '!', '&', '*', '|', '>', '[', '{':
			row++
		case ' ', '\t', '\n', '\r':
		default:
			row = 0
		}
		if depth > most || row > 4*most {
			return i
		}
	}
	return -1
}
