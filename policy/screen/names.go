package screen

import (
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/policy"
)

// maxWords is how many different words of a definition are looked up.
const maxWords = 2000

// minName is how long a name must be that is no word of a language.
const minName = 5

// telling reports whether a name says that a tool is meant: words of a language do not
// look like it, or are rarely so long.
func telling(name string, long int) bool {
	if len(name) < minName {
		return false
	}
	if len(name) >= long && long > 0 {
		return true
	}
	for i := 1; i < len(name)-1; i++ {
		switch c := name[i]; {
		case c == '_', c == '/', c == '.' && letter(name[i+1]):
			return true
		case c == '-' && letter(name[i+1]):
			return true
		case c >= 'A' && c <= 'Z' && name[i-1] >= 'a' && name[i-1] <= 'z':
			return true
		}
	}
	return false
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' }

// part reports whether c may be in a tool's name (MCP 2025-11-25, tools: names).
func part(c byte) bool { return letter(c) || c == '_' || c == '-' }

// appendNames appends the words of a text that could be names of tools, each once;
// of files/read.it these are files/read.it, read.it and their parts.
func appendNames(all []string, text string, long int) []string {
	add := func(w string) {
		if len(all) < maxWords && telling(w, long) && !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	for i := 0; i < len(text); {
		if !part(text[i]) {
			i++
			continue
		}
		start := i
		for i < len(text) && (part(text[i]) || (text[i] == '.' || text[i] == '/') && i+1 < len(text) && part(text[i+1])) {
			i++
		}
		word := text[start:i]
		add(word)
		if !strings.ContainsAny(word, "./") {
			continue
		}
		for piece := range strings.SplitSeq(word, "/") {
			add(piece)
			for p := range strings.SplitSeq(piece, ".") {
				add(p)
			}
		}
	}
	return all
}

// owners are the upstreams that have a tool of a name, by the upstream's own name
// and by that which clients use.
type owners map[string]owner

type owner struct {
	upstream string
	others   []string
}

func (o owner) has(upstream string) bool {
	return o.upstream == upstream || slices.Contains(o.others, upstream)
}

func ownersOf(all []*policy.Definition, long int) owners {
	o := make(owners, 2*len(all))
	add := func(name, upstream string) {
		if !telling(name, long) {
			return
		}
		switch have, ok := o[name]; {
		case !ok:
			o[name] = owner{upstream: upstream}
		case !have.has(upstream):
			have.others = append(have.others, upstream)
			o[name] = have
		}
	}
	for _, d := range all {
		if d.Kind == policy.Tool {
			add(d.Name, d.Upstream)
			if d.Exposed != d.Name {
				add(d.Exposed, d.Upstream)
			}
		}
	}
	return o
}

// other returns the upstream whose tool a word of upstream's names, "" for nobody: a
// name that it has itself means its own tool.
func (o owners) other(word, upstream string) string {
	if have, ok := o[word]; ok && !have.has(upstream) {
		return have.upstream
	}
	return ""
}
