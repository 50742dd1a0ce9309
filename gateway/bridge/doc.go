// Package bridge carries a client on stdio to a gateway that runs elsewhere, over
// a connection that may be lost and made again: the client does not notice that
// the gateway was restarted, but for calls that were under way.
//
// Messages are carried as bytes. A Bridge reads of them what it needs to know
// whose they are (kind, id, method), remembers what a new gateway must be told
// of the client, and answers what no gateway will answer any more.
//
// Run owns all goroutines. What it guarantees: every request of the client gets
// one answer; a request is sent to a second gateway only if it certainly did not
// run in the first, or if it changes nothing. What it does not: that messages
// that need no answer survive the loss of a connection.
package bridge
