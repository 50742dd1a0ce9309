package admin

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
)

// maxBody is the cap of a request's body in bytes: the largest argument that
// an operator sends by hand.
const maxBody = 4 << 20

// Options are what Handler serves.
type Options struct {
	State State
	// Metrics answers GET /metrics; nil means that there is none.
	Metrics http.Handler
	// Version is sent in the Server header, "" for none.
	Version string
	// Attach lets clients in that are served as on stdio; nil for none.
	Attach Attach
	// Background is told to them: that the gateway was started by a client's need.
	Background bool
	// Log receives errors that a client is told nothing about. nil discards.
	Log *slog.Logger
}

// Handler returns the API. It checks neither token nor Host: Serve puts a Guard
// before it where the listener needs one.
func Handler(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &api{o}
	mux := http.NewServeMux()
	for _, r := range []struct {
		method, path string
		serve        func(http.ResponseWriter, *http.Request) error
	}{
		{"GET", "/v1/upstreams", a.upstreams},
		{"GET", "/v1/upstreams/{name}", a.upstream},
		{"GET", "/v1/tools", a.tools},
		{"POST", "/v1/call", a.call},
		{"POST", "/v1/attach", a.attach},
		{"GET", "/livez", a.live},
		{"GET", "/readyz", a.ready},
		{"GET", "/metrics", a.metrics},
	} {
		mux.Handle(r.method+" "+r.path, a.route(r.serve))
		// Less specific than the pattern with a method, so only others come here.
		mux.Handle(r.path, notAllowed(r.method))
	}
	mux.Handle("/", a.route(func(_ http.ResponseWriter, r *http.Request) error {
		return &Error{Code: CodeNotFound, Detail: "no such route: " + strconv.Quote(clip(r.URL.Path))}
	}))
	return mux
}

type api struct{ Options }

// route serves h and writes the error it returns.
func (a *api) route(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Version != "" {
			w.Header().Set("Server", "interlock/"+a.Version)
		}
		err := h(w, r)
		if err == nil || r.Context().Err() != nil {
			return
		}
		e := new(Error)
		if !errors.As(err, &e) {
			a.Log.Error("admin request failed", "path", r.URL.Path, "err", err)
			e = &Error{Code: CodeInternal, Detail: "the gateway failed; its log says why"}
		}
		writeProblem(w, e)
	})
}

func notAllowed(method string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		allow := method
		if method == http.MethodGet {
			allow = "GET, HEAD"
		}
		w.Header().Set("Allow", allow)
		writeProblem(w, &Error{Code: CodeBadMethod, Detail: "this route takes " + allow + " only"})
	})
}

func (a *api) upstreams(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"upstreams": orEmpty(a.State.Upstreams())})
}

func (a *api) upstream(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	for _, u := range a.State.Upstreams() {
		if u.Name == name {
			return writeJSON(w, http.StatusOK, u)
		}
	}
	return &Error{
		Code: CodeUnknownUpstream, Detail: "no upstream is named " + strconv.Quote(clip(name)),
		Mend: "`interlock list` shows the names",
	}
}

func (a *api) tools(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{
		"tools": orEmpty(a.State.Tools()), "problems": orEmpty(a.State.Problems()),
	})
}

// callBody is the body of POST /v1/call.
type callBody struct {
	Tool      string          `json:"tool"`
	Arguments json.RawMessage `json:"arguments,omitempty"`
}

func (a *api) call(w http.ResponseWriter, r *http.Request) error {
	// A page may send text/plain anywhere without asking first, JSON not.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return &Error{Code: CodeBadMediaType, Detail: "the body must be application/json", Mend: "send Content-Type: application/json"}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if big := new(http.MaxBytesError); errors.As(err, &big) {
		return &Error{Code: CodeTooLarge, Detail: "the body is larger than 4 MiB"}
	} else if err != nil {
		return &Error{Code: CodeBadRequest, Detail: "the body could not be read"}
	}
	var body callBody
	if err := json.Unmarshal(raw, &body); err != nil {
		return &Error{
			Code: CodeBadRequest, Detail: "the body is no JSON object of the right shape: " + err.Error(),
			Mend: `send {"tool": "NAME", "arguments": {...}}`,
		}
	}
	switch {
	case body.Tool == "":
		return &Error{Code: CodeBadRequest, Detail: "tool is missing", Mend: `send {"tool": "NAME", "arguments": {...}}`}
	case len(body.Arguments) == 0 || string(body.Arguments) == "null":
		body.Arguments = json.RawMessage("{}")
	case body.Arguments[0] != '{':
		return &Error{Code: CodeBadRequest, Detail: "arguments must be a JSON object"}
	}
	result, err := a.State.Call(r.Context(), body.Tool, body.Arguments)
	if err != nil {
		return err
	}
	writeHeader(w, http.StatusOK, "application/json")
	_, _ = w.Write(result) // the client is gone if not
	return nil
}

func (a *api) live(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"status": "ok"})
}

// Readiness is the answer of /readyz.
type Readiness struct {
	Ready   bool     `json:"ready"`
	Waiting []string `json:"waiting"`
}

func (a *api) ready(w http.ResponseWriter, _ *http.Request) error {
	ok, waiting := a.State.Ready()
	status := http.StatusOK
	if !ok {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, Readiness{ok, orEmpty(waiting)})
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

// clip bounds what is echoed.
func clip(s string) string {
	if len(s) > 128 {
		return s[:128]
	}
	return s
}
