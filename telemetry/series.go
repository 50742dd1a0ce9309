package telemetry

import (
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
)

// series is what operations are counted by. Empty members are no attributes.
type series struct {
	method, tool, prompt, failure, code, transport, upstream, address string
	port                                                              int
}

func (s series) attributes() attribute.Set {
	all := make([]attribute.KeyValue, 0, 10)
	add := func(key, value string) {
		if value != "" {
			all = append(all, attribute.String(key, value))
		}
	}
	add(AttrMethod, s.method)
	add(AttrTool, s.tool)
	add(AttrPrompt, s.prompt)
	if s.method == "tools/call" {
		add(AttrOperation, executeTool)
	}
	add(AttrErrorType, s.failure)
	add(AttrStatusCode, s.code)
	add(AttrTransport, s.transport)
	add(AttrServerAddress, s.address)
	if s.port != 0 {
		all = append(all, attribute.Int(AttrServerPort, s.port))
	}
	add(AttrUpstream, s.upstream)
	return attribute.NewSet(all...)
}

// folded leaves the method, the transport and the upstream: as many as there are
// in the code and in the configuration.
func (s series) folded() series {
	fold := func(member *string, other string) {
		if *member != "" {
			*member = other
		}
	}
	fold(&s.tool, Other)
	fold(&s.prompt, Other)
	fold(&s.failure, otherError)
	fold(&s.code, otherError)
	return s
}

// otherError is the convention's word for an error.type that is not told.
const otherError = "_OTHER"

// bounded is s with values as an attribute may have them. Servers choose the
// names of their tools.
func (s series) bounded() series {
	for _, member := range []*string{&s.tool, &s.prompt, &s.failure, &s.upstream, &s.address} {
		*member = bounded(*member)
	}
	return s
}

// maxLabel is how many bytes of an attribute's value a metric has at most.
const maxLabel = 256

// bounded returns value as valid UTF-8 that is not too long. What Prometheus
// needs escaped, its exposition escapes.
func bounded(value string) string {
	if len(value) > maxLabel {
		end := maxLabel - len("…")
		for end > maxLabel-8 && !utf8.RuneStart(value[end]) {
			end--
		}
		value = value[:end] + "…"
	}
	return strings.ToValidUTF8(value, "\ufffd")
}

// words bounds how many different codes of errors are told: servers choose them.
type words struct {
	mu    sync.Mutex // guards known
	known map[int]bool
}

// maxCodes is how many codes are told besides those that are well known.
const maxCodes = 64

// code returns a JSON-RPC error code as an attribute, "" for none.
func (w *words) code(code int) string {
	if code == 0 {
		return ""
	}
	if !wellKnown(code) && !w.admit(code) {
		return otherError
	}
	return strconv.Itoa(code)
}

func (w *words) admit(code int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.known[code] {
		return true
	}
	if len(w.known) >= maxCodes {
		return false
	}
	if w.known == nil {
		w.known = make(map[int]bool)
	}
	w.known[code] = true
	return true
}

// wellKnown reports whether a code is JSON-RPC's, MCP's or the gateway's own.
func wellKnown(code int) bool {
	switch code {
	case -32700, -32600, -32601, -32602, -32603, -32000, -32001, -32002, -32042, -32800:
		return true
	}
	return code <= -33001 && code > -33020
}
