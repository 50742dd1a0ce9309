package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

const (
	maxFile    = 16 << 20 // bytes of a file that is read
	unfinished = ".new-"  // how files begin that are being written
	lookAgain  = 20 * time.Millisecond
)

// makePrivate makes a folder that nobody else can read. The error says how to mend one
// that others can.
func makePrivate(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("folder of sign-ins: %w", err)
	}
	return checkPrivate(dir)
}

// readPrivate reads a file of a folder. The error wraps fs.ErrNotExist, or says how to
// mend what others can read.
func readPrivate(dir, file string) ([]byte, error) {
	for _, p := range []string{dir, file} {
		if err := checkPrivate(p); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = fmt.Errorf("%s is larger than 16 MiB", file)
	}
	return b, err
}

// replace writes a file anew: after a crash there is the old one or the new one, whole.
// The caller has the lock.
func replace(file string, content []byte) error {
	dir := filepath.Dir(file)
	f, err := os.CreateTemp(dir, unfinished+"*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("%s is not written: %w", file, err)
	}
	return syncFolder(dir)
}

// lockFile locks a file, which it makes, and blocks while another has it, of this
// process or of another, or until ctx is done. The system unlocks it at the end of the
// process, whatever its end.
func lockFile(ctx context.Context, file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of sign-ins: %w", err)
	}
	for {
		free, err := tryLock(f)
		if free {
			return func() { _ = f.Close() }, nil
		}
		if err == nil {
			err = pause(ctx)
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("%s is locked by another Interlock, or cannot be: %w", file, err)
		}
	}
}

// pause blocks for a moment; the error is that of ctx.
func pause(ctx context.Context) error {
	t := time.NewTimer(lookAgain)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
