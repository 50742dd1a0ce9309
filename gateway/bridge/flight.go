package bridge

import (
	"encoding/json"
	"slices"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// Codes of errors that a gateway makes itself; these are its words.
const (
	codeUnavailable = -33001 // not asked
	codeUnanswered  = -33002 // asked, and not answered
)

// methodListen opens a subscription (2026-07-28): its answer is its end.
const methodListen = "subscriptions/listen"

// request is one of the client's that is not answered yet.
type request struct {
	id     []byte // as it came
	method string
	raw    []byte
	modern bool   // of 2026-07-28
	uri    string // params.uri of a subscription

	// The bridge's mu guards the rest.
	sent  bool // maybe: a gateway may have read it
	again bool // it went to a second gateway
	acked bool // the client was told that the subscription is open
}

// repeatable tells whether the request may be sent to a second gateway though
// the first may have served it: it changes nothing, or says what is to be.
func (r *request) repeatable() bool {
	switch r.method {
	case "initialize", "ping", "server/discover", methodListen,
		"tools/list", "prompts/list", "resources/list", "resources/templates/list",
		"resources/read", "prompts/get", "completion/complete",
		"resources/subscribe", "resources/unsubscribe", "logging/setLevel":
		return true
	}
	return false
}

// flight are the requests that are not answered, in the order in which they
// came. Of two with one id the gateway refuses the second.
type flight []*request

// find returns the request with the id that came last, nil for none.
func (f *flight) find(id []byte) *request {
	for _, r := range slices.Backward(*f) {
		if string(r.id) == string(id) {
			return r
		}
	}
	return nil
}

func (f *flight) remove(r *request) {
	if i := slices.Index(*f, r); i >= 0 {
		*f = slices.Delete(*f, i, i+1)
	}
}

// take removes the requests that match and returns them.
func (f *flight) take(match func(*request) bool) []*request {
	var taken []*request
	*f = slices.DeleteFunc(*f, func(r *request) bool {
		if match(r) {
			taken = append(taken, r)
			return true
		}
		return false
	})
	return taken
}

// owed counts the answers that the client waits for.
func (f *flight) owed() int {
	n := 0
	for _, r := range *f {
		if r.method != methodListen { // that one lasts as long as the client likes
			n++
		}
	}
	return n
}

// fault is why a request gets no answer of a server, as gateways say it.
type fault struct {
	Source   string `json:"source"`
	Reason   string `json:"reason"`
	Executed string `json:"executed"`

	code int
	text string
}

// lostOnTheWay is for a request that a gateway may have read before it was lost.
func lostOnTheWay() fault {
	return fault{
		"gateway", "restarted", "unknown", codeUnanswered,
		"the gateway was lost while the request was under way. It is UNKNOWN whether the request was executed.",
	}
}

// notSent is for a request that no gateway got.
func notSent(why error) fault {
	return fault{
		"gateway", "unreachable", "no", codeUnavailable,
		"no gateway could be reached: " + why.Error() + "\nThe request was NOT executed.",
	}
}

// answer is the fault as the answer to a request.
func (f fault) answer(r *request) []byte {
	data, err := json.Marshal(f)
	if err != nil { // strings always marshal
		panic(err)
	}
	if r.method != "tools/call" {
		return jsonrpc.AppendError(nil, r.id, f.code, f.text, data)
	}
	// Models look there for what went wrong (MCP 2025-11-25 server/tools).
	b := []byte(`{"content":[{"type":"text","text":`)
	b = jsonrpc.AppendString(b, f.text)
	b = append(b, `}],"isError":true,`...)
	if r.modern {
		b = append(b, `"resultType":"complete",`...)
	}
	b = append(append(b, `"_meta":{"interlock/error":`...), data...)
	return jsonrpc.AppendResult(nil, r.id, append(b, "}}"...))
}
