package schema

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// node compiles the schema v once; it may lead to itself.
func (d *document) node(v *value) (*node, error) {
	if n := d.nodes[v]; n != nil {
		return n, nil
	}
	n := &node{
		base: d.bases[v], minLength: -1, maxLength: -1, minContains: -1, maxContains: -1,
		minItems: -1, maxItems: -1, minProps: -1, maxProps: -1,
	}
	d.nodes[v] = n
	if v.kind == boolean {
		n.never, n.always = v.text == "false", v.text == "true"
		return n, nil
	}
	if v.kind != object {
		return nil, &UnusableError{At: d.places[v], Why: "is neither an object nor a boolean"}
	}
	c := &compiler{d: d, v: v}
	c.references(n)
	if d.draft == draft7 && n.ref != nil { // all beside it is ignored
		return n, c.err
	}
	c.values(n)
	c.arrays(n)
	c.objects(n)
	c.logic(n)
	return n, c.err
}

// compiler reads the keywords of one schema. After the first fault, which is err,
// all it reads is absent.
type compiler struct {
	d   *document
	v   *value
	err error
}

func (c *compiler) fault(key, why string) {
	if c.err == nil {
		c.err = &UnusableError{At: c.d.places[c.v] + "/" + escape(key), Why: why}
	}
}

// keyword returns the value of a keyword if it is of one of the kinds.
func (c *compiler) keyword(key string, want kinds) *value {
	v := c.v.of(key)
	if v == nil || c.err != nil {
		return nil
	}
	if v.kind&want == 0 {
		c.fault(key, fmt.Sprintf("has a %s that is not %s", key, want))
		return nil
	}
	return v
}

func (c *compiler) sub(v *value) *node {
	if v == nil || c.err != nil {
		return nil
	}
	n, err := c.d.node(v)
	if err != nil {
		c.err = err
	}
	return n
}

func (c *compiler) one(key string) *node { return c.sub(c.keyword(key, object|boolean)) }

func (c *compiler) list(key string) []*node {
	v := c.keyword(key, array)
	if v == nil {
		return nil
	}
	if len(v.items) == 0 && key != "items" {
		c.fault(key, "has an empty "+key)
	}
	out := make([]*node, len(v.items))
	for i, item := range v.items {
		out[i] = c.sub(item)
	}
	return out
}

func (c *compiler) number(key string) *number {
	v := c.keyword(key, anyNumber)
	if v == nil {
		return nil
	}
	n, err := parseNumber(v.text)
	if err != nil {
		c.fault(key, "has a number that is too long")
		return nil
	}
	return n
}

// count reads a whole number from 0, -1 for none.
func (c *compiler) count(key string) int {
	n := c.number(key)
	if n == nil {
		return -1
	}
	if n.exact != nil || n.small < 0 || int64(int(n.small)) != n.small {
		c.fault(key, "has a "+key+" that is no number of things")
		return -1
	}
	return int(n.small)
}

func (c *compiler) strings(key string, v *value) []string {
	var out []string
	for _, item := range v.items {
		if item.kind != text {
			c.fault(key, "has a "+key+" that is not of strings")
			return nil
		}
		out = append(out, item.text)
	}
	return out
}

func (c *compiler) regexp(key, pattern string) *regexp.Regexp {
	re, err := regexp.Compile(translated(pattern))
	if err != nil {
		c.fault(key, "has a pattern that RE2 cannot express")
	}
	return re
}

// codeUnit is an escape that ECMA-262 has and RE2 has not.
var codeUnit = regexp.MustCompile(`\\u([0-9A-Fa-f]{4})|\\(.)`)

// translated is a pattern in RE2's syntax.
func translated(pattern string) string {
	if !strings.Contains(pattern, `\u`) {
		return pattern
	}
	return codeUnit.ReplaceAllStringFunc(pattern, func(s string) string {
		if len(s) == len(`\u0000`) {
			return `\x{` + s[2:] + `}`
		}
		return s
	})
}

func (c *compiler) references(n *node) {
	if ref := c.keyword("$ref", text); ref != nil {
		to, _, err := c.d.find(c.v, ref.text)
		if err != nil {
			c.err = err
			return
		}
		n.ref = c.sub(to)
	}
	if c.d.draft == draft7 {
		return
	}
	if ref := c.keyword("$dynamicRef", text); ref != nil {
		to, dynamic, err := c.d.find(c.v, ref.text)
		if err != nil {
			c.err = err
			return
		}
		n.dynamicRef = c.sub(to)
		if dynamic != "" {
			_, n.dynamicName, _ = strings.Cut(dynamic, "#")
		}
	}
}

func (c *compiler) values(n *node) {
	if v := c.keyword("type", text|array); v != nil {
		names := []*value{v}
		if v.kind == array {
			names = v.items
		}
		for _, name := range names {
			found := false
			for _, k := range kindNames {
				if name.kind == text && k.name == name.text {
					n.types |= k.kinds
					found = true
				}
			}
			if !found {
				c.fault("type", "has a type that there is not")
			}
		}
		if n.types == 0 {
			c.fault("type", "has a type that there is not")
		}
	}
	if v := c.keyword("enum", array); v != nil {
		c.enum(n, v.items)
	}
	if v := c.v.of("const"); v != nil && c.err == nil {
		key, err := v.canonical(nil)
		if err != nil {
			c.fault("const", "has a number that is too long")
		}
		n.constant, n.constantText = string(key), shown(v)
	}
	if n.multipleOf = c.number("multipleOf"); n.multipleOf != nil && n.multipleOf.compare(new(number)) <= 0 {
		c.fault("multipleOf", "has a multipleOf that is not above 0")
	}
	n.minimum, n.maximum = c.number("minimum"), c.number("maximum")
	n.above, n.below = c.number("exclusiveMinimum"), c.number("exclusiveMaximum")
	n.minLength, n.maxLength = c.count("minLength"), c.count("maxLength")
	if v := c.keyword("pattern", text); v != nil {
		n.pattern = c.regexp("pattern", v.text)
	}
}

func (c *compiler) enum(n *node, values []*value) {
	n.enum = make(map[string]bool, len(values))
	var all []string
	for _, v := range values {
		key, err := v.canonical(nil)
		if err != nil {
			c.fault("enum", "has a number that is too long")
			return
		}
		n.enum[string(key)] = true
		all = append(all, shown(v))
	}
	n.enumText = strings.Join(all[:min(len(all), 12)], ", ")
	if len(all) > 12 {
		n.enumText += " and " + strconv.Itoa(len(all)-12) + " more"
	}
}

// shown is a value of a schema for people.
func shown(v *value) string {
	switch v.kind {
	case null:
		return "null"
	case text:
		return quoted(v.text)
	case array:
		return "an array"
	case object:
		return "an object"
	}
	return clip(v.text)
}

func (c *compiler) arrays(n *node) {
	if v := c.v.of("items"); v != nil && v.kind == array && (c.d.draft == draft7 || !c.d.said) {
		n.prefix, n.items = c.list("items"), c.one("additionalItems")
	} else {
		n.items = c.one("items")
	}
	if c.d.draft != draft7 {
		if c.v.of("prefixItems") != nil {
			n.prefix = c.list("prefixItems")
		}
		n.minContains, n.maxContains = c.count("minContains"), c.count("maxContains")
		if n.unevaluatedItems = c.one("unevaluatedItems"); n.unevaluatedItems != nil {
			c.d.tracked = true
		}
	}
	n.contains = c.one("contains")
	n.minItems, n.maxItems = c.count("minItems"), c.count("maxItems")
	if v := c.keyword("uniqueItems", boolean); v != nil {
		n.unique = v.text == "true"
	}
}

func (c *compiler) objects(n *node) {
	if v := c.keyword("properties", object); v != nil {
		n.properties = make(map[string]*node, len(v.members))
		for _, m := range v.members {
			n.properties[m.key] = c.sub(m.value)
		}
	}
	if v := c.keyword("patternProperties", object); v != nil {
		for _, m := range v.members {
			n.patterns = append(n.patterns, patternProperty{c.regexp("patternProperties", m.key), c.sub(m.value)})
		}
	}
	n.additional, n.names = c.one("additionalProperties"), c.one("propertyNames")
	n.minProps, n.maxProps = c.count("minProperties"), c.count("maxProperties")
	if v := c.keyword("required", array); v != nil {
		n.required = c.strings("required", v)
	}
	if c.d.draft == draft7 {
		c.dependencies(n, "dependencies", array|object|boolean)
		return
	}
	c.dependencies(n, "dependentRequired", array)
	c.dependencies(n, "dependentSchemas", object|boolean)
	if n.unevaluatedProperties = c.one("unevaluatedProperties"); n.unevaluatedProperties != nil {
		c.d.tracked = true
	}
}

func (c *compiler) dependencies(n *node, key string, want kinds) {
	v := c.keyword(key, object)
	if v == nil {
		return
	}
	for _, m := range v.members {
		switch {
		case m.value.kind&want == 0:
			c.fault(key, "has a "+key+" of the wrong kind")
		case m.value.kind == array:
			n.dependentRequired = append(n.dependentRequired, dependency{property: m.key, required: c.strings(key, m.value)})
		default:
			n.dependentSchemas = append(n.dependentSchemas, dependency{property: m.key, node: c.sub(m.value)})
		}
	}
}

func (c *compiler) logic(n *node) {
	n.allOf = append(n.allOf, c.list("allOf")...)
	n.anyOf, n.oneOf = c.list("anyOf"), c.list("oneOf")
	n.not, n.condition, n.then, n.orElse = c.one("not"), c.one("if"), c.one("then"), c.one("else")
}
