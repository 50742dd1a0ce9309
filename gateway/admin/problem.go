package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// problem is the body of an error: RFC 9457 with members of our own. Its type
// is about:blank, so its title is the status's phrase; code tells errors apart.
type problem struct {
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Detail string          `json:"detail"`
	Code   string          `json:"code"`
	Mend   string          `json:"mend,omitempty"`
	Errors []ConfigError   `json:"errors,omitempty"`
	RPC    json.RawMessage `json:"rpc_error,omitempty"`
}

func writeProblem(w http.ResponseWriter, e *Error) {
	status := e.status()
	p := problem{http.StatusText(status), status, e.Detail, e.Code, e.Mend, e.Errors, e.RPC}
	body, err := json.Marshal(p)
	if err != nil { // only an RPC that is no JSON: leave it out
		p.RPC = nil
		body, _ = json.Marshal(p)
	}
	writeHeader(w, status, "application/problem+json")
	_, _ = w.Write(append(body, '\n'))
}

func writeJSON(w http.ResponseWriter, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("admin answer: %w", err)
	}
	writeHeader(w, status, "application/json")
	_, _ = w.Write(append(body, '\n')) // the client is gone if not
	return nil
}

func writeHeader(w http.ResponseWriter, status int, contentType string) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
}
