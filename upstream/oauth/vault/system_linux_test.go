package vault

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// withoutSession has the process see no D-Bus session, and a dbus-launch that tells if
// it was started.
func withoutSession(t *testing.T) (launched string) {
	t.Helper()
	if _, err := os.Stat(filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "bus")); err == nil {
		t.Skip("there is a D-Bus session here")
	}
	bin := t.TempDir()
	launched = filepath.Join(bin, "launched")
	script := "#!/bin/sh\necho > " + launched + "\nexec sleep 600\n"
	if err := os.WriteFile(filepath.Join(bin, "dbus-launch"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	return launched
}

// Where there is no D-Bus, files are used at once, and none is started for the keyring.
func TestSystemWithoutSession(t *testing.T) {
	for _, address := range []string{"", "autolaunch:", "disabled:", "unix:path=/dev/null", "unix:path=/nonexistent/bus"} {
		launched := withoutSession(t)
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
		dir := t.TempDir()
		v, err := Open(Options{Dir: dir, Patience: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		put(t, v, account("a", "", 1))
		same(t, v, account("a", "", 1))
		if _, err := os.Stat(launched); err == nil {
			t.Errorf("%q: a D-Bus was started", address)
		}
		strict, err := Open(Options{Dir: dir, Where: InKeyring, Patience: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		err = strict.Put(t.Context(), account("a", "", 2))
		if err == nil || !strings.Contains(err.Error(), "the system's keyring does not take it") {
			t.Errorf("%q: %v", address, err)
		}
		t.Log(err)
		same(t, strict, account("a", "", 1))
	}
}

// A D-Bus that accepts and says nothing is waited for as long as a keyring is, once.
func TestSystemHangs(t *testing.T) {
	withoutSession(t)
	socket := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+socket)
	v, err := Open(Options{Dir: t.TempDir(), Patience: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	put(t, v, account("a", "", 1))
	put(t, v, account("a", "", 2))
	same(t, v, account("a", "", 2))
	if v.keyring.silent.Load() != 1 {
		t.Errorf("%d calls hang", v.keyring.silent.Load())
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	for v.keyring.silent.Load() > 0 {
		if err := pause(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
