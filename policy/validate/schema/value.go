package schema

import (
	"bytes"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// kinds is a set of JSON's types.
type kinds uint8

const (
	null kinds = 1 << iota
	boolean
	integer // a number without a fraction
	fraction
	text
	array
	object

	anyNumber = integer | fraction
)

// kindNames are the names of types in a schema, and with their articles.
var kindNames = []struct {
	kinds         kinds
	name, article string
}{
	{null, "null", "null"},
	{boolean, "boolean", "a boolean"},
	{anyNumber, "number", "a number"},
	{integer, "integer", "an integer"},
	{text, "string", "a string"},
	{array, "array", "an array"},
	{object, "object", "an object"},
}

// String says what is wanted, such as "an integer or null".
func (k kinds) String() string {
	var all []string
	for _, n := range kindNames {
		if k&n.kinds == n.kinds && !(n.kinds == integer && k&fraction != 0) {
			all = append(all, n.article)
		}
	}
	return strings.Join(all, " or ")
}

// value is a JSON value.
type value struct {
	kind    kinds  // of a number integer or fraction only by its looks: see whole
	text    string // of a string, and the literal of a number or boolean
	items   []*value
	members []member // in order, each key once
	index   map[string]*value
}

type member struct {
	key   string
	value *value
}

// decode reads one JSON document of at most that many values. Of duplicate keys the
// last counts, as it does for whoever reads the document next.
func decode(raw []byte, most int) (*value, error) {
	d := jsontext.NewDecoder(bytes.NewReader(raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	return decodeNext(d, &most)
}

func decodeNext(d *jsontext.Decoder, most *int) (*value, error) {
	if *most--; *most < 0 {
		return nil, fmt.Errorf("it has too many values")
	}
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case 'n':
		return &value{kind: null}, nil
	case 't', 'f':
		return &value{kind: boolean, text: t.String()}, nil
	case '"':
		return &value{kind: text, text: t.String()}, nil
	case '0':
		v := &value{kind: integer, text: t.String()}
		if strings.ContainsAny(v.text, ".eE") {
			v.kind = fraction
		}
		return v, nil
	case '[':
		v := &value{kind: array}
		for d.PeekKind() != ']' {
			item, err := decodeNext(d, most)
			if err != nil {
				return nil, err
			}
			v.items = append(v.items, item)
		}
		_, err := d.ReadToken()
		return v, err
	}
	v := &value{kind: object}
	for d.PeekKind() != '}' {
		t, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		key := t.String()
		item, err := decodeNext(d, most)
		if err != nil {
			return nil, err
		}
		v.set(key, item)
	}
	_, err = d.ReadToken()
	return v, err
}

// set adds a member, or puts it in the place of the one with that key.
func (v *value) set(key string, item *value) {
	if v.of(key) == nil {
		v.members = append(v.members, member{key, item})
		switch {
		case v.index != nil:
			v.index[key] = item
		case len(v.members) > 8:
			v.index = make(map[string]*value, 16)
			for _, m := range v.members {
				v.index[m.key] = m.value
			}
		}
		return
	}
	for i := range v.members {
		if v.members[i].key == key {
			v.members[i].value = item
		}
	}
	if v.index != nil {
		v.index[key] = item
	}
}

// of returns the member with that key, nil for none.
func (v *value) of(key string) *value {
	if v.index != nil {
		return v.index[key]
	}
	for i := range v.members {
		if v.members[i].key == key {
			return v.members[i].value
		}
	}
	return nil
}

// canonical appends a form that two values have in common if they are equal
// (2020-12 core, 4.2.2).
func (v *value) canonical(dst []byte) ([]byte, error) {
	switch v.kind {
	case null:
		return append(dst, 'n'), nil
	case boolean:
		return append(dst, v.text[0]), nil
	case text:
		return strconv.AppendQuote(dst, v.text), nil
	case array:
		dst = append(dst, '[')
		for _, item := range v.items {
			var err error
			if dst, err = item.canonical(dst); err != nil {
				return nil, err
			}
			dst = append(dst, ',')
		}
		return append(dst, ']'), nil
	case object:
		sorted := slices.SortedFunc(slices.Values(v.members), func(a, b member) int { return strings.Compare(a.key, b.key) })
		dst = append(dst, '{')
		for _, m := range sorted {
			var err error
			if dst, err = m.value.canonical(append(strconv.AppendQuote(dst, m.key), ':')); err != nil {
				return nil, err
			}
			dst = append(dst, ',')
		}
		return append(dst, '}'), nil
	}
	n, err := parseNumber(v.text)
	if err != nil {
		return nil, err
	}
	if n.exact == nil {
		return strconv.AppendInt(dst, n.small, 10), nil
	}
	return append(dst, n.exact.RatString()...), nil
}

// parseNumber reads the literal of a JSON number.
func parseNumber(literal string) (*number, error) {
	if i, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return &number{small: i, text: literal}, nil
	}
	// A number of ten characters may have a thousand million digits.
	mantissa, exponent, _ := strings.Cut(strings.ToLower(literal), "e")
	if exponent != "" {
		if e, err := strconv.Atoi(exponent); err != nil || e > 1000 || e < -1000 {
			return nil, errNumber
		}
	}
	if len(mantissa) > 1000 {
		return nil, errNumber
	}
	r, ok := new(big.Rat).SetString(literal)
	if !ok {
		return nil, errNumber
	}
	if r.IsInt() && r.Num().IsInt64() {
		return &number{small: r.Num().Int64(), text: literal}, nil
	}
	return &number{exact: r, text: literal}, nil
}

// rat returns n as a fraction.
func (n *number) rat() *big.Rat {
	if n.exact != nil {
		return n.exact
	}
	return new(big.Rat).SetInt64(n.small)
}

// whole reports whether n has no fraction.
func (n *number) whole() bool { return n.exact == nil || n.exact.IsInt() }

// compare is less than, equal to or more than 0 as a is less than b or not.
func (n *number) compare(b *number) int {
	if n.exact != nil || b.exact != nil {
		return n.rat().Cmp(b.rat())
	}
	switch {
	case n.small < b.small:
		return -1
	case n.small > b.small:
		return 1
	}
	return 0
}

// multipleOf reports whether n is a multiple of b, which is not 0.
func (n *number) multipleOf(b *number) bool {
	if n.exact == nil && b.exact == nil {
		return n.small%b.small == 0
	}
	return new(big.Rat).Quo(n.rat(), b.rat()).IsInt()
}
