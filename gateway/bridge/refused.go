package bridge

import "github.com/interlock-mcp/interlock/upstream/jsonrpc"

// methodRefused is what a gateway that is about to end says of a request of an
// attached client in the place of an answer: it did not take it, and the next
// gateway may have it. params.requestId names it.
const methodRefused = "notifications/interlock/refused"

// Refused is the message that the request with the id was not taken.
func Refused(id []byte) []byte {
	return jsonrpc.AppendRequest(nil, nil, methodRefused, append(append([]byte(`{"requestId":`), id...), '}'))
}
