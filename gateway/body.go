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

// timeBodies gives each request's body bodyTimeout to arrive. That is also for
// what no handler reads: net/http waits for the rest of a small body before it
// sends an answer.
func timeBodies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			limitBody(w, time.Now().Add(bodyTimeout))
		}
		h.ServeHTTP(w, r)
	})
}

func limitBody(w http.ResponseWriter, by time.Time) {
	if c, ok := w.(interface{ SetReadDeadline(time.Time) error }); ok {
		_ = c.SetReadDeadline(by)
	}
}

// readBody reads a request's body, or answers why it cannot and returns nil.
func (g *Gateway) readBody(w http.ResponseWriter, r *http.Request) []byte {
	if !isJSON(r.Header.Get("Content-Type")) {
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
	body, err := readAll(w, r, limit)
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		g.tooLarge(w, limit)
		return nil
	case err != nil:
		w.Header().Set("Connection", "close") // what is left of the body is not waited for
		rpcError(w, http.StatusBadRequest, nil, jsonrpc.CodeParse, "parse error: the body could not be read", nil)
		return nil
	}
	// The time is up for the body alone: the answer may take longer.
	limitBody(w, time.Time{})
	return body
}

func (g *Gateway) tooLarge(w http.ResponseWriter, limit int64) {
	w.Header().Set("Connection", "close")
	rpcError(w, http.StatusRequestEntityTooLarge, nil, jsonrpc.CodeInvalidRequest,
		"invalid request: the body is over server.max_body ("+strconv.FormatInt(limit, 10)+" bytes)", nil)
}

// isJSON reports whether a Content-Type is JSON in UTF-8.
func isJSON(contentType string) bool {
	if contentType == "application/json" { // what nearly all clients send
		return true
	}
	t, params, err := mime.ParseMediaType(contentType)
	return err == nil && t == "application/json" && (params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8"))
}

// readAll reads a body of at most limit bytes into one buffer, of the announced
// size if there is one. It returns non-nil memory unless there is an error.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	}
	b := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, b); err != nil {
		return nil, err
	}
	return b, nil
}

// accepts reports whether the Accept header of a request names the media type,
// or a range that holds it. No header accepts everything (RFC 9110 12.5.1).
func accepts(r *http.Request, media string) bool {
	values := r.Header["Accept"]
	if len(values) == 0 || len(values) == 1 && values[0] == "application/json, text/event-stream" { // as nearly all clients say it
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
