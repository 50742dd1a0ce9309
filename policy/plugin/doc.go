// Package plugin runs policies in processes of their own, and serves those that
// are written in Go.
//
// For the gateway, Config.New starts a program over hashicorp/go-plugin and gives a
// policy.Policy that asks it, over gRPC on a unix socket that only these two processes
// can use. One goroutine owns the process: it starts it, pings it, and starts it again
// after a delay when it has exited, hangs or no longer answers. A call is never
// kept waiting for that: while there is no plugin it is undecided at once, and it
// is undecided when its timeout is over, when the answer is too large or is not what it
// has to be. What becomes of a call that is undecided is the business of the policy's
// step in the chain. Close ends the process with all that came of it and blocks
// until nothing is left.
//
// For authors, Serve is the other end. The protocol is proto/v1/policy.proto, which
// other languages speak as well.
package plugin
