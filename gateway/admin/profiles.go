package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
)

// Views are the profiles, and what clients see who have one. A profile that there is
// not is an *Error with CodeUnknownProfile; "" stands for the whole.
type Views interface {
	// Profiles returns all of them, in the order of the file.
	Profiles() []Profile
	// ToolsIn returns the tools as Tools does, of a profile.
	ToolsIn(profile string) ([]Tool, error)
	// CallIn is Call for a client that sees a profile.
	CallIn(ctx context.Context, profile, tool string, arguments json.RawMessage) (json.RawMessage, error)
}

// Profile is a named view of the catalog as it is at the moment.
type Profile struct {
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	// Path is where the endpoint serves it.
	Path string `json:"path"`
	// Default says that it is what those get who are given none.
	Default bool `json:"default"`
	// Principals are those who get it, as they are configured.
	Principals []string `json:"principals,omitempty"`
	// Upstreams are those of which anything is shown.
	Upstreams []string `json:"upstreams"`
	// Counts of what is listed. Resources includes templates.
	Tools     int `json:"tools"`
	Prompts   int `json:"prompts"`
	Resources int `json:"resources"`
}

func (a *api) profiles(w http.ResponseWriter, _ *http.Request) error {
	return writeJSON(w, http.StatusOK, map[string]any{"profiles": orEmpty(a.State.Profiles())})
}

// Profiles returns the profiles, in the order of the file.
func (c *Client) Profiles(ctx context.Context) ([]Profile, error) {
	var out struct{ Profiles []Profile }
	err := c.get(ctx, "/v1/profiles", &out)
	return out.Profiles, err
}

// ToolsIn is Tools of a profile, "" for the whole.
func (c *Client) ToolsIn(ctx context.Context, profile string) ([]Tool, []Problem, error) {
	var out struct {
		Tools    []Tool
		Problems []Problem
	}
	path := "/v1/tools"
	if profile != "" {
		path += "?profile=" + url.QueryEscape(profile)
	}
	err := c.get(ctx, path, &out)
	return out.Tools, out.Problems, err
}
