package gateway

import (
	"context"
	"sync"
)

// maxLane is how many notifications of one client may wait for one upstream.
const maxLane = 256

// lane is what a client said to one upstream outside of requests and what has
// not gone there yet: answers to its questions, progress on them. It goes in
// order. Neither the client's reader nor another upstream waits for one that
// is slow to take it.
type lane []func(context.Context)

// toward has f tell the upstream something, after what was told before. f has
// answerTimeout. It does not block; told is done when f is.
func (s *session) toward(up string, told *sync.WaitGroup, f func(context.Context)) {
	told.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	l, busy := s.lanes[up]
	if s.lanes == nil {
		s.lanes = make(map[string]lane)
	}
	s.lanes[up] = append(l, func(ctx context.Context) { defer told.Done(); f(ctx) })
	if !busy {
		go s.drive(up)
	}
}

// crowded reports whether so much waits for the upstream that a notification is
// better dropped. Answers never are: there are no more than questions.
func (s *session) crowded(up string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.lanes[up]) >= maxLane
}

// drive empties the lane and ends.
func (s *session) drive(up string) {
	for {
		s.mu.Lock()
		l := s.lanes[up]
		if len(l) == 0 {
			delete(s.lanes, up)
			s.mu.Unlock()
			return
		}
		f := l[0]
		s.lanes[up] = l[1:]
		s.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), answerTimeout)
		f(ctx)
		cancel()
	}
}
