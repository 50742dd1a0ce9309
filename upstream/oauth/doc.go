// Package oauth signs in to MCP servers that want OAuth, and keeps the sign-ins
// alive (authorization of the MCP specification, 2025-11-25 and 2026-07-28).
//
// An Account is one sign-in: of an upstream, at an issuer, for a principal or for
// the gateway itself. A Store keeps it. Begin and Finish make one with a person's
// browser; a Source gives the requests of a link its access token and renews it
// before it expires, once for all who wait.
//
// All that is fetched goes through a client of Guard, which connects to public
// addresses alone. No token is ever formatted: see Secret.
package oauth
