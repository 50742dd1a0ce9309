package schema

import (
	"net/url"
	"strconv"
	"strings"
)

// maxValues is how many values a schema may consist of.
const maxValues = 50_000

// document is a schema that is being compiled: where its parts can be found by
// reference, and what was compiled already.
type document struct {
	draft draft
	// said is whether the schema says which draft it is. What says nothing is read
	// a little more generously.
	said      bool
	bases     map[*value]string // the URI that references of a schema are relative to
	places    map[*value]string // JSON Pointers
	resources map[string]*value
	anchors   map[string]*value // by URI, "#" and name
	dynamic   map[string]*value // likewise, of $dynamicAnchor
	nodes     map[*value]*node
	tracked   bool
}

// drafts are the values of $schema, without a final #.
var drafts = map[string]draft{
	"https://json-schema.org/draft/2020-12/schema": draft2020,
	"http://json-schema.org/draft/2020-12/schema":  draft2020,
	"http://json-schema.org/draft-07/schema":       draft7,
	"https://json-schema.org/draft-07/schema":      draft7,
}

// Where the schemas are in a schema: under these keys is one, in a list of them, or
// in an object by name.
var (
	oneBelow = []string{
		"items", "contains", "additionalProperties", "additionalItems", "propertyNames", "not", "if", "then", "else",
		"unevaluatedItems", "unevaluatedProperties",
	}
	listBelow  = []string{"prefixItems", "allOf", "anyOf", "oneOf", "items"}
	namedBelow = []string{"properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies"}
)

// Compile reads a schema. The error is an *UnusableError. It takes at most some
// tens of milliseconds.
func Compile(raw []byte) (*Schema, error) {
	if len(raw) > MaxSize {
		return nil, &UnusableError{Why: "is longer than " + strconv.Itoa(MaxSize>>10) + " KiB"}
	}
	root, err := decode(raw, maxValues)
	if err != nil {
		return nil, &UnusableError{Why: "is no JSON, or too large"}
	}
	d := &document{
		bases: map[*value]string{}, places: map[*value]string{}, resources: map[string]*value{},
		anchors: map[string]*value{}, dynamic: map[string]*value{}, nodes: map[*value]*node{},
	}
	if s := root.of("$schema"); s != nil {
		var ok bool
		if d.draft, ok = drafts[strings.TrimSuffix(s.text, "#")]; !ok {
			return nil, &UnusableError{At: "/$schema", Why: "is of a draft that is neither 2020-12 nor draft-07"}
		}
		d.said = true
	}
	d.resources[""] = root
	if err := d.survey(root, "", ""); err != nil {
		return nil, err
	}
	s := new(Schema)
	if s.root, err = d.node(root); err != nil {
		return nil, err
	}
	s.dynamic = make(map[string]*node, len(d.dynamic))
	for name, v := range d.dynamic {
		if s.dynamic[name], err = d.node(v); err != nil {
			return nil, err
		}
	}
	s.tracked = d.tracked
	return s, nil
}

// survey notes what v and all schemas in it can be referred to by.
func (d *document) survey(v *value, base, place string) error {
	d.places[v] = place
	if v.kind != object {
		return nil
	}
	if s := v.of("$schema"); s != nil && place != "" {
		if other, ok := drafts[strings.TrimSuffix(s.text, "#")]; !ok || other != d.draft {
			return &UnusableError{At: place + "/$schema", Why: "changes its draft"}
		}
	}
	id := v.of("$id")
	if id != nil && id.kind == text && !(d.draft == draft7 && v.of("$ref") != nil) {
		if name, ok := strings.CutPrefix(id.text, "#"); ok && d.draft == draft7 {
			d.anchors[base+"#"+name] = v
		} else {
			uri, err := resolve(base, id.text)
			if err != nil {
				return &UnusableError{At: place + "/$id", Why: "has an $id that is no URI"}
			}
			base, _, _ = strings.Cut(uri, "#")
			d.resources[base] = v
		}
	}
	d.bases[v] = base
	if d.draft != draft7 {
		if a := v.of("$anchor"); a != nil {
			d.anchors[base+"#"+a.text] = v
		}
		if a := v.of("$dynamicAnchor"); a != nil {
			d.anchors[base+"#"+a.text] = v
			d.dynamic[base+"#"+a.text] = v
		}
	}
	return d.below(v, base, place)
}

// below surveys the schemas directly in v.
func (d *document) below(v *value, base, place string) error {
	for _, key := range oneBelow {
		if s := v.of(key); s != nil {
			if err := d.survey(s, base, place+"/"+key); err != nil {
				return err
			}
		}
	}
	for _, key := range listBelow {
		if s := v.of(key); s != nil {
			for i, item := range s.items {
				if err := d.survey(item, base, place+"/"+key+"/"+strconv.Itoa(i)); err != nil {
					return err
				}
			}
		}
	}
	for _, key := range namedBelow {
		if s := v.of(key); s != nil {
			for _, m := range s.members {
				if err := d.survey(m.value, base, place+"/"+key+"/"+escape(m.key)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// resolve makes ref, relative to base, a whole URI.
func resolve(base, ref string) (string, error) {
	r, err := url.Parse(ref)
	if err != nil {
		return "", err
	}
	if base == "" {
		return r.String(), nil
	}
	b, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	if b.Opaque != "" && r.Scheme == "" && r.Path == "" { // urn:x and #y
		return base + "#" + r.EscapedFragment(), nil
	}
	return b.ResolveReference(r).String(), nil
}

// find returns what a reference in the schema v leads to, and the URI with "#" and
// name if it is a $dynamicAnchor.
func (d *document) find(v *value, ref string) (found *value, dynamic string, err error) {
	no := func(why string) error { return &UnusableError{At: d.places[v], Why: why} }
	uri, err := resolve(d.bases[v], ref)
	if err != nil {
		return nil, "", no("has a reference that is no URI")
	}
	uri, fragment, _ := strings.Cut(uri, "#")
	if fragment, err = url.PathUnescape(fragment); err != nil {
		return nil, "", no("has a reference that is no URI")
	}
	in := d.resources[uri]
	if in == nil {
		return nil, "", no("refers to another document, and none is ever fetched")
	}
	if fragment == "" {
		return in, "", nil
	}
	if !strings.HasPrefix(fragment, "/") {
		name := uri + "#" + fragment
		if uri == "" || in == d.resources[""] { // by either of its URIs
			for _, u := range []string{"", d.bases[in]} {
				if d.anchors[u+"#"+fragment] != nil {
					name = u + "#" + fragment
				}
			}
		}
		if found = d.anchors[name]; found == nil {
			return nil, "", no("refers to what is not in it")
		}
		if d.dynamic[name] == found {
			dynamic = name
		}
		return found, dynamic, nil
	}
	found = in
	base := d.bases[in]
	for part := range strings.SplitSeq(fragment[1:], "/") {
		part = strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
		if found.kind == array {
			i, err := strconv.Atoi(part)
			if err != nil || i < 0 || i >= len(found.items) {
				return nil, "", no("refers to what is not in it")
			}
			found = found.items[i]
		} else if found = found.of(part); found == nil {
			return nil, "", no("refers to what is not in it")
		}
		if b, ok := d.bases[found]; ok {
			base = b
		}
	}
	if _, known := d.places[found]; !known { // below a key that means nothing
		if err := d.survey(found, base, fragment); err != nil {
			return nil, "", err
		}
	}
	return found, "", nil
}

// escape writes a key as part of a JSON Pointer (RFC 6901).
func escape(key string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(key) }
