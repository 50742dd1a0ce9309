package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

// logName is the log in state_dir of a gateway in the background.
const logName = "gateway.log"

// maxLog is the size in bytes at which a log is set aside, as NAME.1, in the
// place of the one before.
const maxLog = 4 << 20

// logFile is a log that does not grow for ever. It is safe for concurrent use.
type logFile struct {
	path string

	mu   sync.Mutex // guards the rest
	file *os.File
	size int64 // when it was opened, and what was written here since
}

// openLog opens the log at path to append to it.
func openLog(path string) (*logFile, error) {
	l := &logFile{path: path}
	if err := l.open(); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	if l.size > maxLog {
		if err := l.setAside(); err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
	}
	return l, nil
}

func (l *logFile) open() error {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// setAside begins a new file. The caller holds mu, or is alone.
func (l *logFile) setAside() error {
	// Windows renames no open file.
	_ = l.file.Close()
	if err := os.Rename(l.path, l.path+".1"); err != nil {
		_ = os.Truncate(l.path, 0)
	}
	return l.open()
}

// Write appends p, in a new file if this one is full.
func (l *logFile) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.size+int64(len(p)) > maxLog {
		if err := l.setAside(); err != nil {
			return 0, err
		}
	}
	n, err := l.file.Write(p)
	l.size += int64(n)
	return n, err
}

// since returns the lines that anybody wrote from the offset on.
func (l *logFile) since(offset int64) []string {
	raw, err := io.ReadAll(io.NewSectionReader(l.file, offset, maxLog))
	if err != nil || len(raw) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(raw), "\n"), "\n")
}

func (l *logFile) Close() error { return l.file.Close() }
