package config

import (
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

var durationType = reflect.TypeFor[time.Duration]()

// checker turns a tree into plain values of the types that a struct's keys ask
// for, reports each that cannot be, and remembers where each stands.
type checker struct {
	problems *problems
	places   *places
}

// value returns n as a value for a key of type t, or false if it has none: n is
// null, or wrong and reported. A struct or map gives a map[string]any, a slice a
// []any, so that koanf can merge them.
func (c *checker) value(path []string, n *node, t reflect.Type) (any, bool) {
	if n.kind == null {
		return nil, false
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	c.places.set(path, n)
	want := text
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		want = table
	case reflect.Slice:
		want = list
	case reflect.Interface:
		return n.plain(), true
	}
	switch {
	case want == table && n.kind == table && t.Kind() == reflect.Struct:
		return c.structure(path, n, t), true
	case want == table && n.kind == table:
		return c.mapping(path, n, t.Elem()), true
	case want == list && n.kind == list:
		out := make([]any, 0, len(n.items))
		for i, item := range n.items {
			if v, ok := c.value(child(path, strconv.Itoa(i)), item, t.Elem()); ok {
				out = append(out, v)
			} else if t.Elem().Kind() == reflect.Struct {
				out = append(out, map[string]any{}) // what comes behind it keeps its number
			}
		}
		return out, true
	case want == list && n.kind == text && n.expanded && n.at.line == 0:
		// A list in an environment variable.
		out := []any{}
		for item := range strings.SplitSeq(n.text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				out = append(out, item)
			}
		}
		return out, true
	case want != text || n.kind > text:
		mend := ""
		if want == list && n.kind == text {
			mend = "write [" + n.show() + "]"
		}
		c.problems.add(n.at, dotted(path), fmt.Sprintf("%s must be %s, not %s", c.places.subject(path), wanted(t), n.kind), mend)
		return nil, false
	}
	v, what, mend := scalar(n, t)
	if what != "" {
		c.problems.add(n.at, dotted(path), c.places.subject(path)+" "+what, mend)
		return nil, false
	}
	return v, true
}

func (c *checker) structure(path []string, n *node, t reflect.Type) map[string]any {
	types := keysOf(t)
	out := map[string]any{}
	for _, m := range n.members {
		p := child(path, m.key)
		c.places.setKey(p, m.at)
		ft, ok := types[m.key]
		if !ok {
			c.problems.add(m.at, dotted(p), "unknown key "+quote(m.key), didYouMean(m.key, sortedKeys(types)))
			continue
		}
		if v, ok := c.value(p, m.value, ft); ok {
			out[m.key] = v
		} else if m.value.kind == null && ft.Kind() == reflect.Pointer && ft.Elem().Kind() == reflect.Struct {
			out[m.key] = map[string]any{} // there, with all its defaults
		}
	}
	return out
}

func (c *checker) mapping(path []string, n *node, t reflect.Type) map[string]any {
	out := map[string]any{}
	for _, m := range n.members {
		p := child(path, m.key)
		c.places.setKey(p, m.at)
		if strings.ContainsFunc(m.key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			c.problems.add(m.at, dotted(p), "a control character in the key "+quote(m.key), "")
			continue
		}
		if v, ok := c.value(p, m.value, t); ok {
			out[m.key] = v
		} else if m.value.kind == null && t.Kind() == reflect.Struct {
			out[m.key] = map[string]any{}
		}
	}
	return out
}

// wanted names what a key of type t takes.
func wanted(t reflect.Type) string {
	switch {
	case t == durationType:
		return "a duration such as 30s"
	case t.Kind() == reflect.Int64:
		return "a size such as 4MiB"
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return table.String()
	case reflect.Slice:
		return list.String()
	case reflect.Bool:
		return boolean.String()
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return number.String()
	}
	return text.String()
}

// scalar converts a scalar, or says what is wrong with it and how to mend it. A
// text that came from a variable may stand for a number or a boolean; a number
// or boolean may stand for a text, as in env and args.
func scalar(n *node, t reflect.Type) (v any, what, mend string) {
	no := func() (any, string, string) {
		return nil, fmt.Sprintf("must be %s, not %s", wanted(t), n.show()), ""
	}
	switch {
	case t.Kind() == reflect.String:
		return n.text, "", ""
	case t == durationType:
		d, err := time.ParseDuration(n.text)
		if err == nil {
			return d, "", ""
		}
		if _, err := strconv.ParseFloat(n.text, 64); err == nil {
			mend = ""
			if !n.expanded {
				mend = "write " + n.text + "s, or another of ns us ms s m h"
			}
			return nil, "needs a unit: " + n.show() + " of what", mend
		}
		return no()
	case t.Kind() == reflect.Int64:
		if size, ok := parseSize(n.text); ok {
			return size, "", ""
		}
		return no()
	}
	if n.kind == text && !n.expanded {
		return no()
	}
	switch t.Kind() {
	case reflect.Bool:
		if n.kind != number {
			if b, err := strconv.ParseBool(n.text); err == nil {
				return b, "", ""
			}
		}
	case reflect.Int:
		if i, err := strconv.ParseInt(n.text, 0, strconv.IntSize); err == nil {
			return int(i), "", ""
		}
	case reflect.Float64:
		if f, err := strconv.ParseFloat(n.text, 64); err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f, "", ""
		}
	}
	return no()
}

// sizeUnits are tried in order, so a unit comes before its own ending.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"kB", 1e3},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"K", 1 << 10},
	{"M", 1 << 20},
	{"G", 1 << 30},
	{"B", 1},
}

// parseSize reads a number of bytes: 4MiB, 512 KiB, 1GB, 65536.
func parseSize(s string) (int64, bool) {
	unit := int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(f) || math.Abs(f*float64(unit)) > 1<<53 {
		return 0, false
	}
	return int64(f * float64(unit)), true
}
