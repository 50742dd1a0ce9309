// Package gateway joins the parts of Interlock into one MCP server made of
// many: it serves clients over streamable HTTP, the older HTTP+SSE and stdio,
// and carries their requests to the upstreams that package upstream supervises,
// under the names that package router gives.
//
// Everything a request needs is in one immutable view behind an atomic pointer.
// One goroutine, the publisher inside Run, replaces it when upstreams or the
// configuration change; a request loads it once and keeps it.
//
// A request is served by the goroutine that read it. What belongs to it on the
// way (progress, questions to the client) arrives on the upstream link's reader,
// which hands it to an outlet and never waits for a client.
package gateway
