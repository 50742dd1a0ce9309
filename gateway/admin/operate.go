package admin

import (
	"encoding/json"
	"time"
)

// Order is the body of POST /v1/start, /v1/stop, /v1/restart and /v1/remove. The
// routes below /v1/upstreams/{name} take the same of one upstream, without Names
// and All.
type Order struct {
	// Names are the upstreams; All stands for all there are.
	Names []string `json:"names,omitempty"`
	All   bool     `json:"all,omitempty"`
	// Force, of a stop or a removal, kills at once.
	Force bool `json:"force,omitempty"`
	// Wait asks for the outcome instead of for the order being taken, for at most
	// Timeout seconds; 0 is the longest that a request may take.
	Wait    bool    `json:"wait,omitempty"`
	Timeout float64 `json:"timeout,omitempty"`
	// Each, if not nil, is told of each outcome as it comes, one at a time.
	Each func(Outcome) `json:"-"`
}

// AddOrder is upstreams to add at run time.
type AddOrder struct {
	// Entries is a JSON object as a file would hold it: upstreams, mcpServers, or
	// servers as VS Code has them.
	Entries json.RawMessage
	// Commands allows entries that start a program, and variables, which may read
	// files. Whoever gives that may run what he likes as the gateway's user.
	Commands bool
	// Wait, Timeout and Each are as in Order, of the start of what is added.
	Wait    bool
	Timeout float64
	Each    func(Outcome)
}

// Outcome is what became of an order to one upstream. The fault of one never
// keeps the others from their own.
type Outcome struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// State is the upstream's at the end of the request, "" once it is removed.
	State string `json:"state"`
	// Done says that the outcome was waited for; else the order was taken.
	Done bool `json:"done"`
	// With are the dependencies that were started with it.
	With []string `json:"with,omitempty"`
	// Left are the running dependents that a stop leaves without it.
	Left []string `json:"left,omitempty"`
	// Notes are what else there is to know, such as warnings of its configuration.
	Notes []string `json:"notes,omitempty"`
	// Error is nil if OK.
	Error *Fault `json:"error,omitempty"`
}

// Fault is an error that belongs to one of several.
type Fault struct {
	// Code is a stable word, as in Error.
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Mend   string `json:"mend,omitempty"`
}

// Info is all there is to know of one upstream.
type Info struct {
	Upstream
	// Uptime is how long this generation has run, in seconds, 0 while it does not.
	Uptime float64 `json:"uptime"`
	// Usage is of the child and all that came of it; nil for a remote, and where
	// the system does not tell.
	Usage *Usage `json:"usage,omitempty"`
	// Offers are the upstream's own names.
	Offers Offers `json:"offers"`
	// DependsOn and Dependents are direct.
	DependsOn  []Dependency `json:"depends_on,omitempty"`
	Dependents []string     `json:"dependents,omitempty"`
	// Stages are those of the last start, in order.
	Stages []Stage `json:"stages,omitempty"`
	// Config is its configuration with *** for what may be secret.
	Config json.RawMessage `json:"config"`
	// Source is "file", or "added" for one that was added at run time.
	Source string `json:"source"`
}

// Usage is what a process tree has taken.
type Usage struct {
	Processes int `json:"processes"`
	// CPU is in seconds of user and system time since the child began.
	CPU float64 `json:"cpu_seconds"`
	// Memory is the resident set in bytes.
	Memory int64 `json:"memory_bytes"`
}

// Offers are names of what an upstream lists.
type Offers struct {
	Tools     []string `json:"tools"`
	Prompts   []string `json:"prompts"`
	Resources []string `json:"resources"` // URIs, and templates
}

// Dependency is an edge.
type Dependency struct {
	Name      string `json:"name"`
	Condition string `json:"condition"` // started or running
	Restart   bool   `json:"restart,omitempty"`
}

// Stage is a part of a start.
type Stage struct {
	// Name is dependencies, spawn, handshake, probe or list.
	Name  string    `json:"name"`
	Began time.Time `json:"began"`
	// Took is in seconds.
	Took float64 `json:"took"`
}

// Check is what a probe of one upstream said.
type Check struct {
	Healthy bool `json:"healthy"`
	// Status is one of the seven states.
	Status string `json:"status"`
	// ResponseTime is in seconds, nil if there was no answer.
	ResponseTime *float64 `json:"response_time"`
	// Error says what is wrong, nil for nothing.
	Error *string `json:"error"`
	// Neutral says that nothing was found out against it: it was stopped by an
	// operator, say, or is too busy to answer.
	Neutral bool `json:"neutral,omitempty"`
}

// Stats are the monitor's figures of one upstream over a window. Where nothing
// is known they are nil, never 0.
type Stats struct {
	Name          string `json:"service_name"`
	TotalChecks   *int   `json:"total_checks"`
	HealthyChecks *int   `json:"healthy_checks"`
	// Availability is HealthyChecks of TotalChecks in percent.
	Availability *float64 `json:"availability"`
	// The response times are in seconds, over checks that have one.
	AvgResponseTime *float64 `json:"avg_response_time"`
	MaxResponseTime *float64 `json:"max_response_time"`
	MinResponseTime *float64 `json:"min_response_time"`
	// Window is in seconds.
	Window float64 `json:"window"`
	// Calls are the same of real calls, nil if there were none in the window.
	Calls *CallStats `json:"calls"`
}

// CallStats are figures of calls.
type CallStats struct {
	Count int `json:"count"`
	// Errors counts those that failed by kind: a reason of an upstream's error, or
	// tool_error, or rpc_error.
	Errors map[string]int `json:"errors"`
	// The percentiles are in seconds.
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// Graph is the upstreams and what they depend on.
type Graph struct {
	Nodes []Node `json:"nodes"`
	// Order is the order of a start: each after what it depends on.
	Order []string `json:"order"`
	// Critical is the chain of starts that the last start of the whole waited
	// for longest, the first to start first; CriticalTime is its length in seconds.
	Critical     []string `json:"critical_path"`
	CriticalTime float64  `json:"critical_time"`
}

// Node is one upstream in a Graph.
type Node struct {
	Name       string       `json:"name"`
	State      string       `json:"state"`
	Health     string       `json:"health"`
	DependsOn  []Dependency `json:"depends_on"`
	Dependents []string     `json:"dependents"`
	// Level is 0 without dependencies, else one more than the highest of them.
	Level int `json:"level"`
	// Took is how long its last start took without waiting for others, in seconds,
	// 0 if there was none.
	Took   float64 `json:"took"`
	Stages []Stage `json:"stages"`
}

// Plan is what a reload does, or would do.
type Plan struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	// Restarted have a changed key that needs a restart of theirs, Changed one that
	// applies live, Kept none.
	Restarted []string `json:"restarted"`
	Changed   []string `json:"changed"`
	Kept      []string `json:"kept"`
	// Keys are the changed keys of each upstream that is Restarted or Changed.
	Keys map[string][]string `json:"keys,omitempty"`
	// Profiles are those that come, go or change.
	Profiles []string `json:"profiles,omitempty"`
	// ToolsAdded and ToolsRemoved are names as clients see them, as far as they are
	// known before an upstream was started.
	ToolsAdded   []string `json:"tools_added"`
	ToolsRemoved []string `json:"tools_removed"`
	// PoliciesAdded, PoliciesRemoved and PoliciesChanged are names; a policy is changed
	// if it is configured otherwise or stands in another place.
	PoliciesAdded   []string `json:"policies_added,omitempty"`
	PoliciesRemoved []string `json:"policies_removed,omitempty"`
	PoliciesChanged []string `json:"policies_changed,omitempty"`
	// NeedRestart names changed keys that apply when the gateway starts next.
	NeedRestart []string `json:"need_restart"`
	// Warnings are those of the configuration.
	Warnings []string `json:"warnings,omitempty"`
	// Applied is false for a dry run.
	Applied bool `json:"applied"`
}

// Event is something that happened.
type Event struct {
	// Seq counts events of this run of the gateway from 1.
	Seq uint64    `json:"seq"`
	At  time.Time `json:"at"`
	// Kind is a stable word: state, breaker, start_stage, alert, added, removed,
	// reloaded, reload_refused, tools_changed, definition, order, draining.
	Kind     string `json:"kind"`
	Upstream string `json:"upstream,omitempty"`
	// From and To are states, of an upstream or of its breaker.
	From       string `json:"from,omitempty"`
	To         string `json:"to,omitempty"`
	Generation uint64 `json:"generation,omitempty"`
	// Stage is of a start_stage, and of a state error where it came about.
	Stage string `json:"stage,omitempty"`
	// Alert is the event of an alert: error, exhausted, recovered, breaker_opened,
	// breaker_closed or tool_changed.
	Alert string `json:"alert,omitempty"`
	// Text says it in a sentence.
	Text string `json:"text"`
}

// LogLine is a line that an upstream wrote on stderr.
type LogLine struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}
