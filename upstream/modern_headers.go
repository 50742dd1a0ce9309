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

// appendModern appends the headers of one request to a modern server that mirror
// its body (basic/transports/streamable-http of 2026-07-28, Request Metadata).
// The body is the one that is sent: names in it are the server's own. theirs are
// the Mcp-Param-* headers of the client, which are sent on where the server's
// schema does not tell us to make them; they are not changed.
func appendModern(list []field, body []byte, theirs http.Header, tools *toolHeaders) []field {
	m, err := jsonrpc.Parse(body)
	if err != nil {
		return list // an edit of ours that broke it; the server will say so
	}
	method := m.MethodName()
	list = append(list, field{"Mcp-Method", method})
	name := m.Name
	var ours []mirrored
	switch method {
	case "tools/call":
		ours = tools.of(m.Text(name))
		for _, x := range ours {
			if at, ok := jsonrpc.Lookup(m.Raw, m.Arguments, x.path...); !ok {
				continue
			} else if v, ok := mirrorValue(m.Raw, at); ok {
				list = append(list, field{x.header, v})
			}
		}
	case "prompts/get":
	case "resources/read":
		name = m.URI
	case "tasks/get", "tasks/update", "tasks/cancel":
		name, _ = jsonrpc.Lookup(m.Raw, m.Params, "taskId")
	default:
		name = jsonrpc.Span{}
	}
	if name.Ok() {
		list = append(list, field{"Mcp-Name", headerValue(m.Text(name))})
	}
	for k, v := range theirs {
		if strings.HasPrefix(k, paramHeader) && len(v) > 0 && !slices.ContainsFunc(ours, func(x mirrored) bool { return x.header == k }) {
			list = append(list, field{k, v[0]})
		}
	}
	return list
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
			if name := jsonrpc.Text(raw, at); isToken(name) {
				*into = append(*into, mirrored{below, http.CanonicalHeaderKey(paramHeader + name)})
			}
		}
		annotations(raw, sub, below, into)
	}
}

// of returns what is mirrored of the arguments of a tool. What the arguments have
// no value for has no header, whatever the client sent.
func (t *toolHeaders) of(tool string) []mirrored {
	if t == nil || t.byTool == nil {
		return nil
	}
	return t.byTool[tool]
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
