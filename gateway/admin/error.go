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
	// RPC is the JSON-RPC error object, where an MCP server answered with one.
	RPC json.RawMessage
}

func (e *Error) Error() string { return e.Detail }

// The codes of errors.
const (
	CodeBadRequest      = "bad_request"      // 400
	CodeUnauthorized    = "unauthorized"     // 401
	CodeForbiddenHost   = "forbidden_host"   // 403
	CodeForbiddenOrigin = "forbidden_origin" // 403
	CodeNotFound        = "not_found"        // 404: no such route
	CodeUnknownUpstream = "unknown_upstream" // 404
	CodeUnknownTool     = "unknown_tool"     // 404
	CodeBadMethod       = "method_not_allowed"
	CodeTooLarge        = "too_large"         // 413
	CodeBadMediaType    = "bad_media_type"    // 415
	CodeInvalidArgument = "invalid_arguments" // 422: the server refused them
	CodeInternal        = "internal"          // 500
	CodeUpstream        = "upstream_error"    // 502: the server answered with an error
	CodeDraining        = "draining"          // 503
	CodeOtherConfig     = "other_config"      // 409: it runs with other configuration files
	CodeUpgradeRequired = "upgrade_required"  // 426
)

// status returns the HTTP status.
func (e *Error) status() int {
	if e.Status != 0 {
		return e.Status
	}
	switch e.Code {
	case CodeBadRequest:
		return http.StatusBadRequest
	case CodeUnauthorized:
		return http.StatusUnauthorized
	case CodeForbiddenHost, CodeForbiddenOrigin:
		return http.StatusForbidden
	case CodeNotFound, CodeUnknownUpstream, CodeUnknownTool:
		return http.StatusNotFound
	case CodeBadMethod:
		return http.StatusMethodNotAllowed
	case CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case CodeBadMediaType:
		return http.StatusUnsupportedMediaType
	case CodeOtherConfig:
		return http.StatusConflict
	case CodeUpgradeRequired:
		return http.StatusUpgradeRequired
	case CodeInvalidArgument:
		return http.StatusUnprocessableEntity
	case CodeUpstream:
		return http.StatusBadGateway
	case CodeDraining:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
