package screen

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/unseen"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// sight is what one definition says of itself, whatever others there are.
type sight struct {
	action  Action // of what was found, Allow for nothing
	reasons []string
	raw     []byte   // without what is taken out; nil if nothing is
	words   []string // which could be names of tools
}

// note adds a finding.
func (s *sight) note(a Action, reason string) {
	if a == Allow {
		return
	}
	s.reasons = append(s.reasons, reason)
	if weight(a) > weight(s.action) {
		s.action = a
	}
}

// weight orders actions by how much they do.
func weight(a Action) int {
	switch a {
	case Hide, Block:
		return 3
	case Strip:
		return 2
	case Report:
		return 1
	}
	return 0
}

// look reads a definition.
func (p *Policy) look(d *policy.Definition) *sight {
	s := &sight{action: Allow}
	if most := p.c.Limits.Definition; most > 0 && int64(len(d.Raw)) > most {
		s.note(p.c.Definitions.Size, fmt.Sprintf("it has %d bytes, and %d are allowed", len(d.Raw), most))
		if p.c.Definitions.Size == Hide {
			return s
		}
	}
	r := &reader{p: p, sight: s, raw: d.Raw, dirty: !clean(d.Raw)}
	r.scan.cutting = p.cutting
	r.value(jsonrpc.Whole(d.Raw), "", d.Kind == policy.Instructions)
	for what, f := range r.scan.found {
		if f.count == 0 {
			continue
		}
		action := p.definitions[what]
		if action == Strip && r.rigid[what] { // taken out, it would be another thing
			action = Hide
		}
		s.note(action, r.places[what]+" has "+f.say(rule(what))) //nolint:gosec // there are a handful of rules
	}
	if s.action == Strip && len(r.scan.cuts) > 0 {
		s.raw = r.scan.stripped(d.Raw)
		// Names are those that are read when the rest is gone.
		again := &reader{p: p, sight: &sight{}, raw: s.raw}
		again.value(jsonrpc.Whole(s.raw), "", d.Kind == policy.Instructions)
		s.words = again.sight.words
	}
	return s
}

// reader goes through the values of a definition.
type reader struct {
	p     *Policy
	sight *sight
	raw   []byte
	dirty bool // there may be something to find
	scan  scan
	// places are where each rule first found something, and rigid says that it was found
	// where more than people's words is at stake: a name, an argument, a pattern.
	places [rules]string
	rigid  [rules]bool
}

// prose are the members that are words for people and models.
func prose(key string) bool { return key == "description" || key == "title" || key == "$comment" }

func (r *reader) value(at jsonrpc.Span, path string, words bool) {
	if !at.Ok() {
		return
	}
	switch r.raw[at.Start] {
	case '"':
		r.text(at, path, words)
	case '{':
		for key, v := range jsonrpc.Members(r.raw, at) {
			below := key
			if path != "" {
				below = path + "." + key
			}
			if r.dirty {
				quoted := jsonrpc.AppendString(nil, key)
				r.look(quoted[1:len(quoted)-1], -1, "the name of "+below, false)
			}
			r.value(v, below, prose(key) && r.raw[v.Start] == '"')
		}
	case '[':
		for v := range jsonrpc.Elements(r.raw, at) {
			r.value(v, path, false)
		}
	}
}

// text reads a string.
func (r *reader) text(at jsonrpc.Span, path string, words bool) {
	inner := r.raw[at.Start+1 : at.End-1]
	if path == "" {
		path = "the text"
	}
	if r.dirty {
		r.look(inner, int(at.Start)+1, path, words)
	}
	if !words {
		return
	}
	if most := r.p.c.Limits.Description; most > 0 && int64(len(inner)) > most {
		if n := utf8.RuneCountInString(jsonrpc.Text(r.raw, at)); int64(n) > most {
			r.sight.note(r.p.c.Definitions.Size, fmt.Sprintf("%s has %d characters, and %d are allowed", shown(path), n, most))
		}
	}
	if r.p.c.Definitions.Names != Allow {
		r.sight.words = appendNames(r.sight.words, jsonrpc.Text(r.raw, at), int(r.p.c.Limits.Name))
	}
}

// look scans a string; offset is -1 where nothing can be taken out.
func (r *reader) look(inner []byte, offset int, path string, words bool) {
	if clean(inner) {
		return
	}
	one := scan{}
	if words && offset >= 0 {
		one.cutting = r.scan.cutting
	}
	one.text(inner, max(offset, 0))
	for what, f := range one.found {
		if f.count == 0 {
			continue
		}
		all := &r.scan.found[what]
		if all.count == 0 {
			all.first, r.places[what] = f.first, shown(path)
		}
		all.count += f.count
		r.rigid[what] = r.rigid[what] || !words
	}
	r.scan.cuts = append(r.scan.cuts, one.cuts...)
}

const maxPath = 80

// shown is a path for people.
func shown(path string) string {
	path = unseen.Escape(path)
	if len(path) > maxPath {
		path = strings.ToValidUTF8(path[:maxPath], "") + "…"
	}
	return path
}

// say names what was found.
func (f *finding) say(what rule) string {
	text := [...]string{
		smuggled: "text that nobody sees", invisible: "characters that nobody sees", bidi: "changes of direction",
		control: "control characters", private: "characters of private meaning",
	}[what]
	text += fmt.Sprintf(" (%U", f.first)
	if f.count > 1 {
		text += fmt.Sprintf(" and %d more", f.count-1)
	}
	return text + ")"
}
