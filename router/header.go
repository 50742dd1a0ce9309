package router

import (
	"bytes"
	"net/textproto"
	"slices"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// HeaderParam is an argument of a tool that clients over HTTP mirror into a
// header (2026-07-28 basic/transports/streamable-http, "Custom Headers from Tool
// Parameters").
type HeaderParam struct {
	// Header is the header's whole name in canonical form: Mcp-Param-Region.
	Header string
	// Path leads from the arguments object to the value.
	Path []string
}

// headerParams reads the x-mcp-header annotations of a tool, nil for none. They
// were checked when the tool was read.
func headerParams(raw []byte) []HeaderParam {
	if !bytes.Contains(raw, []byte("x-mcp-header")) && !bytes.Contains(raw, []byte(`\u`)) {
		return nil
	}
	schema, ok := jsonrpc.Lookup(raw, jsonrpc.Whole(raw), "inputSchema")
	if !ok {
		return nil
	}
	return appendHeaderParams(nil, raw, schema, nil)
}

// appendHeaderParams follows properties alone: nowhere else may an annotation
// stand.
func appendHeaderParams(to []HeaderParam, raw []byte, schema jsonrpc.Span, path []string) []HeaderParam {
	properties, ok := jsonrpc.Lookup(raw, schema, "properties")
	if !ok {
		return to
	}
	for name, sub := range jsonrpc.Members(raw, properties) {
		below := append(slices.Clip(path), name)
		if at, ok := jsonrpc.Lookup(raw, sub, "x-mcp-header"); ok {
			to = append(to, HeaderParam{Header: textproto.CanonicalMIMEHeaderKey("Mcp-Param-" + jsonrpc.Text(raw, at)), Path: below})
		}
		to = appendHeaderParams(to, raw, sub, below)
	}
	return to
}

// forLegacy returns a tool as clients of the revisions before 2026-07-28 can read
// it: their schema of a tool allows no outputSchema but an object's, and one that
// breaks it costs a strict client the whole list.
func forLegacy(raw []byte) []byte {
	if !bytes.Contains(raw, []byte("outputSchema")) && !bytes.Contains(raw, []byte(`\u`)) {
		return raw
	}
	whole := jsonrpc.Whole(raw)
	schema, ok := jsonrpc.Lookup(raw, whole, "outputSchema")
	if !ok {
		return raw
	}
	if t, ok := jsonrpc.Lookup(raw, schema, "type"); ok && jsonrpc.Text(raw, t) == "object" {
		return raw
	}
	return without(raw, schema)
}

// without returns the object raw without the member whose value is at s. The
// member is neither the only one nor in need of a comma on both sides.
func without(raw []byte, s jsonrpc.Span) []byte {
	var e jsonrpc.Edits
	last := jsonrpc.Whole(raw).Start + 1 // the end of the member before
	for _, v := range jsonrpc.Members(raw, jsonrpc.Whole(raw)) {
		if v == s {
			break
		}
		last = v.End
	}
	end := s.End
	if raw[last-1] == '{' { // the first: its comma goes with it
		for int(end) < len(raw) && raw[end] != ',' && raw[end] != '}' {
			end++
		}
		if int(end) < len(raw) && raw[end] == ',' {
			end++
		}
	}
	e.Delete(jsonrpc.Span{Start: last, End: end})
	return e.Apply(nil, raw)
}
