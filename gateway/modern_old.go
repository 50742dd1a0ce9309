package gateway

import (
	"strconv"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// forLegacy makes of the answer of a server of 2026-07-28 one that clients of older
// revisions can read. Nearly all go as they came.
func forLegacy(method string, m jsonrpc.Message) jsonrpc.Message {
	var e jsonrpc.Edits
	switch {
	case m.Kind == jsonrpc.Failure:
		// Codes that those revisions do not know, and must not take for theirs. The
		// message and the data say it all the same.
		at, _ := jsonrpc.Lookup(m.Raw, m.Error, "code")
		switch code, _ := strconv.Atoi(string(at.Of(m.Raw))); code {
		case codeHeaderMismatch, codeMissingCapability, codeUnsupportedVersion:
			e.Replace(at, strconv.AppendInt(nil, jsonrpc.CodeInternal, 10))
		}
	case method == "tools/call" && m.Structured.Ok() && m.Raw[m.Structured.Start] != '{':
		// Any value is allowed now, and was an object only; its text is there, too.
		e.Drop(m.Raw, m.Result, "structuredContent")
	}
	if e.Empty() {
		return m
	}
	edited, err := jsonrpc.ParseServer(e.Apply(nil, m.Raw))
	if err != nil { // what was well-formed still is
		return m
	}
	return edited
}
