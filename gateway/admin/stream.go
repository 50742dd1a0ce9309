package admin

import (
	"encoding/json"
	"net/http"
	"time"
)

const (
	// heartbeat is how often a silent stream says that it lives.
	heartbeat = 15 * time.Second
	// writeTime is how long a client may take to read what is written.
	writeTime = 10 * time.Second
)

// stream writes server-sent events. One goroutine uses it.
type stream struct {
	w     http.ResponseWriter
	rc    *http.ResponseController
	over  <-chan struct{} // closed when the server ends
	timer *time.Timer
}

func openStream(w http.ResponseWriter, r *http.Request) *stream {
	s := &stream{w: w, rc: http.NewResponseController(w), over: closing(r.Context()).Done()}
	writeHeader(w, http.StatusOK, "text/event-stream")
	_ = s.rc.Flush() // the client may wait for the headers
	return s
}

// beat returns a channel that receives after heartbeat without a message.
func (s *stream) beat() <-chan time.Time {
	if s.timer == nil {
		s.timer = time.NewTimer(heartbeat)
	} else {
		s.timer.Reset(heartbeat)
	}
	return s.timer.C
}

// send writes v as an event. An error means that the client is gone, or reads
// too slowly.
func (s *stream) send(id string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text := "data: " + string(data) + "\n\n"
	if id != "" {
		text = "id: " + id + "\n" + text
	}
	return s.write(text)
}

func (s *stream) ping() error { return s.write(": alive\n\n") }

func (s *stream) write(text string) error {
	_ = s.rc.SetWriteDeadline(time.Now().Add(writeTime)) // not every writer has deadlines
	if _, err := s.w.Write([]byte(text)); err != nil {
		return err
	}
	return s.rc.Flush()
}
