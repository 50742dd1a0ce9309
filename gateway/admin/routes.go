package admin

import (
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// entry is one method of one path.
type entry struct {
	method, path string
	serve        func(http.ResponseWriter, *http.Request) error
}

// routes is the whole of the API: what is not in it is not served.
func (a *api) routes() []entry {
	return []entry{
		{"GET", "/v1/upstreams", a.list},
		{"POST", "/v1/upstreams", a.add},
		{"GET", "/v1/upstreams/{name}", a.info},
		{"DELETE", "/v1/upstreams/{name}", a.removeOne},
		{"POST", "/v1/upstreams/{name}/start", a.orderOne(a.State.Start)},
		{"POST", "/v1/upstreams/{name}/stop", a.orderOne(a.State.Stop)},
		{"POST", "/v1/upstreams/{name}/restart", a.orderOne(a.State.Restart)},
		{"POST", "/v1/upstreams/{name}/check", a.checkOne},
		{"POST", "/v1/upstreams/{name}/signed-in", a.orderOne(a.State.SignedIn)},
		{"GET", "/v1/upstreams/{name}/stats", a.statsOne},
		{"GET", "/v1/upstreams/{name}/logs", a.logs},
		{"POST", "/v1/start", a.order(a.State.Start)},
		{"POST", "/v1/stop", a.order(a.State.Stop)},
		{"POST", "/v1/restart", a.order(a.State.Restart)},
		{"POST", "/v1/remove", a.order(a.State.Remove)},
		{"POST", "/v1/check", a.check},
		{"GET", "/v1/stats", a.stats},
		{"GET", "/v1/graph", a.graph},
		{"GET", "/v1/events", a.events},
		{"POST", "/v1/reload", a.reload},
		{"GET", "/v1/config", a.config},
		{"GET", "/v1/tools", a.tools},
		{"GET", "/v1/profiles", a.profiles},
		{"GET", "/v1/policies", a.policies},
		{"POST", "/v1/call", a.call},
		{"GET", "/v1/traces", a.traces},
		{"GET", "/v1/traces/{id}", a.trace},
		{"GET", "/v1/pins", a.pins},
		{"GET", "/v1/pins/diff", a.pinDiffs},
		{"POST", "/v1/pins/approve", a.approvePins},
		{"POST", "/v1/attach", a.attach},
		{"GET", "/livez", a.live},
		{"GET", "/readyz", a.ready},
		{"GET", "/metrics", a.metrics},
	}
}

// Handler returns the API. It checks neither token nor Host: Serve puts a guard
// before it.
func Handler(o Options) http.Handler {
	a := newAPI(o)
	mux := http.NewServeMux()
	methods := map[string][]string{}
	for _, r := range a.routes() {
		mux.Handle(r.method+" "+r.path, a.answer(r.serve))
		methods[r.path] = append(methods[r.path], r.method)
	}
	for path, m := range methods {
		// Less specific than the patterns with a method, so only others come here.
		mux.Handle(path, a.answer(notAllowed(m)))
	}
	mux.Handle("/", a.answer(func(_ http.ResponseWriter, r *http.Request) error {
		return &Error{Code: CodeNotFound, Detail: "no such route: " + strconv.Quote(clip(r.URL.Path))}
	}))
	return mux
}

// Patterns returns the routes of Handler as "METHOD /path", in the form of patterns
// of http.ServeMux.
func Patterns() []string {
	var out []string
	for _, r := range newAPI(Options{State: struct{ State }{}}).routes() {
		out = append(out, r.method+" "+r.path)
	}
	return out
}

// answer serves h and writes the error it returns.
func (a *api) answer(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Version != "" {
			w.Header().Set("Server", "interlock/"+a.Version)
		}
		err := a.meant(r)
		if err == nil {
			err = h(w, r)
		}
		if err == nil || r.Context().Err() != nil {
			return
		}
		e := new(Error)
		if !errors.As(err, &e) {
			a.Log.ErrorContext(r.Context(), "admin request failed", "path", r.URL.Path, "error", err)
			e = &Error{Code: CodeInternal, Detail: "the gateway failed; its log says why"}
		}
		writeProblem(w, e)
	})
}

// meant refuses a request that names files of another gateway's: two
// configurations may share a state folder, and with it the socket.
func (a *api) meant(r *http.Request) error {
	if !strings.HasPrefix(r.URL.Path, "/v1/") {
		return nil
	}
	files, err := filesOf(r)
	if err != nil || len(files) == 0 || a.Means == nil {
		return err
	}
	return a.Means(files)
}

func notAllowed(methods []string) func(http.ResponseWriter, *http.Request) error {
	if slices.Contains(methods, http.MethodGet) {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	allow := strings.Join(methods, ", ")
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Allow", allow)
		return &Error{Code: CodeBadMethod, Detail: "this route takes " + allow + " only"}
	}
}
