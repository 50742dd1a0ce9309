package admin

import (
	"context"
	"encoding/json"
	"iter"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// State is what the API may see and do. Its methods are called by many
// goroutines at once. An error that a client is told is an *Error; any other is
// logged and told as CodeInternal.
type State interface {
	Face
	Views
	Fleet
	Orders
	SignIns
	Settings
	Monitor
	Diary
	Traces
	Pins
}

// Face is what clients of the gateway see.
type Face interface {
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
	// Draining reports whether the gateway is about to end.
	Draining() bool
	// Problems returns what clients see differently from what the upstreams say:
	// names that collide, are hidden, replaced or shortened, and what policies do to
	// definitions.
	Problems() []Problem
	// Policies returns the policies in the order in which they are consulted before a
	// call.
	Policies() []Policy
}

// Fleet is the upstreams as they are. Its methods answer from memory.
type Fleet interface {
	// List returns the upstreams that s selects, in the order of the file.
	List(s Select) []Upstream
	// Status returns one of the seven states. The error is an *Error with
	// CodeUnknownUpstream that names the nearest, here and wherever one is named.
	Status(name string) (string, error)
	Info(name string) (Info, error)
	Graph() Graph
}

// Orders are given to upstreams. Each gives all of them at once, and waits for
// their outcome if o says so, until ctx is done at the longest. There is an
// outcome for each name, in their order.
type Orders interface {
	Start(ctx context.Context, o Order) []Outcome
	Stop(ctx context.Context, o Order) []Outcome
	Restart(ctx context.Context, o Order) []Outcome
	Remove(ctx context.Context, o Order) []Outcome
}

// Settings are what upstreams there are and how they are configured.
type Settings interface {
	// Add adds upstreams and keeps them. An error changes nothing; an outcome that
	// is not OK says why that one was left out, or did not start.
	Add(ctx context.Context, o AddOrder) ([]Outcome, error)
	// Reload reads the files anew and applies what changed; an error changes
	// nothing. Plan says what Reload would do.
	Reload(ctx context.Context) (Plan, error)
	Plan(ctx context.Context) (Plan, error)
	// Config returns the running configuration as a JSON object under the keys of
	// the file, with *** for what may be secret.
	Config() (json.RawMessage, error)
}

// Monitor is how upstreams do. An empty list of names stands for all.
type Monitor interface {
	// Check probes now and blocks for the answers, by name.
	Check(ctx context.Context, names []string) map[string]Check
	// Stats are figures of the last window.
	Stats(window time.Duration, names []string) []Stats
	// Logs returns the last n lines, oldest first; Follow goes on with what comes
	// until ctx is done.
	Logs(name string, n int) ([]LogLine, error)
	Follow(ctx context.Context, name string, n int) (iter.Seq[LogLine], error)
}

// Diary is what happened.
type Diary interface {
	// Events returns the kept events with a Seq above after, oldest first, and a
	// channel that is closed when there is a newer one.
	Events(after uint64) (list []Event, changed <-chan struct{})
}

// Validate returns an *Error for a word that no upstream can have.
func (s Select) Validate() error {
	bad := func(what, value, want string) error {
		return &Error{Code: CodeBadRequest, Detail: what + " " + strconv.Quote(clip(value)) + " is not one of " + want}
	}
	if s.State != "" && !slices.Contains(states, s.State) {
		return bad("state", s.State, strings.Join(states, ", "))
	}
	if s.Transport != "" && !slices.Contains(transports, s.Transport) {
		return bad("transport", s.Transport, strings.Join(transports, ", "))
	}
	if _, err := path.Match(s.Name, ""); err != nil {
		return &Error{Code: CodeBadRequest, Detail: "name " + strconv.Quote(clip(s.Name)) + " is not a glob", Mend: `write *, ? and [a-z], and \ before one that is meant`}
	}
	return nil
}

// Passes reports whether s selects u. s must be valid.
func (s Select) Passes(u *Upstream) bool {
	named, _ := path.Match(s.Name, u.Name)
	return (s.State == "" || s.State == u.State) && (s.Transport == "" || s.Transport == u.Transport) && (s.Name == "" || named)
}

var (
	states     = []string{"not_started", "starting", "running", "stopping", "stopped", "error", "unknown"}
	transports = []string{"stdio", "http", "sse"}
)

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
	// Because says in words why it stopped, "" while it is not stopped.
	Because string `json:"because,omitempty"`
	// WaitingFor is the dependency that its start waits for.
	WaitingFor string `json:"waiting_for,omitempty"`

	InFlight int `json:"in_flight"`
	Queued   int `json:"queued"`
	// SkippedLines counts lines on its stdout that were no messages.
	SkippedLines uint64 `json:"skipped_lines"`
	Required     bool   `json:"required"`
	// OnDemand says that it starts when it is needed, Idle that it does not run
	// because nobody needs it: it is listed, and starts at the next call.
	OnDemand bool `json:"on_demand,omitempty"`
	Idle     bool `json:"idle,omitempty"`
	// SignIn is the gateway's sign-in there, nil for an upstream that knows none.
	SignIn *SignIn `json:"sign_in,omitempty"`
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

// Policy is one policy of the chain, and what it has decided so far.
type Policy struct {
	Name string `json:"name"`
	// Kind is its key in the configuration, such as access or plugin.
	Kind string `json:"kind"`
	// OnError is what becomes of a call that it could not decide: deny or allow.
	OnError string `json:"on_error"`
	DryRun  bool   `json:"dry_run"`
	// Timeout is in seconds, 0 for the kind's own.
	Timeout float64 `json:"timeout,omitempty"`
	// Decisions count what came of each time that it was asked, since it is there
	// under its name: allow, change, report, deny, hide, error.
	Decisions map[string]uint64 `json:"decisions"`
	// LastReason is why it last did anything but allow, "" for never.
	LastReason string `json:"last_reason,omitempty"`
	// State is how a policy is that has a process of its own: running or down, and
	// more of it. "" for others.
	State string `json:"state,omitempty"`
}

// Problem is a name that clients do not see as the upstream has it.
type Problem struct {
	// Kind is a stable word: collision, hidden, shortened, replaced, malformed, idle;
	// of what policies say of definitions: withheld, altered, noted.
	Kind     string `json:"kind"`
	Upstream string `json:"upstream"`
	// Profile is the profile that it is about, "" for none.
	Profile string `json:"profile,omitempty"`
	// Name is the upstream's own name, Exposed what clients see, "" for nothing.
	Name    string `json:"name,omitempty"`
	Exposed string `json:"exposed,omitempty"`
	// Other is the other side of a collision.
	Other string `json:"other,omitempty"`
	Text  string `json:"text"`
	// Mend says what to do about it.
	Mend string `json:"mend,omitempty"`
}
