package admin

import (
	"encoding/json"
	"log/slog"
	"net/http"
)

// Options are what Handler serves.
type Options struct {
	State State
	// Metrics answers GET /metrics; nil means that there is none.
	Metrics http.Handler
	// Version is sent in the Server header, "" for none.
	Version string
	// Means refuses, with an *Error, a request of somebody who means a gateway of
	// other files (absolute paths, of which there is one at least); nil refuses none.
	Means func(files []string) error
	// Attach lets clients in that are served as on stdio; nil for none.
	Attach Attach
	// Background is told to them: that the gateway was started by a client's need.
	Background bool
	// Log receives errors that a client is told nothing about. nil discards.
	Log *slog.Logger
}

type api struct{ Options }

func newAPI(o Options) *api {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &api{o}
}

func (a *api) tools(w http.ResponseWriter, r *http.Request) error {
	tools, err := a.State.ToolsIn(r.URL.Query().Get("profile"))
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, map[string]any{"tools": orEmpty(tools), "problems": orEmpty(a.State.Problems())})
}

func (a *api) policies(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"policies": orEmpty(a.State.Policies())})
}

// callBody is the body of POST /v1/call.
type callBody struct {
	Tool      string          `json:"tool"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
	// Profile is what the caller sees, "" for the whole.
	Profile string `json:"profile,omitempty"`
	// Trace asks that the call is recorded; the header Interlock-Trace of the answer
	// has the id of its trace.
	Trace bool `json:"trace,omitempty"`
}

func (a *api) call(w http.ResponseWriter, r *http.Request) error {
	const shape = `{"tool": "NAME", "arguments": {...}}`
	var body callBody
	if err := decode(w, r, &body, shape); err != nil {
		return err
	}
	switch {
	case body.Tool == "":
		return &Error{Code: CodeBadRequest, Detail: "tool is missing", Mend: "send " + shape}
	case len(body.Arguments) == 0 || string(body.Arguments) == "null":
		body.Arguments = json.RawMessage("{}")
	case body.Arguments[0] != '{':
		return &Error{Code: CodeBadRequest, Detail: "arguments must be a JSON object"}
	}
	result, err := a.made(w, r, &body)
	if err != nil {
		return err
	}
	writeHeader(w, http.StatusOK, "application/json")
	_, _ = w.Write(result) // the client is gone if not
	return nil
}

// made makes the call of a body.
func (a *api) made(w http.ResponseWriter, r *http.Request, body *callBody) (json.RawMessage, error) {
	if !body.Trace {
		return a.State.CallIn(r.Context(), body.Profile, body.Tool, body.Arguments)
	}
	result, trace, err := a.State.CallTraced(r.Context(), body.Profile, body.Tool, body.Arguments)
	if trace != "" {
		w.Header().Set(headerTrace, trace)
	}
	return result, err
}

func (a *api) live(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"status": "ok"})
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Waiting []string `json:"waiting"`
	// Draining says that the gateway is about to end.
	Draining bool `json:"draining,omitempty"`
}

func (a *api) ready(w http.ResponseWriter, _ *http.Request) error {
	ok, waiting := a.State.Ready()
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, Readiness{ok, orEmpty(waiting), a.State.Draining()})
}

func (a *api) metrics(w http.ResponseWriter, r *http.Request) error {
	if a.Metrics == nil {
		return &Error{Code: CodeNotFound, Detail: "this gateway keeps no metrics"}
	}
	a.Metrics.ServeHTTP(w, r)
	return nil
}

// orEmpty makes a nil list [] in JSON instead of null.
func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}
