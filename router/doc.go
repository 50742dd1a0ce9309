// Package router gives what many upstream MCP servers bring one set of names.
//
// Offers go in, in the order of the file, and an immutable Catalog comes out:
// every client-visible name mapped to a route, the pages of each list prebuilt,
// and a Problem for whatever could not be shown as it came. The same offers
// give the same catalog, byte for byte, whatever the order in which upstreams
// became ready.
//
// What is listed is exactly what can be called, except for offers that are not
// listed at the moment: their names still route, so that the caller gets the
// honest answer.
//
// The package is pure: no goroutine, lock, clock or I/O. A Catalog may be read
// by any number of goroutines.
package router
