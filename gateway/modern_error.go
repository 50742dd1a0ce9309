package gateway

import (
	"strconv"
	"strings"

	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// codeURLElicitation is 2025-11-25's URLElicitationRequired, which later revisions
// say with a result that requires input.
const codeURLElicitation = -32042

// modernFailure makes of an upstream's JSON-RPC error one of 2026-07-28: codes that
// it has retired are said otherwise (basic/index, "Error Codes").
func (g *Gateway) modernFailure(x *exchange, r *router.Route, m jsonrpc.Message, out outcome) (answer, outcome) {
	switch out.Code {
	case codeResourceNotFound:
		at, _ := jsonrpc.Lookup(m.Raw, m.Error, "code")
		var e jsonrpc.Edits
		e.Replace(m.ID, x.id())
		e.Replace(at, strconv.AppendInt(nil, jsonrpc.CodeInvalidParams, 10))
		out.Code = jsonrpc.CodeInvalidParams
		return answer{head: e.Apply(nil, m.Raw)}, out
	case codeURLElicitation:
		if !takesInput(x.method) {
			break
		}
		requests := visits(m)
		switch {
		case len(requests) == 0:
		case !x.modern.client.able.url:
			return g.missingCapability(x, r, m, `{"elicitation":{"url":{}}}`)
		default:
			x.span.Set(telemetry.String(telemetry.AttrResultType, resultInput))
			s := x.stateFor(stateSignedIn, r.Upstream, stateTTL)
			return x.inputRequired(requests, g.seal.sealState(s)), outcome{}
		}
	}
	return carried(m, x.id()), out
}

// visits makes input requests of the pages that a URLElicitationRequired error
// names (2025-11-25 client/elicitation, "URL Elicitation Required Error").
func visits(m jsonrpc.Message) []byte {
	all, ok := jsonrpc.Lookup(m.Raw, m.Error, "data", "elicitations")
	if !ok {
		return nil
	}
	var b []byte
	n := 0
	for at := range jsonrpc.Elements(m.Raw, all) {
		if m.Raw[at.Start] != '{' {
			continue
		}
		if n++; n > 1 {
			b = append(b, ',')
		}
		b = append(strconv.AppendInt(append(b, '"'), int64(n), 10), `":{"method":"elicitation/create","params":{`...)
		comma := false
		for key, value := range jsonrpc.Members(m.Raw, at) {
			if key == "elicitationId" {
				continue
			}
			if comma {
				b = append(b, ',')
			}
			comma = true
			b = append(append(jsonrpc.AppendString(b, key), ':'), value.Of(m.Raw)...)
		}
		b = append(b, "}}"...)
	}
	return b
}

// missingCapability answers a call that came to nothing since its client did not
// declare what the upstream asked for. What the upstream says itself is repeated.
func (g *Gateway) missingCapability(x *exchange, r *router.Route, m jsonrpc.Message, lacking string) (answer, outcome) {
	text := "upstream " + strconv.Quote(r.Upstream) + " asked for input that this client did not declare that it can give: " + lacking
	if said := lastWords(m); said != "" {
		text += ". It answered: " + said
	}
	data := append([]byte(`{"requiredCapabilities":`), lacking...)
	data = append(jsonrpc.AppendString(append(data, `,"upstream":`...), r.Upstream), '}')
	return refused(errorOf(x.id(), codeMissingCapability, text, data), codeMissingCapability)
}

// lastWords is the text of an error or of a tool's error, cut.
func lastWords(m jsonrpc.Message) string {
	at, _ := jsonrpc.Lookup(m.Raw, m.Error, "message")
	text := m.Text(at)
	if content, ok := jsonrpc.Lookup(m.Raw, m.Result, "content"); ok {
		for item := range jsonrpc.Elements(m.Raw, content) {
			if at, ok := jsonrpc.Lookup(m.Raw, item, "text"); ok {
				text = m.Text(at)
				break
			}
		}
	}
	if len(text) > 1000 {
		text = strings.ToValidUTF8(text[:1000], "") + "..."
	}
	return text
}

// modernFault is a fault as the result of a tool call of 2026-07-28.
func (x *exchange) modernFault(f fault) answer {
	b := append([]byte(nil), `{"jsonrpc":"2.0","id":`...)
	b = append(append(b, x.id()...), `,"result":{"resultType":"complete","content":[{"type":"text","text":`...)
	b = jsonrpc.AppendString(b, f.text)
	b = append(b, `}],"isError":true,"_meta":{"`+metaServerInfo+`":`...)
	b = append(append(b, x.view.serverInfo...), `,"interlock/error":`...)
	return answer{head: append(append(b, f.json()...), "}}}"...)}
}
