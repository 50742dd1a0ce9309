package gateway

import (
	"net/http"
	"strconv"
	"time"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// The result types of 2026-07-28 that mean something to the gateway (basic/index,
// "ResultType").
const (
	resultComplete = "complete"
	resultInput    = "input_required"
	resultTask     = "task"
)

// resultType returns what a result says of its type, "" for nothing: then it is
// complete.
func resultType(m *jsonrpc.Message) string { return m.Text(m.ResultType) }

// completed is an upstream's result under the client's id, with what 2026-07-28
// asks for where the upstream does not say it: its type, for how long it may be
// kept if it can be kept at all, and whose it is. All else goes as it came.
func completed(m *jsonrpc.Message, id []byte, cacheable bool, serverInfo []byte) answer {
	if m.Raw[m.Result.Start] != '{' {
		return carried(*m, id)
	}
	b := make([]byte, 0, len(id)+len(serverInfo)+192)
	after := m.ID.Start > m.Result.Start // an id that follows the result is the tail's
	if after {
		b = append(b, m.Raw[:m.Result.Start+1]...)
	} else {
		b = append(append(append(b, m.Raw[:m.ID.Start]...), id...), m.Raw[m.ID.End:m.Result.Start+1]...)
	}
	bare := len(b)
	b = append(b, `"resultType":"complete",`...)
	if cacheable {
		if !m.TTL.Ok() {
			b = append(b, `"ttlMs":0,`...)
		}
		if !m.CacheScope.Ok() {
			b = append(b, `"cacheScope":"private",`...)
		}
	}
	from := m.Result.Start + 1 // of what is carried as it is
	switch meta := m.ResultMeta; {
	case !meta.Ok():
		b = append(appendServerMeta(b, serverInfo), ',')
	case !after && nameless(m.Raw, meta) && meta.Start-from < maxPiece: // what is copied is little
		b = append(append(b, m.Raw[from:meta.Start+1]...), `"`+metaServerInfo+`":`...)
		if b = append(b, serverInfo...); !jsonrpc.EmptyObject(m.Raw, meta) {
			b = append(b, ',')
		}
		return answer{head: b, id: m.Raw[meta.Start+1:]}
	}
	if jsonrpc.EmptyObject(m.Raw, m.Result) && len(b) > bare {
		b = b[:len(b)-1]
	}
	if after {
		return answer{head: b, id: m.Raw[from:m.ID.Start], tail: append(append([]byte(nil), id...), m.Raw[m.ID.End:]...)}
	}
	return answer{head: b, id: m.Raw[from:]}
}

// nameless reports whether a _meta does not say whose the result is.
func nameless(raw []byte, meta jsonrpc.Span) bool {
	_, ok := jsonrpc.Lookup(raw, meta, metaServerInfo)
	return !ok && raw[meta.Start] == '{'
}

// appendServerMeta appends a _meta that says whose the result is.
func appendServerMeta(b, serverInfo []byte) []byte {
	b = append(b, `"_meta":{"`+metaServerInfo+`":`...)
	return append(append(b, serverInfo...), '}')
}

// madeHere is a complete result of the gateway's own: members are those of a JSON
// object, without its braces, "" for none.
func (x *exchange) madeHere(members []byte) answer {
	b := make([]byte, 0, 128+len(x.view.serverInfo)+len(members))
	b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), x.id()...), `,"result":{"resultType":"complete",`...)
	b = appendServerMeta(b, x.view.serverInfo)
	if len(members) > 0 {
		b = append(append(b, ','), members...)
	}
	return answer{head: append(b, "}}"...)}
}

// modernPage is a page of a list, which is carried as it was built.
func (x *exchange) modernPage(page []byte, c router.Caching) answer {
	b := make([]byte, 0, 192+len(x.view.serverInfo))
	b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), x.id()...), `,"result":{"resultType":"complete",`...)
	b = append(appendServerMeta(appendCaching(b, c), x.view.serverInfo), ',')
	return answer{head: b, id: page[1:], tail: closing}
}

var closing = []byte("}") // shared by all answers; never changed

// appendCaching appends what a cacheable result says (server/utilities/caching).
func appendCaching(b []byte, c router.Caching) []byte {
	b = append(b, `"ttlMs":`...)
	b = strconv.AppendInt(b, int64(c.TTL/time.Millisecond), 10)
	if c.Private {
		return append(b, `,"cacheScope":"private",`...)
	}
	return append(b, `,"cacheScope":"public",`...)
}

// modernStatus is the HTTP status of an answer with that JSON-RPC error, 0 for
// none (basic/transports/streamable-http).
func modernStatus(code int) int {
	switch code {
	case jsonrpc.CodeMethodNotFound:
		return http.StatusNotFound
	case codeHeaderMismatch, codeMissingCapability, codeUnsupportedVersion, jsonrpc.CodeParse, jsonrpc.CodeInvalidRequest:
		return http.StatusBadRequest
	case codeDraining:
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}
