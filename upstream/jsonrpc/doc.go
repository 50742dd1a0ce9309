// Package jsonrpc treats one JSON-RPC 2.0 message as the bytes that carried it.
//
// A message is scanned once. The scan says what kind of message it is and
// records the offsets of the parts a gateway may need to read or change; a
// change is a splice of those bytes (Edits), and everything else goes on as it
// came: unknown members, key order, white space and integers of any size.
//
// Two scans exist. Parse is strict and meant for what a client sends: one
// well-formed document in valid UTF-8, no duplicate or case-twisted keys where
// the gateway reads, an id that is a string or an integer. ParseServer is meant
// for what an upstream sends: the envelope is read, and the result's bytes are
// skipped structurally.
//
// The package knows no MCP method beyond the names of the members it records.
// It starts no goroutine and holds no state between calls.
package jsonrpc
