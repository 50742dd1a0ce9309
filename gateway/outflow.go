package gateway

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// outflow is what is being written to a client.
type outflow struct {
	w   http.ResponseWriter
	cut atomic.Bool
}

var errCutOff = errors.New("cut off: too much waited to be read")

// write writes b. A client has writeTimeout for each piece, so that one that
// reads slowly gets a large answer in the end, and one that reads nothing does
// not hold it for ever.
func (o *outflow) write(b []byte) error {
	for len(b) > 0 {
		n := min(len(b), maxPiece)
		extend(o.w)
		if o.cut.Load() {
			return errCutOff
		}
		if _, err := o.w.Write(b[:n]); err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// cutOff ends the writing, and the connection with it. It does not block.
func (o *outflow) cutOff() {
	o.cut.Store(true)
	if c, ok := o.w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = c.SetWriteDeadline(time.Unix(1, 0))
	}
}

// extend gives the client writeTimeout from now on.
func extend(w http.ResponseWriter) {
	if c, ok := w.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = c.SetWriteDeadline(time.Now().Add(writeTimeout))
	}
}

// events writes b.
func (o *outflow) events(b eventBatch) error {
	if err := o.write(b.events); err != nil || b.large == nil {
		return err
	}
	if err := o.write(b.large); err != nil {
		return err
	}
	return o.write([]byte(jsonrpc.EventEnd))
}
