package admin

import (
	"context"
	"encoding/json"
	"time"
)

// State is what the API may see and do. Its methods are called by many
// goroutines at once and, but for Call, answer from memory without blocking.
type State interface {
	// Upstreams returns all upstreams in the order of the file.
	Upstreams() []Upstream
	// Tools returns the tools in the order in which clients see them, then those
	// that are known but not listed.
	Tools() []Tool
	// Call calls a tool under the name that clients use. arguments is a JSON
	// object. It blocks for the answer and returns the CallToolResult's bytes. An
	// upstream's isError result is a result; the error is an *Error, or ctx's.
	Call(ctx context.Context, tool string, arguments json.RawMessage) (json.RawMessage, error)
	// Ready says whether clients are served, and what is waited for if not: names
	// of required upstreams, or "draining".
	Ready() (ok bool, waiting []string)
	// Problems returns what clients see differently from what the upstreams say:
	// names that collide, are hidden, replaced or shortened.
	Problems() []Problem
}

// Upstream is one upstream at one moment. Zero times, and texts and objects
// that do not apply, are left out of its JSON.
type Upstream struct {
	Name string `json:"name"`
	// State is not_started, starting, running, stopping, stopped, error or unknown.
	State string `json:"state"`
	// Health is healthy, degraded or unhealthy, or "" while it is not meant to be up.
	Health string `json:"health"`
	// Breaker is closed, half_open or open.
	Breaker string `json:"breaker"`
	// Transport is stdio, http or sse.
	Transport string `json:"transport"`
	// PID is the child's, 0 for a remote or while there is none.
	PID int `json:"pid,omitempty"`
	// Since is when State began, Started when this generation reached running.
	Since   time.Time `json:"since,omitzero"`
	Started time.Time `json:"started,omitzero"`
	// Protocol is the agreed revision, e.g. "2025-11-25".
	Protocol string  `json:"protocol,omitempty"`
	Server   *Server `json:"server,omitempty"`

	// Counts of what it offers. Resources includes templates.
	Tools     int `json:"tools"`
	Prompts   int `json:"prompts"`
	Resources int `json:"resources"`

	// Generation counts starts.
	Generation uint64 `json:"generation"`
	// Attempts counts failed attempts in a row.
	Attempts    int       `json:"attempts"`
	Exhausted   bool      `json:"exhausted"`
	NextRetry   time.Time `json:"next_retry,omitzero"`
	LastFailure *Failure  `json:"last_failure,omitempty"`
	// LastStop is graceful, terminated, killed or survived.
	LastStop string `json:"last_stop,omitempty"`
	// WaitingFor is the dependency that its start waits for.
	WaitingFor string `json:"waiting_for,omitempty"`

	InFlight int `json:"in_flight"`
	Queued   int `json:"queued"`
	// SkippedLines counts lines on its stdout that were no messages.
	SkippedLines uint64 `json:"skipped_lines"`
	Required     bool   `json:"required"`
}

// Server is how an upstream introduced itself.
type Server struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// Failure says why an upstream is, or was last, in error.
type Failure struct {
	// Stage is spawn, handshake, list, dependency or running.
	Stage   string `json:"stage"`
	Message string `json:"message"`
	// Exit is how its process ended: "exit status 3", "signal: killed".
	Exit string `json:"exit,omitempty"`
	// Stderr holds the last lines it wrote, oldest first, at most 20.
	Stderr []string  `json:"stderr,omitempty"`
	At     time.Time `json:"at"`
}

// Tool is one tool of the catalog.
type Tool struct {
	// Name is what clients call, Target the upstream's own name of it.
	Name        string `json:"name"`
	Upstream    string `json:"upstream"`
	Target      string `json:"target"`
	Description string `json:"description,omitempty"`
	// Listed is false for a tool that is known but not offered to clients.
	Listed bool `json:"listed"`
	// InputSchema is the JSON Schema of its arguments as the upstream sent it.
	InputSchema json.RawMessage `json:"input_schema,omitempty"`
}

// Problem is a name that clients do not see as the upstream has it.
type Problem struct {
	// Kind is a stable word: collision, hidden, shortened, replaced, malformed.
	Kind     string `json:"kind"`
	Upstream string `json:"upstream"`
	// Name is the upstream's own name, Exposed what clients see, "" for nothing.
	Name    string `json:"name,omitempty"`
	Exposed string `json:"exposed,omitempty"`
	// Other is the other side of a collision.
	Other string `json:"other,omitempty"`
	Text  string `json:"text"`
	// Mend says what to do about it.
	Mend string `json:"mend,omitempty"`
}
