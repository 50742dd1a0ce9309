package upstream

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// ServerError is a JSON-RPC error that a server answered with: its own word,
// not a fault of the way to it.
type ServerError struct {
	// Code is error.code, 0 if that was no integer.
	Code int
	// Message is error.message.
	Message string
	// Raw is the whole error object as it came.
	Raw json.RawMessage
}

// newServerError reads a Failure. The result does not alias the message.
func newServerError(m jsonrpc.Message) *ServerError {
	e := &ServerError{Raw: bytes.Clone(m.Error.Of(m.Raw))}
	for key, s := range jsonrpc.Members(m.Raw, m.Error) {
		switch key {
		case "code":
			if n, err := strconv.Atoi(string(s.Of(m.Raw))); err == nil {
				e.Code = n
			}
		case "message":
			e.Message = m.Text(s)
		}
	}
	return e
}

func (e *ServerError) Error() string {
	return fmt.Sprintf("the server answered with error %d: %.200q", e.Code, e.Message)
}
