package gateway

// outlet takes messages for a client. Its methods never block: a reader of an
// upstream link calls them.
type outlet interface {
	// send queues a message and reports whether it was taken.
	send(raw []byte, w weight) bool
}

// weight says what becomes of a message for a client that reads too slowly.
type weight uint8

const (
	optional  weight = iota // progress, a log line: left out
	needed                  // a question, its withdrawal: refused when very many wait
	answering               // an answer: taken whatever waits
)

// nowhere is the outlet of requests that nobody listens to.
type nowhere struct{}

func (nowhere) send([]byte, weight) bool { return false }
