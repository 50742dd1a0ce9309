package gateway

// outlet takes messages for a client. Its methods never block: a reader of an
// upstream link calls them.
type outlet interface {
	// send queues a message and reports whether it was taken. A droppable one
	// (progress, a log line) is left out when the client reads too slowly.
	send(raw []byte, droppable bool) bool
}

// nowhere is the outlet of requests that nobody listens to.
type nowhere struct{}

func (nowhere) send([]byte, bool) bool { return false }
