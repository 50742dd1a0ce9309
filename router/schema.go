package router

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Bounds of a schema, beyond which it is a bomb and no description of
// arguments: it costs the client's validator what it cost nobody to send.
const (
	maxSchema      = 1 << 20 // bytes
	maxSchemaDepth = 64
	maxExpansion   = 100_000 // schemas after following every local $ref
)

// schemaFault says why the JSON Schema at s cannot be passed on, or "". The key
// is the schema's own.
func schemaFault(key string, raw []byte, s jsonrpc.Span) string {
	switch {
	case !s.Ok():
		return "has no " + key
	case raw[s.Start] != '{':
		return fmt.Sprintf("has an %s that is not an object", key)
	case s.End-s.Start > maxSchema:
		return fmt.Sprintf("has an %s of more than %d bytes", key, maxSchema)
	}
	if t, ok := jsonrpc.Lookup(raw, s, "type"); ok && key == "inputSchema" && string(t.Of(raw)) != `"object"` {
		return `has an inputSchema whose type is not "object"`
	}
	if harmless(s.Of(raw)) {
		return ""
	}
	w := schemaWalk{raw: raw, root: s, headers: key == "inputSchema"}
	w.schema(s, "#", 0, true)
	if w.fault == "" && len(w.refs) > 0 {
		if w.expansion("#", make(map[string]int)) > maxExpansion {
			w.fault = "expands to too many parts through $ref"
		}
	}
	if w.fault == "" {
		return ""
	}
	return fmt.Sprintf("has an %s that %s", key, w.fault)
}

// harmless reports whether a schema holds nothing that the walk looks for, which
// is so for most of them and costs a tenth of it. \u could spell any of it.
func harmless(schema []byte) bool {
	for _, word := range []string{"$ref", "$dynamicRef", "$recursiveRef", "x-mcp-header", `\u`} {
		if bytes.Contains(schema, []byte(word)) {
			return false
		}
	}
	return bytes.Count(schema, []byte{'{'})+bytes.Count(schema, []byte{'['}) <= maxSchemaDepth
}

// schemaWalk goes through one schema once.
type schemaWalk struct {
	raw     []byte
	root    jsonrpc.Span
	headers bool // x-mcp-header is looked at
	fault   string
	// refs are the local references found below each definition, by the
	// definition's JSON pointer; "#" is what lies outside of any.
	refs map[string][]string
	seen map[string]struct{} // the x-mcp-header names, in lower case
}

// schema reads the schema at s, which belongs to definition def. plain tells
// whether it is reached through properties alone, where alone x-mcp-header may
// stand.
func (w *schemaWalk) schema(s jsonrpc.Span, def string, depth int, plain bool) {
	if depth > maxSchemaDepth {
		w.fault = fmt.Sprintf("is nested more than %d deep", maxSchemaDepth)
	}
	if w.fault != "" {
		return
	}
	for e := range jsonrpc.Elements(w.raw, s) {
		w.schema(e, def, depth+1, false)
	}
	for key, v := range jsonrpc.Members(w.raw, s) {
		switch key {
		case "const", "enum", "default", "examples": // data, not schemas
		case "$ref", "$dynamicRef", "$recursiveRef":
			w.ref(key, v, def)
		case "x-mcp-header":
			w.header(s, v, plain)
		case "properties", "patternProperties", "dependentSchemas", "$defs", "definitions":
			for name, sub := range jsonrpc.Members(w.raw, v) {
				below := def
				if key == "$defs" || key == "definitions" {
					below = "#/" + key + "/" + name
				}
				w.schema(sub, below, depth+1, plain && key == "properties")
			}
		default:
			if c := w.raw[v.Start]; c == '{' || c == '[' {
				w.schema(v, def, depth+1, false)
			}
		}
		if w.fault != "" {
			return
		}
	}
}

func (w *schemaWalk) ref(key string, v jsonrpc.Span, def string) {
	to := jsonrpc.Text(w.raw, v)
	low := strings.ToLower(strings.TrimSpace(to))
	if strings.HasPrefix(low, "//") || strings.Contains(low, "://") {
		w.fault = fmt.Sprintf("refers to the network: %s %s", key, quoted(to))
		return
	}
	if w.refs == nil {
		w.refs = make(map[string][]string)
	}
	w.refs[def] = append(w.refs[def], to)
}

// expansion counts the schemas that def stands for once its references are
// followed. Recursion counts as one: validators follow it with the data.
func (w *schemaWalk) expansion(def string, done map[string]int) int {
	if n, ok := done[def]; ok {
		return n
	}
	done[def] = 1
	n := 1
	for _, to := range w.refs[def] {
		if n += w.expansion(to, done); n > maxExpansion {
			break
		}
	}
	done[def] = n
	return n
}

// header checks an x-mcp-header annotation (2026-07-28, streamable HTTP, custom
// headers from tool parameters). Clients must leave out a tool with a bad one.
func (w *schemaWalk) header(s, v jsonrpc.Span, plain bool) {
	if !w.headers {
		return
	}
	name := jsonrpc.Text(w.raw, v)
	low := strings.ToLower(name)
	t, _ := jsonrpc.Lookup(w.raw, s, "type")
	kind := jsonrpc.Text(w.raw, t)
	_, again := w.seen[low]
	switch {
	case !token(name):
		w.fault = "has an x-mcp-header that is not a header name"
	case again:
		w.fault = "has the same x-mcp-header twice"
	case !plain || s == w.root:
		w.fault = "has an x-mcp-header where none can be"
	case kind != "string" && kind != "integer" && kind != "boolean":
		w.fault = "has an x-mcp-header on something else than a string, an integer or a boolean"
	}
	if w.seen == nil {
		w.seen = make(map[string]struct{})
	}
	w.seen[low] = struct{}{}
}

// token reports whether s is a token of RFC 9110 section 5.6.2.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && !legalByte(c) && !strings.ContainsRune("!#$%&'*+.^`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}
