package gateway

import (
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// lacking are capabilities that a server's request needs and the client did not
// declare, as the ClientCapabilities object that MissingRequiredClientCapability
// carries; "" for none (2026-07-28 schema).
func (a abilities) lacking(m *jsonrpc.Message) string {
	param := func(name string) string {
		at, _ := jsonrpc.Lookup(m.Raw, m.Params, name)
		return m.Text(at)
	}
	has := func(name string) bool {
		_, ok := jsonrpc.Lookup(m.Raw, m.Params, name)
		return ok
	}
	switch m.MethodName() {
	case "elicitation/create":
		switch url := param("mode") == "url"; {
		case url && !a.url:
			return `{"elicitation":{"url":{}}}`
		case !url && !a.form:
			return `{"elicitation":{"form":{}}}`
		}
	case "sampling/createMessage":
		switch {
		case !a.sampling:
			return `{"sampling":{}}`
		case !a.samplingTools && (has("tools") || has("toolChoice")):
			return `{"sampling":{"tools":{}}}`
		}
	case "roots/list":
		if !a.roots {
			return `{"roots":{}}`
		}
	}
	return ""
}

// askable reports whether a server's request is one that a client of 2026-07-28
// can be asked at all.
func askable(method string) bool {
	switch method {
	case "elicitation/create", "sampling/createMessage", "roots/list":
		return true
	}
	return false
}

// appendInputRequest appends a server's request as an entry of inputRequests. What
// 2026-07-28 took out of it is left out: the id by which the server would have said
// that a page was visited.
func appendInputRequest(b []byte, key string, m *jsonrpc.Message, trace *asking) []byte {
	b = append(jsonrpc.AppendString(b, key), `:{"method":`...)
	b = append(b, m.Method.Of(m.Raw)...)
	var e jsonrpc.Edits
	switch {
	case !m.Params.Ok():
		if trace.inject(&e, m) { // behind the method, as it is put into the message
			edited := e.Apply(nil, m.Raw)
			b = append(b, edited[m.Method.End:len(edited)-(len(m.Raw)-int(m.Method.End))]...)
		}
	case m.Raw[m.Params.Start] == '{':
		e.Drop(m.Raw, m.Params, "elicitationId")
		trace.inject(&e, m)
		edited := e.Apply(nil, m.Raw)
		// The edits are all inside params, which ends as far from the end as before.
		b = append(append(b, `,"params":`...), edited[m.Params.Start:len(edited)-(len(m.Raw)-int(m.Params.End))]...)
	}
	return append(b, '}')
}

// inputRequired is the result that asks the client for input: requests are the
// entries of inputRequests.
func (x *exchange) inputRequired(requests []byte, state string) answer {
	b := make([]byte, 0, len(requests)+len(state)+len(x.view.serverInfo)+192)
	b = append(append(append(b, `{"jsonrpc":"2.0","id":`...), x.id()...), `,"result":{"resultType":"input_required",`...)
	b = append(appendServerMeta(b, x.view.serverInfo), `,"inputRequests":{`...)
	b = append(append(b, requests...), `},"requestState":`...)
	return answer{head: append(jsonrpc.AppendString(b, state), "}}"...)}
}
