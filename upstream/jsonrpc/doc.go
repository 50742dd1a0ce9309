// Package jsonrpc treats one JSON-RPC 2.0 message as the bytes that carried it.
//
// A message is scanned once. The scan says what kind of message it is and
// records the offsets of the parts a gateway may need to read or change; a
// change is a splice of those bytes (Edits), and everything else goes on as it
// came: unknown members, key order, white space and integers of any size.
//
// Two scans exist. Parse is strict and meant for what a client sends: one
// well-formed document in valid UTF-8 that no two readers can read differently,
// with an id that is a string or an integer. ParseServer is meant for what an
// upstream sends: the envelope is read, and of the result only the grammar; what
// its strings hold is carried, not judged. Neither allocates unless it refuses,
// or objects have many keys.
//
// LineReader and EventReader read messages off a stream and never hold more of
// one than their cap.
//
// The package knows no MCP method; it knows the names of the members it records
// and, so that naming a method costs nothing, the usual methods' names. It starts
// no goroutine and keeps no state between calls but a pool of buffers.
package jsonrpc
