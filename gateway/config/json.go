package config

import (
	"encoding/json"
	"regexp"
	"strconv"

	"github.com/tailscale/hujson"
)

// hujsonPlace is where hujson says that an error is; it has no typed form.
var hujsonPlace = regexp.MustCompile(`^hujson: line (\d+), column (\d+): `)

// parseJSON reads JSON with comments and trailing commas. A duplicate key is
// reported and its first value kept.
func parseJSON(s *source, p *problems) *node {
	v, err := hujson.Parse(s.data)
	if err != nil {
		at, what := pos{src: s, line: 1, col: 1}, err.Error()
		if m := hujsonPlace.FindStringSubmatch(what); m != nil {
			at.line, _ = strconv.Atoi(m[1])
			at.col, _ = strconv.Atoi(m[2])
			what = what[len(m[0]):]
		}
		p.add(at, "", "is not valid JSON: "+what, "")
		return nil
	}
	return (&jsonReader{s, p}).node(v, 0)
}

type jsonReader struct {
	src      *source
	problems *problems
}

func (j *jsonReader) node(v hujson.Value, depth int) *node {
	at := j.src.offset(v.StartOffset)
	if depth > maxDepth {
		j.problems.add(at, "", "is nested too deeply", "")
		return &node{at: at}
	}
	switch v := v.Value.(type) {
	case *hujson.Object:
		out := &node{kind: table, at: at}
		for _, m := range v.Members {
			key, keyAt := literal(m.Name), j.src.offset(m.Name.StartOffset)
			value := j.node(m.Value, depth+1)
			if first := out.member(key); first != nil {
				j.problems.duplicate(keyAt, key, first.at)
				continue
			}
			out.members = append(out.members, member{key, keyAt, value})
		}
		return out
	case *hujson.Array:
		out := &node{kind: list, at: at}
		for _, item := range v.Elements {
			out.items = append(out.items, j.node(item, depth+1))
		}
		return out
	case hujson.Literal:
		switch v.Kind() {
		case '"':
			return &node{kind: text, at: at, text: v.String()}
		case 't', 'f':
			return &node{kind: boolean, at: at, text: string(v)}
		case '0':
			return &node{kind: number, at: at, text: string(v)}
		}
	}
	return &node{at: at}
}

// literal is the text of a key.
func literal(v hujson.Value) string {
	l, _ := v.Value.(hujson.Literal)
	var s string
	if json.Unmarshal(l, &s) != nil {
		return string(l)
	}
	return s
}
