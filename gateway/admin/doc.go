// Package admin is the operator's HTTP API: what runs, what it offers, and calls
// made by hand. It declares the State that it reads and knows nothing of how
// that is made.
//
// The API is served on a unix socket of mode 0600, whose file permission is the
// whole of its access control, or on a loopback TCP address, where each request
// needs a bearer token and a Host and Origin of this machine.
//
// Patterns lists the routes. Answers are JSON, or server-sent events where one
// follows; errors are application/problem+json (RFC 9457) with a stable "code", of
// which Codes is the table. No request that came over TCP starts a program or reads
// a file of its choice.
//
// Listen, Handler and Serve are the gateway's side; Client is the command
// line's. Serve blocks and owns its goroutines; nothing here outlives it.
package admin
