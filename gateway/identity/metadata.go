package identity

import (
	"encoding/json"
	"net/http"
)

// metadata is the document of RFC 9728 section 2.
type metadata struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers,omitempty"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
}

// Metadata serves the document that tells clients where to get a token (RFC 9728
// section 3). It needs no token, may be read by any page, and says nothing of which
// views there are. Where only keys are accepted it names no authorization server.
//
// It is to be served at the well-known path itself, and with the path of the endpoint,
// of its views, and of the older transport appended (section 3.1). The wildcard {view}
// of the pattern is what follows the path of the endpoint, if anything does.
func (a *Authenticator) Metadata() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodGet, http.MethodHead:
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
			h.Set("Access-Control-Allow-Headers", "Mcp-Protocol-Version")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		default:
			h.Set("Allow", "GET, HEAD, OPTIONS")
			http.Error(w, "use GET", http.StatusMethodNotAllowed)
			return
		}
		if view := r.PathValue("view"); view != "" && viewPath.FindString("/"+view) != "/"+view {
			http.NotFound(w, r)
			return
		}
		origin, path := a.resource.of(r)
		text, err := json.Marshal(metadata{
			Resource:             origin + path,
			AuthorizationServers: a.names,
			Scopes:               a.scopes.required,
			BearerMethods:        []string{"header"},
		})
		if err != nil {
			http.Error(w, "no metadata", http.StatusInternalServerError)
			return
		}
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "max-age=60")
		_, _ = w.Write(append(text, '\n'))
	})
}
