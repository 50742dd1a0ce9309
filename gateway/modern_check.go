package gateway

import (
	"bytes"
	"encoding/base64"
	"math"
	"net/http"
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Codes that 2026-07-28 defines (basic/index, "Error Codes").
const (
	codeHeaderMismatch    = -32020
	codeMissingCapability = -32021
)

const (
	headerMethod = "Mcp-Method"
	headerName   = "Mcp-Name"
	headerParam  = "Mcp-Param-"
)

// malformed is why a request of 2026-07-28 is refused before anything is done.
type malformed struct {
	code int
	text string
	data []byte
}

func mismatch(text string) *malformed {
	return &malformed{code: codeHeaderMismatch, text: "header mismatch: " + text}
}

// checkModern looks for what makes a request malformed: in its _meta (basic/index,
// "Per-request protocol fields") and, unless h is nil, in its headers
// (basic/transports/streamable-http, "Server Validation"). Nil is no fault.
func checkModern(h http.Header, m *jsonrpc.Message) *malformed {
	if h != nil {
		if bad := checkVersionHeader(h, m); bad != nil {
			return bad
		}
	}
	switch {
	case !m.MetaVersion.Ok():
		return badMeta("protocolVersion", "is required")
	case m.Raw[m.MetaVersion.Start] != '"':
		return badMeta("protocolVersion", "must be a string")
	case !sameText(m, m.MetaVersion, modernVersion):
		return unsupportedVersion(m.Text(m.MetaVersion))
	case !m.MetaCapabilities.Ok():
		return badMeta("clientCapabilities", "is required")
	case m.Raw[m.MetaCapabilities.Start] != '{':
		return badMeta("clientCapabilities", "must be an object")
	case m.MetaLogLevel.Ok():
		if _, ok := levels[m.Text(m.MetaLogLevel)]; !ok {
			return badMeta("logLevel", "must be one of "+levelNames)
		}
	}
	if h == nil {
		return nil
	}
	return checkStandardHeaders(h, m)
}

const levelNames = "debug, info, notice, warning, error, critical, alert, emergency"

func badMeta(name, what string) *malformed {
	return &malformed{
		code: jsonrpc.CodeInvalidParams,
		text: `invalid params: params._meta["` + jsonrpc.MetaPrefix + name + `"] ` + what,
	}
}

func unsupportedVersion(asked string) *malformed {
	return &malformed{
		code: codeUnsupportedVersion,
		text: "unsupported protocol version " + clipName(asked) + ": this endpoint speaks " + strings.Join(supportedVersions, ", "),
		data: unsupported(asked),
	}
}

// checkVersionHeader compares the header with what the body says, which may be
// nothing.
func checkVersionHeader(h http.Header, m *jsonrpc.Message) *malformed {
	said, bad := single(h, headerVersion, "MCP-Protocol-Version")
	switch {
	case bad != nil:
		return bad
	case !m.MetaVersion.Ok():
		if said > modernVersion {
			return unsupportedVersion(said)
		}
		return nil // the body's fault
	case m.Raw[m.MetaVersion.Start] != '"':
		return nil // that, too
	case said == "":
		return mismatch("the MCP-Protocol-Version header is required")
	case !sameText(m, m.MetaVersion, said):
		return mismatch("MCP-Protocol-Version is " + clipName(said) + ", the request says " + clipName(m.Text(m.MetaVersion)))
	}
	return nil
}

// checkStandardHeaders compares Mcp-Method and Mcp-Name with the body.
func checkStandardHeaders(h http.Header, m *jsonrpc.Message) *malformed {
	said, bad := single(h, headerMethod, headerMethod)
	method := m.MethodName()
	switch {
	case bad != nil:
		return bad
	case said == "":
		return mismatch("the Mcp-Method header is required")
	case said != method:
		return mismatch("Mcp-Method is " + clipName(said) + ", the request's method is " + clipName(method))
	}
	at, required := m.Name, true
	switch method {
	case "tools/call", "prompts/get":
	case "resources/read":
		at = m.URI
	case "tasks/get", "tasks/update", "tasks/cancel":
		at, _ = jsonrpc.Lookup(m.Raw, m.Params, "taskId")
		required = false
	default:
		return nil
	}
	if !at.Ok() {
		return nil // for the method to complain of
	}
	said, bad = single(h, headerName, headerName)
	if bad != nil || said == "" && !required {
		return bad
	}
	if said == "" {
		return mismatch("the Mcp-Name header is required for " + method)
	}
	name, ok := decodeHeader(said)
	if !ok {
		return mismatch("Mcp-Name is not well-formed Base64")
	}
	if !sameText(m, at, name) {
		return mismatch("Mcp-Name is " + clipName(name) + ", the request says " + clipName(m.Text(at)))
	}
	return nil
}

// sameText compares a string of the message with text, in most cases without
// making one of it.
func sameText(m *jsonrpc.Message, at jsonrpc.Span, text string) bool {
	b := at.Of(m.Raw)
	if len(b) >= 2 && string(b[1:len(b)-1]) == text && bytes.IndexByte(b, '\\') < 0 {
		return b[0] == '"'
	}
	return b[0] == '"' && m.Text(at) == text
}

// single returns the value of a header, "" if it is absent. Two values, or
// characters that no value may have, are a fault.
func single(h http.Header, key, shown string) (string, *malformed) {
	values := h[key]
	switch {
	case len(values) == 0:
		return "", nil
	case len(values) > 1:
		return "", mismatch("there is more than one " + shown + " header")
	}
	for i := range len(values[0]) {
		if c := values[0][i]; (c < 0x20 || c > 0x7e) && c != '\t' {
			return "", mismatch(shown + " has characters that a header may not have: encode it in Base64")
		}
	}
	return strings.Trim(values[0], " \t"), nil
}

// The marks of a header value that is Base64 ("Value Encoding").
const (
	sentinelStart = "=?base64?"
	sentinelEnd   = "?="
)

// decodeHeader returns what a header value stands for; false if it is marked as
// Base64 and is none.
func decodeHeader(v string) (string, bool) {
	inner, ok := strings.CutPrefix(v, sentinelStart)
	if !ok {
		return v, true
	}
	if inner, ok = strings.CutSuffix(inner, sentinelEnd); !ok {
		return v, true
	}
	b, err := base64.StdEncoding.Strict().DecodeString(inner)
	return string(b), err == nil
}

// checkParamHeaders compares the Mcp-Param-* headers that the tool's schema asks
// for with the arguments ("Server Behavior for Custom Headers").
func checkParamHeaders(h http.Header, m *jsonrpc.Message, params []router.HeaderParam) *malformed {
	for _, p := range params {
		said, bad := single(h, p.Header, p.Header)
		if bad != nil {
			return bad
		}
		_, sent := h[p.Header]
		at, ok := jsonrpc.Lookup(m.Raw, m.Arguments, p.Path...)
		name := clipName(strings.Join(p.Path, "."))
		switch {
		case !ok || m.Raw[at.Start] == 'n':
			if sent {
				return mismatch(p.Header + " is sent, but there is no argument " + name)
			}
			continue
		case !sent:
			return mismatch("the " + p.Header + " header is required with the argument " + name)
		}
		value, ok := decodeHeader(said)
		if !ok {
			return mismatch(p.Header + " is not well-formed Base64")
		}
		if !sameValue(value, at.Of(m.Raw)) {
			return mismatch(p.Header + " is not the same as the argument " + name)
		}
	}
	return nil
}

// sameValue compares a decoded header with a JSON value. Numbers are compared as
// such, within what all clients can express: 42.0 is 42.
func sameValue(header string, value []byte) bool {
	switch value[0] {
	case '"':
		return jsonrpc.Text(value, jsonrpc.Between(0, len(value))) == header
	case 't', 'f':
		return string(value) == header
	case '{', '[':
		return false
	}
	if string(value) == header {
		return true
	}
	a, errA := strconv.ParseFloat(string(value), 64)
	b, errB := strconv.ParseFloat(header, 64)
	return errA == nil && errB == nil && a == b && math.Trunc(a) == a && math.Abs(a) < 1<<53
}
