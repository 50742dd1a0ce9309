package router

import (
	"encoding/json"
	"fmt"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// item is one entry of an upstream's list, read as far as naming needs it.
type item struct {
	raw []byte // on one line
	own string // name, uri or uriTemplate
	// show is what own is to be called: own, unless the operator renamed it.
	show string
	key  jsonrpc.Span // the value that holds own
	desc jsonrpc.Span // the description's value, if there is one
	// idempotent is what the annotations hint.
	idempotent bool
}

// maxURI is how long a URI or a URI template may be.
const maxURI = 8 << 10

// read scans an item of list k. The fault is why it must be left out, or "":
// an item that breaks the schema of MCP (2025-11-25, schema.ts: Tool, Prompt,
// Resource, ResourceTemplate) makes strict clients refuse the whole list.
func read(k Kind, raw json.RawMessage) (it item, fault string) {
	it.raw = jsonrpc.OneLine(raw)
	whole := jsonrpc.Whole(it.raw)
	if !jsonrpc.Valid(it.raw) || !whole.Ok() {
		return it, "is not JSON"
	}
	if it.raw[whole.Start] != '{' {
		return it, "is not an object"
	}
	it.raw = whole.Of(it.raw)
	m, twice := members(it.raw)
	switch k {
	case Tools, Prompts:
		it.key = m.name
	case Resources:
		it.key = m.uri
	case Templates:
		it.key = m.uriTemplate
	}
	it.own = jsonrpc.Text(it.raw, it.key)
	it.show = it.own
	it.desc = m.description
	switch {
	case twice != "":
		return it, fmt.Sprintf("has the key %q twice", twice)
	case it.own == "":
		return it, "has no " + keyName(k)
	}
	for _, s := range []struct {
		key  string
		at   jsonrpc.Span
		want byte
	}{
		{"name", m.name, '"'},
		{"title", m.title, '"'},
		{"description", m.description, '"'},
		{"mimeType", m.mimeType, '"'},
		{"annotations", m.annotations, '{'},
		{"arguments", m.arguments, '['},
		{"icons", m.icons, '['},
		{"_meta", m.meta, '{'},
	} {
		if s.at.Ok() && it.raw[s.at.Start] != s.want {
			return it, wrong(s.key, s.want)
		}
	}
	if !m.name.Ok() { // a resource's, too
		return it, "has no name"
	}
	switch k {
	case Tools:
		if f := schemaFault("inputSchema", it.raw, m.inputSchema); f != "" {
			return it, f
		}
		if m.outputSchema.Ok() {
			if f := schemaFault("outputSchema", it.raw, m.outputSchema); f != "" {
				return it, f
			}
		}
		it.idempotent = hint(it.raw, m.annotations, "idempotentHint") || hint(it.raw, m.annotations, "readOnlyHint")
	case Resources, Templates:
		if len(it.own) > maxURI {
			return it, fmt.Sprintf("has a %s longer than %d characters", keyName(k), maxURI)
		}
		if f := textFault(it.own); f != "" {
			return it, f
		}
	}
	return it, ""
}

func keyName(k Kind) string {
	return [...]string{"name", "name", "uri", "uriTemplate"}[k]
}

// wrong says that the value of key is not of the kind that begins with want.
func wrong(key string, want byte) string {
	kind := map[byte]string{'"': "a string", '{': "an object", '[': "an array"}[want]
	if key == "annotations" || key == "arguments" || key == "icons" {
		return fmt.Sprintf("has %s that are not %s", key, kind)
	}
	return fmt.Sprintf("has a %s that is not %s", key, kind)
}

type fields struct {
	name, title, description, uri, uriTemplate, mimeType, inputSchema, outputSchema,
	annotations, arguments, icons, meta jsonrpc.Span
}

// members finds the members that MCP gives a meaning. twice is one that occurs
// more than once: two readers may take different ones for the item.
func members(raw []byte) (m fields, twice string) {
	for key, v := range jsonrpc.Members(raw, jsonrpc.Whole(raw)) {
		at := m.at(key)
		if at == nil {
			continue
		}
		if at.Ok() {
			twice = key
		}
		*at = v
	}
	return m, twice
}

func (m *fields) at(key string) *jsonrpc.Span {
	switch key {
	case "name":
		return &m.name
	case "title":
		return &m.title
	case "description":
		return &m.description
	case "uri":
		return &m.uri
	case "uriTemplate":
		return &m.uriTemplate
	case "mimeType":
		return &m.mimeType
	case "inputSchema":
		return &m.inputSchema
	case "outputSchema":
		return &m.outputSchema
	case "annotations":
		return &m.annotations
	case "arguments":
		return &m.arguments
	case "icons":
		return &m.icons
	case "_meta":
		return &m.meta
	}
	return nil
}

func hint(raw []byte, annotations jsonrpc.Span, key string) bool {
	v, ok := jsonrpc.Lookup(raw, annotations, key)
	return ok && string(v.Of(raw)) == "true"
}

// exposed returns the item's bytes under another name and, if describe is not
// nil, with another description. Everything else stays as it came.
func (it *item) exposed(name string, describe *string) []byte {
	var e jsonrpc.Edits
	if name != it.own {
		e.Replace(it.key, jsonrpc.AppendString(nil, name))
	}
	if describe != nil {
		text := jsonrpc.AppendString(nil, *describe)
		if it.desc.Ok() {
			e.Replace(it.desc, text)
		} else {
			e.Insert(int(it.key.End), append([]byte(`,"description":`), text...))
		}
	}
	if e.Empty() {
		return it.raw
	}
	return e.Apply(make([]byte, 0, len(it.raw)+len(name)+16), it.raw)
}
