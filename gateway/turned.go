package gateway

import (
	"strings"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// What is answered before it is served, since there is no session for it, its headers
// say something else, or the gateway shuts down, is told as any other request is: a
// SERVER span, and a count of the operation. Nobody comes here who is not let in.

// malformedBody is the reason under which what was sent is counted as rejected that
// cannot be told as a request: it does not say of which method it is.
const malformedBody = "malformed"

// tooLate is how a request ends that comes while the gateway shuts down.
var tooLate = outcome{Type: "shutdown", Code: codeDraining}

// refusedAs is how a request ends that was answered with an error of that code.
func refusedAs(code int) outcome { return outcome{Code: code} }

// turnedDown tells of the request m, which was answered with o in the place of being
// served. s is its session, nil for none, and then view what it asked to see.
func (g *Gateway) turnedDown(from visitor, view string, s *session, m *jsonrpc.Message, o outcome) {
	if !g.tel.Watching() || m == nil || !named(m) {
		return
	}
	if alone := (&session{view: view, principal: anonymous, version: versionOf(from, m)}); s == nil {
		s = alone
	} else if modern(m) { // it came on a client's pipe and is in no session
		alone.view, alone.principal = s.view, s.principal
		s = alone
	}
	x := g.exchange(s, *m, nowhere{}, from, func(error) {})
	g.dismissed(x, o)
}

// dismissed tells of a request that has its exchange already.
func (g *Gateway) dismissed(x *exchange, o outcome) {
	s := g.accept(x)
	if s.Recording() {
		op := g.serverOperation(x)
		s.Describe(&op)
	}
	s.End(o)
}

// unread tells of a body that is no message, for bad.
func (g *Gateway) unread(from visitor, view string, s *session, m jsonrpc.Message, bad *jsonrpc.Error) {
	if bad.Code == jsonrpc.CodeParse || !named(&m) {
		g.tel.CallRejected(malformedBody)
		return
	}
	if bad.ID == nil {
		m.ID = jsonrpc.Span{} // what it has in its place is none
	}
	g.turnedDown(from, view, s, &m, refusedAs(bad.Code))
}

// named reports whether m, which may be faulty, says of which method it is, and is to
// be answered.
func named(m *jsonrpc.Message) bool {
	return m.Method.Ok() && m.Raw[m.Method.Start] == '"' && !strings.HasPrefix(m.MethodName(), "notifications/")
}

// versionOf is the revision that a request without a session is of, "" for one that
// nobody speaks.
func versionOf(from visitor, m *jsonrpc.Message) string {
	asked := m.Text(m.MetaVersion)
	if asked == "" && from.request != nil {
		asked = from.request.Header.Get(headerVersion)
	}
	if asked == modernVersion || legacy(asked) {
		return asked
	}
	return ""
}
