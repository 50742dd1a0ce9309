package identity

import (
	"encoding/json"
	"net/http"
	"strings"
)

// MetadataPaths returns the patterns of http.ServeMux for Metadata, for an endpoint
// at path: the well-known path itself, and with the path of the endpoint, of any of
// its views, and of the older transport appended (RFC 9728 section 3.1).
func MetadataPaths(path string) []string {
	paths := []string{wellKnown, wellKnown + "/sse", wellKnown + strings.TrimSuffix(path, "/") + "/{view...}"}
	if path != "/" {
		paths = append(paths, wellKnown+path)
	}
	return paths
}

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
