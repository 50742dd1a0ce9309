package e2e

import (
	"bytes"
	"sync"
)

// tail keeps the end of what a process printed.
type tail struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (l *tail) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	const most = 64 << 10
	n, err := l.buf.Write(p)
	if over := l.buf.Len() - most; over > 0 {
		l.buf.Next(over)
	}
	return n, err
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
