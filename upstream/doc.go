// Package upstream supervises MCP servers: child processes over stdio, and
// remote servers over streamable HTTP and HTTP+SSE.
//
// An Upstream is one server. The goroutine that Set.Run starts for it owns it:
// it waits for dependencies, starts, serves and backs off, and each change of
// state happens there. All others read immutable snapshots (Status, Inventory)
// or make calls. A Link is one live connection; an upstream has one that it
// supervises and may have more, one for each client session.
//
// The breaker is the health: calls and probes feed it, and only the owner makes
// the attempt that may close it. A call gets exactly one outcome, which says
// whether the server executed it, and is never made twice unless it may be.
//
// Set keeps the running upstreams equal to the configured ones. Its Run blocks
// and, once its context is done, returns when no process, connection or
// goroutine of this package is left. One watcher process per gateway keeps that
// promise when the gateway is killed.
//
// The package knows nothing of names, policies or clients; what it has to tell
// goes through Observer and Handler.
package upstream
