package admin

import (
	"encoding/json"
	"net/http"
)

// Error is an error of the API. It is what problem+json carries, and what a
// Client returns for one.
type Error struct {
	// Status is the HTTP status; 0 means that of the Code, 500 for others than
	// those below.
	Status int
	// Code is a stable word: one of those below, or the State's own.
	Code string
	// Detail says what happened, Mend what to do about it ("" for nothing).
	Detail, Mend string
	// Errors are all the faults of a configuration, in the order of their places.
	Errors []ConfigError
	// RPC is the JSON-RPC error object, where an MCP server answered with one.
	RPC json.RawMessage
	// Trace is the id of the trace of a call that CallTraced made, for who asked over
	// the network, "" for none.
	Trace string
	// Err is what it came of, nil for nothing; it is not sent.
	Err error
}

// ConfigError is one fault of a configuration.
type ConfigError struct {
	// Text says what is wrong.
	Text string `json:"text"`
	// At is file:line:column, or the path of the key, "" for neither.
	At   string `json:"at,omitempty"`
	Mend string `json:"mend,omitempty"`
}

func (e *Error) Error() string { return e.Detail }

func (e *Error) Unwrap() error { return e.Err }

// Fault is the error as that of one of several.
func (e *Error) Fault() *Fault { return &Fault{Code: e.Code, Detail: e.Detail, Mend: e.Mend} }

// The codes of errors. Codes says what each means.
const (
	CodeBadRequest      = "bad_request"
	CodeUnauthorized    = "unauthorized"
	CodeForbiddenHost   = "forbidden_host"
	CodeForbiddenOrigin = "forbidden_origin"
	CodeNeedsSocket     = "needs_socket"
	CodeNotFound        = "not_found"
	CodeUnknownUpstream = "unknown_upstream"
	CodeDisabled        = "disabled"
	CodeUnknownTool     = "unknown_tool"
	CodeUnknownProfile  = "unknown_profile"
	CodeBadMethod       = "method_not_allowed"
	CodeNotReloadable   = "not_reloadable"
	CodeOtherConfig     = "other_config"
	CodeTooLarge        = "too_large"
	CodeBadMediaType    = "bad_media_type"
	CodeInvalidArgument = "invalid_arguments"
	CodeInvalidConfig   = "invalid_config"
	CodePolicyFailed    = "policy_failed"
	CodeUpgradeRequired = "upgrade_required"
	CodeInternal        = "internal"
	CodeNotKept         = "not_kept"
	CodeUpstream        = "upstream_error"
	CodeDraining        = "draining"
	CodeNoPins          = "no_pins"
	CodeUnknownPin      = "unknown_pin"
	CodePinChanged      = "pin_changed"
	CodePinUnfit        = "pin_unfit"
	CodeNoTraces        = "no_traces"
	CodeUnknownTrace    = "unknown_trace"

	CodeExists        = "exists"
	CodeHasDependents = "has_dependents"
	CodeStartFailed   = "start_failed"
	CodeStopFailed    = "stop_failed"
	CodeOvertaken     = "overtaken"
	CodeWaitTimeout   = "wait_timeout"
)

// Code is a code and what it means.
type Code struct {
	Name string
	// Status is the HTTP status of a problem with it, 0 if it is only found in
	// outcomes.
	Status int
	// Cause says when it comes, Mend what to do, each in a sentence.
	Cause, Mend string
}

// Codes returns all codes of the API, by status.
func Codes() []Code { return codes }

var codes = []Code{
	{
		CodeBadRequest, http.StatusBadRequest,
		"The body, or a parameter of the query, is not what the route takes.", "The detail says what it wants.",
	},
	{
		CodeUnauthorized, http.StatusUnauthorized,
		"The admin address is a TCP one, and the request carries no token or another one.",
		"Send `Authorization: Bearer TOKEN`: `admin.token`, or the file `admin.token` in `state_dir`.",
	},
	{
		CodeForbiddenHost, http.StatusForbidden,
		"The Host of the request is no name of this machine: a page could have made it by DNS rebinding.", "Use 127.0.0.1, [::1] or localhost.",
	},
	{
		CodeForbiddenOrigin, http.StatusForbidden,
		"A page that is not of this machine sent the request.", "No page beyond this machine may use the admin API.",
	},
	{
		CodeNeedsSocket, http.StatusForbidden,
		"The request would start a program, read a file or a variable, and came over TCP.",
		"Send it over the unix socket, write the values out, or put the server into the file.",
	},
	{CodeNotFound, http.StatusNotFound, "There is no such route.", "The routes are listed in docs/operations.md."},
	{CodeUnknownUpstream, http.StatusNotFound, "No upstream has that name.", "`interlock list` shows the names; the nearest are in the mend."},
	{CodeDisabled, http.StatusNotFound, "The upstream is there with `enabled: false`.", "Set `enabled: true` and reload."},
	{CodeUnknownTool, http.StatusNotFound, "No tool has that name.", "`interlock tools` shows the names."},
	{CodeUnknownProfile, http.StatusNotFound, "No profile has that name.", "`interlock profiles` shows the names; the nearest is in the mend."},
	{CodeNoPins, http.StatusNotFound, "No policy of kind `pin` runs.", "Add one to `policies` and reload."},
	{CodeUnknownPin, http.StatusNotFound, "Nothing that is pinned, and no upstream, has that name.", "`interlock pins list` shows the names."},
	{CodeNoTraces, http.StatusNotFound, "No traces are kept in memory.", "Set `telemetry.traces.keep` above 0, unset `OTEL_SDK_DISABLED`, and start the gateway anew."},
	{
		CodeUnknownTrace, http.StatusNotFound,
		"No trace that is kept has an id that begins so: it was never recorded, or has made room for later ones.",
		"`interlock traces` shows those that are kept; `telemetry.traces.keep` says how many.",
	},
	{CodeBadMethod, http.StatusMethodNotAllowed, "The route takes other methods.", "The Allow header names them."},
	{
		CodeNotReloadable, http.StatusConflict,
		"The gateway was started by a program that gave it no files to read.", "Give gateway.Options a Load function.",
	},
	{
		CodeOtherConfig, http.StatusConflict,
		"A client wants the gateway of other configuration files than this one runs with.", "Give each configuration a state_dir of its own.",
	},
	{
		CodePinChanged, http.StatusConflict,
		"What was to be approved is not what it was when it was seen; nothing was approved.", "Look again: `interlock pins diff`.",
	},
	{CodeTooLarge, http.StatusRequestEntityTooLarge, "The body is larger than 4 MiB.", "Send less."},
	{CodeBadMediaType, http.StatusUnsupportedMediaType, "The body is not said to be JSON.", "Send `Content-Type: application/json`."},
	{
		CodePinUnfit, http.StatusUnprocessableEntity,
		"What was to be approved has a key twice, or is not Unicode: two readers may read it differently.", "Its server has to mend that.",
	},
	{CodeInvalidArgument, http.StatusUnprocessableEntity, "The server refused the arguments of a call.", "`interlock tools NAME` shows what it takes."},
	{
		CodeInvalidConfig, http.StatusUnprocessableEntity,
		"The files, or what was to be added, are not valid; nothing was changed.", "`errors` has each fault, its place and its mend.",
	},
	{
		CodePolicyFailed, http.StatusUnprocessableEntity,
		"A policy that the configuration asks for cannot be had: a file or a program of its own is at fault. Nothing was changed.", "`detail` names the policy and what it lacks.",
	},
	{
		CodeUpgradeRequired, http.StatusUpgradeRequired,
		"The route takes the connection over, and the request does not offer it.", "Send `Connection: Upgrade` and `Upgrade: mcp-stdio`.",
	},
	{CodeInternal, http.StatusInternalServerError, "The gateway failed.", "Its log says why."},
	{
		CodeNotKept, http.StatusInternalServerError,
		"What was to be added, removed or approved could not be written, to state_dir or to the lock file; nothing was changed.",
		"See that the folder can be written to.",
	},
	{CodeUpstream, http.StatusBadGateway, "The MCP server answered a call with an error.", "`rpc_error` is what it said."},
	{CodeDraining, http.StatusServiceUnavailable, "The gateway is shutting down.", "Ask again when it runs again."},

	{
		CodeExists, 0,
		"There is an upstream of that name already; one in the file wins over one that is added.", "Remove it first, or choose another name.",
	},
	{CodeHasDependents, 0, "Others depend on what was to be removed.", "Remove them, too, or stop it only."},
	{CodeStartFailed, 0, "It did not start.", "`interlock info NAME` shows the failure with what it wrote, `interlock doctor NAME` explains it."},
	{CodeStopFailed, 0, "Its process is still there after SIGKILL.", "Look for a process that hangs in the kernel: `ps -o stat,wchan`."},
	{CodeOvertaken, 0, "Another order came in between.", "`interlock status NAME` shows what became of it."},
	{CodeWaitTimeout, 0, "The order was taken, and its outcome did not come in time.", "It goes on: `interlock status NAME`."},
}

// status returns the HTTP status.
func (e *Error) status() int {
	if e.Status != 0 {
		return e.Status
	}
	for _, c := range codes {
		if c.Name == e.Code && c.Status != 0 {
			return c.Status
		}
	}
	return http.StatusInternalServerError
}
