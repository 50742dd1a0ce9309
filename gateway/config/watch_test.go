package config

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
)

// watching starts a Watch and returns a function that waits for a change, and
// one that waits for a comparison that must find none.
func watching(t *testing.T, file ...string) (wait, none func(what string)) {
	t.Helper()
	changes := make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	compared := make(chan bool, 100) // whether there was a change
	changed := false                 // of Watch's goroutine
	go func() {
		// An hour: no sweep finds what no event told of.
		done <- watch(ctx, file, time.Hour,
			func() { changes <- struct{}{}; changed = true },
			func() { compared <- changed; changed = false })
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if len(changes) > 0 {
			t.Errorf("%d changes too many", len(changes))
		}
	})
	<-compared
	wait = func(what string) {
		t.Helper()
		// A comparison between two writes may see neither or the first.
		late := time.After(time.Minute)
		for {
			select {
			case c := <-compared:
				if c {
					<-changes
					return
				}
			case <-late:
				t.Fatalf("%s: no change", what)
			}
		}
	}
	none = func(what string) {
		t.Helper()
		select {
		case c := <-compared:
			if c {
				<-changes
				t.Errorf("%s: called a change", what)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s: not compared", what)
		}
	}
	return wait, none
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// overwrite changes a file that is there in one step: one that is empty for a moment
// is another change if the moment is long.
func overwrite(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// move writes a file elsewhere and moves it to where it belongs.
func move(t *testing.T, path, text string) {
	t.Helper()
	elsewhere := filepath.Join(t.TempDir(), "new")
	write(t, elsewhere, text)
	if err := os.Rename(elsewhere, path); err != nil {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "c.yaml")
	write(t, file, "one")
	wait, none := watching(t, file)

	overwrite(t, file, "two")
	wait("written")

	write(t, file+".new", "three")
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
	wait("replaced")

	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	move(t, file, "four")
	wait("deleted and made anew")

	write(t, filepath.Join(dir, "other"), "x")
	none("a file beside it")
	if err := os.Chtimes(file, time.Now(), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	none("touched")
}

// TestWatchKubernetes swaps a mounted ConfigMap as the kubelet does.
func TestWatchKubernetes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no symbolic links without privileges")
	}
	dir := t.TempDir()
	mount := func(version, text string) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(dir, version), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, version, "c.yaml"), text)
		if err := os.Symlink(version, filepath.Join(dir, "..data_tmp")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, "..data")); err != nil {
			t.Fatal(err)
		}
	}
	mount("..one", "one")
	file := filepath.Join(dir, "c.yaml")
	if err := os.Symlink(filepath.Join("..data", "c.yaml"), file); err != nil {
		t.Fatal(err)
	}
	wait, _ := watching(t, file)
	mount("..two", "two")
	wait("first swap")
	mount("..three", "three")
	wait("second swap")
}

// TestWatchLinkedElsewhere follows a link to a file in another folder.
func TestWatchLinkedElsewhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no symbolic links without privileges")
	}
	target, link := filepath.Join(t.TempDir(), "real.yaml"), filepath.Join(t.TempDir(), "c.yaml")
	write(t, target, "one")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	wait, _ := watching(t, link)
	overwrite(t, target, "two")
	wait("the target was written")
}
