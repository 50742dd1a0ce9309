package upstream

import (
	"encoding/json"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// State is one of the seven lifecycle states of an upstream.
type State string

// The states; JSON, logs, metrics and the command line use these strings.
const (
	NotStarted State = "not_started"
	Starting   State = "starting"
	Running    State = "running"
	Stopping   State = "stopping"
	Stopped    State = "stopped"
	Errored    State = "error"
	Unknown    State = "unknown"
)

// BreakerState is the state of an upstream's circuit breaker.
type BreakerState string

// The breaker's states.
const (
	BreakerClosed   BreakerState = "closed"
	BreakerHalfOpen BreakerState = "half_open"
	BreakerOpen     BreakerState = "open"
)

// Status is an immutable view of an upstream at one moment.
type Status struct {
	Name       string
	State      State
	Desired    bool // meant to be up
	Generation uint64
	Breaker    BreakerState
	Health     string // healthy, degraded, unhealthy, or "" while not meant to be up
	Transport  Transport
	PID        int
	Since      time.Time // of State
	Started    time.Time // of this generation reaching running; zero before
	Hello      *Hello    // nil before the first handshake
	Attempts   int       // failed attempts in a row
	Exhausted  bool
	NextRetry  time.Time // zero for none planned
	LastStop   StopKind
	Failure    *Failure // the last one, nil for none
	InFlight   int
	Queued     int
	Skipped    uint64 // lines on stdout that were no messages
	WaitingFor string // the dependency a start waits for
	Required   bool
	OnDemand   bool // starts when it is needed
	// Idle says that it is OnDemand and does not run because nobody needs it: it is
	// meant to be up, is listed, and starts at the next call.
	Idle bool
	// Because says why it last stopped, in words: "killed by an operator", "" if
	// it never did or runs again.
	Because string
}

// Failure says why an upstream is, or was, in error.
type Failure struct {
	Stage   string // spawn, handshake, list, dependency, running
	Message string
	// Reason is needs_auth if somebody has to sign in before it can run, which is not
	// tried again until then, unless it is no person who signs in; "" for all else.
	Reason string
	Exit   string
	Stderr []string
	At     time.Time

	needs *oauth.NeedsAuth // who has to sign in, if Reason says so
}

// Inventory is what an upstream offers, as it listed it. It is immutable.
type Inventory struct {
	Version      string          `json:"version"`
	Capabilities json.RawMessage `json:"capabilities,omitempty"`
	ServerInfo   json.RawMessage `json:"serverInfo,omitempty"`
	Instructions string          `json:"instructions,omitempty"`
	// Items are the JSON objects of the lists, byte for byte.
	Tools     []json.RawMessage `json:"tools,omitempty"`
	Prompts   []json.RawMessage `json:"prompts,omitempty"`
	Resources []json.RawMessage `json:"resources,omitempty"`
	Templates []json.RawMessage `json:"templates,omitempty"`
	// Truncated names lists that were cut because their pages never ended.
	Truncated []string `json:"truncated,omitempty"`
	// TTL is how long the shortest-lived page of the lists may be kept, 0 if the
	// server did not say (a legacy one cannot). Private says that the lists are
	// for the one who asked alone, or that the server did not say.
	TTL     time.Duration `json:"ttl,omitempty"`
	Private bool          `json:"private,omitempty"`
	Learnt  time.Time     `json:"learnt"`
}

func (f *Failure) Error() string { return f.Message }

// Unwrap returns the *oauth.NeedsAuth behind Reason, nil for none.
func (f *Failure) Unwrap() error {
	if f.needs == nil {
		return nil
	}
	return f.needs
}
