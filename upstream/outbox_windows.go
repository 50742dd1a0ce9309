package upstream

// try writes nothing: a pipe that never waits is not to be had here.
func (o *outbox) try() (n int, err error) { return 0, nil }

func (o *outbox) writeOnce(uintptr) bool { return true }
