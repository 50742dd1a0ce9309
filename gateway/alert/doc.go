// Package alert tells webhooks that something changed for the worse or the
// better: a POST of a small JSON object for each change, tried again when the
// receiver is in trouble.
//
// A Sender has a queue and a goroutine for each webhook, all owned by Run, so
// that a receiver that hangs delays nothing and nobody: Send never blocks. The
// alerts of one webhook arrive in the order in which they were sent, each at
// least once while its receiver can be reached within the attempts there are,
// and, since an answer can be lost, now and then twice under the same id. What
// overflows a queue is lost, counted and logged; nothing survives the process.
//
// No text of this package holds a webhook's address beyond its host: the path
// is a secret at many receivers.
package alert
