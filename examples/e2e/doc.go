// Package e2e has tests that run Interlock as its users do: the built binary, in
// front of real MCP servers, used by real MCP clients. The servers and clients
// are npm packages pinned in package-lock.json; `make fetch` installs them.
//
// The official conformance suite is among them, on the Node 22 that comes as a
// package for Linux on x86-64 (elsewhere the machine's own must do); the server in
// front of which it judges the gateway is a tool of go.mod. What fails there is in
// conformance.yaml, with reasons.
//
// `make e2e-jaeger` runs those with the build tag jaeger: they look at what was
// traced through the API of Jaeger, which that target builds.
//
// It imports nothing of the gateway. Each test has a home folder of its own,
// which also marks every process it started, so that none is left behind
// unnoticed.
package e2e
