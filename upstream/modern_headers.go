package upstream

import (
	"encoding/base64"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// modernFields returns modernHeader as fields.
func modernFields(body []byte, theirs http.Header, tools *toolHeaders) (list []field) {
	for name, values := range modernHeader(body, theirs, tools) {
		for _, v := range values {
			list = append(list, field{name, v})
		}
	}
	return list
}

// modernHeader returns the headers of one request to a modern server that mirror
// its body (basic/transports/streamable-http of 2026-07-28, Request Metadata).
// The body is the one that is sent: names in it are the server's own. theirs are
// the Mcp-Param-* headers of the client, which are sent on where the server's
// schema does not tell us to make them; they are not changed.
func modernHeader(body []byte, theirs http.Header, tools *toolHeaders) http.Header {
	h := make(http.Header, len(theirs)+4)
	m, err := jsonrpc.Parse(body)
	if err != nil {
		return h // an edit of ours that broke it; the server will say so
	}
	for k, v := range theirs {
		if strings.HasPrefix(k, paramHeader) && len(v) > 0 {
			h[k] = v
		}
	}
	method := m.MethodName()
	h["Mcp-Method"] = []string{method}
	name := m.Name
	switch method {
	case "tools/call":
		tools.mirror(h, &m)
	case "prompts/get":
	case "resources/read":
		name = m.URI
	case "tasks/get", "tasks/update", "tasks/cancel":
		name, _ = jsonrpc.Lookup(m.Raw, m.Params, "taskId")
	default:
		return h
	}
	if name.Ok() {
		h["Mcp-Name"] = []string{headerValue(m.Text(name))}
	}
	return h
}

// headerValue makes a value fit for a header: as it is, or in the Base64 form for
// what is not plain, visible ASCII (Value Encoding).
func headerValue(s string) string {
	if plainHeader(s) {
		return s
	}
	return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(s)) + "?="
}

func plainHeader(s string) bool {
	if s == "" {
		return true
	}
	if s[0] == ' ' || s[0] == '\t' || s[len(s)-1] == ' ' || s[len(s)-1] == '\t' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '\t' && (c < 0x20 || c > 0x7e) {
			return false
		}
	}
	return !strings.HasPrefix(s, "=?base64?") || !strings.HasSuffix(s, "?=")
}

// paramHeader begins the name of a header that mirrors an argument.
const paramHeader = "Mcp-Param-"

// toolHeaders says which arguments of which tools are mirrored into headers. It
// never changes once made; nil is none.
type toolHeaders struct{ byTool map[string][]mirrored }

// mirrored is one argument: the path to it, and the header's canonical name.
type mirrored struct {
	path   []string
	header string
}

// readToolHeaders reads the x-mcp-header annotations of a tools/list (Custom
// Headers from Tool Parameters). Annotations against the rules are passed over:
// package router leaves such tools out of the catalog, and says why.
func readToolHeaders(inv *Inventory) *toolHeaders {
	t := new(toolHeaders)
	for _, item := range inv.Tools {
		if !strings.Contains(string(item), "x-mcp-header") {
			continue
		}
		at, _ := jsonrpc.Lookup(item, jsonrpc.Whole(item), "name")
		schema, ok := jsonrpc.Lookup(item, jsonrpc.Whole(item), "inputSchema")
		name := jsonrpc.Text(item, at)
		if !ok || name == "" {
			continue
		}
		var list []mirrored
		annotations(item, schema, nil, &list)
		if len(list) == 0 {
			continue
		}
		if t.byTool == nil {
			t.byTool = make(map[string][]mirrored)
		}
		t.byTool[name] = list
	}
	return t
}

// maxMirrorDepth bounds how deep an annotated property may lie; no catalog has
// deeper schemas.
const maxMirrorDepth = 64

// annotations collects those of the schema at s, which is reached from the root
// through properties alone, by path.
func annotations(raw []byte, s jsonrpc.Span, path []string, into *[]mirrored) {
	properties, ok := jsonrpc.Lookup(raw, s, "properties")
	if !ok || len(path) > maxMirrorDepth {
		return
	}
	for key, sub := range jsonrpc.Members(raw, properties) {
		below := append(slices.Clip(path), key)
		if at, ok := jsonrpc.Lookup(raw, sub, "x-mcp-header"); ok {
			if name := jsonrpc.Text(raw, at); headerToken(name) {
				*into = append(*into, mirrored{below, http.CanonicalHeaderKey(paramHeader + name)})
			}
		}
		annotations(raw, sub, below, into)
	}
}

// mirror sets the headers of a tools/call. A header that the schema asks for and
// the arguments have no value for is taken away.
func (t *toolHeaders) mirror(h http.Header, m *jsonrpc.Message) {
	if t == nil || t.byTool == nil {
		return
	}
	for _, x := range t.byTool[m.Text(m.Name)] {
		delete(h, x.header)
		at, ok := jsonrpc.Lookup(m.Raw, m.Arguments, x.path...)
		if !ok {
			continue
		}
		if v, ok := mirrorValue(m.Raw, at); ok {
			h[x.header] = []string{v}
		}
	}
}

// mirrorValue is the value at s as a header has it: strings, integers in decimal
// and booleans. Null and what is no scalar have none. A number that is no
// integer, which the revision does not permit, is sent as it is written.
func mirrorValue(raw []byte, s jsonrpc.Span) (string, bool) {
	switch c := raw[s.Start]; c {
	case '"':
		return headerValue(jsonrpc.Text(raw, s)), true
	case 't', 'f':
		return string(s.Of(raw)), true
	case 'n', '{', '[':
		return "", false
	}
	number := string(s.Of(raw))
	// 42.0 and 4.2e1 are the integer 42.
	if f, err := strconv.ParseFloat(number, 64); err == nil && strings.ContainsAny(number, ".eE") && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
		return strconv.FormatInt(int64(f), 10), true
	}
	return number, true
}

// headerToken reports whether s can be part of a header's name: a token of RFC
// 9110 section 5.6.2.
func headerToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z'
		if !letter && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
