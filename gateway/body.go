package gateway

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
)

// bodyTimeout is how long a client may take to send its whole request.
const bodyTimeout = 30 * time.Second

// readBody reads a request's body, or answers why it cannot and returns nil.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request) []byte {
	if t, params, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" ||
		params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		plainText(w, http.StatusUnsupportedMediaType, "Content-Type must be application/json")
		return nil
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		w.Header().Set("Accept-Encoding", "identity")
		plainText(w, http.StatusUnsupportedMediaType, "Content-Encoding is not supported: send the body as it is")
		return nil
	}
	limit := g.cfg.Load().Server.MaxBody
	if r.ContentLength > limit {
		g.tooLarge(w, limit)
		return nil
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := readAll(http.MaxBytesReader(w, r.Body, limit), r.ContentLength)
	_ = rc.SetReadDeadline(time.Time{})
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		g.tooLarge(w, limit)
		return nil
	case err != nil:
		rpcError(w, http.StatusBadRequest, nil, jsonrpc.CodeParse, "parse error: the body could not be read", nil)
		return nil
	}
	return body
}

func (g *Gateway) tooLarge(w http.ResponseWriter, limit int64) {
	w.Header().Set("Connection", "close")
	rpcError(w, http.StatusRequestEntityTooLarge, nil, jsonrpc.CodeInvalidRequest,
		"invalid request: the body is over server.max_body ("+strconv.FormatInt(limit, 10)+" bytes)", nil)
}

// readAll reads r to its end into one buffer of the announced size. It returns
// non-nil memory unless there is an error.
func readAll(r io.Reader, size int64) ([]byte, error) {
	if size < 0 {
		b, err := io.ReadAll(r)
		return b, err
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}

// accepts reports whether the Accept header of a request names the media type,
// or a range that holds it. No header accepts everything (RFC 9110 12.5.1).
func accepts(r *http.Request, media string) bool {
	values := r.Header["Accept"]
	if len(values) == 0 {
		return true
	}
	kind, _, _ := strings.Cut(media, "/")
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			name, _, _ := strings.Cut(part, ";")
			switch strings.ToLower(strings.TrimSpace(name)) {
			case media, "*/*", kind + "/*":
				return true
			}
		}
	}
	return false
}
