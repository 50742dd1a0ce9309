package admin

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// socketName and tokenName are files in state_dir.
const (
	socketName = "admin.sock"
	tokenName  = "admin.token"
)

// ErrInUse is wrapped by Listen's error when a gateway already listens there.
var ErrInUse = errors.New("in use")

// Listener is an open admin address.
type Listener struct {
	net.Listener
	// Target is what a Client is given to reach it: "unix:/path" or "host:port".
	Target string
	token  string // "" on a unix socket
	socket string
	inode  os.FileInfo
}

// Listen opens the admin address: for listen "" a unix socket in stateDir, for
// "unix:/path" one there, else a loopback host:port. A unix socket has mode
// 0600; one left behind by a dead gateway is replaced. On TCP, token "" means
// the one kept in stateDir, which is made when absent.
//
// The error says how to mend it, and wraps ErrInUse when a living process
// listens there.
func Listen(listen, token, stateDir string) (*Listener, error) {
	if path, ok := socketPath(listen, stateDir); ok {
		return listenUnix(path)
	}
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, fmt.Errorf("admin.listen %q: want host:port, for instance 127.0.0.1:7778", listen)
	}
	if ip, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !ip.Unmap().IsLoopback()) {
		return nil, fmt.Errorf("admin.listen %q: the admin API is served to this machine only: use 127.0.0.1 or a unix socket", listen)
	}
	if token == "" {
		if token, err = ensureToken(filepath.Join(stateDir, tokenName)); err != nil {
			return nil, fmt.Errorf("admin token: %w", err)
		}
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		if addressInUse(err) {
			return nil, fmt.Errorf("admin.listen %s is %w by another program: choose another port", listen, ErrInUse)
		}
		return nil, fmt.Errorf("admin.listen %s: %w", listen, err)
	}
	return &Listener{Listener: l, Target: l.Addr().String(), token: token}, nil
}

// socketPath returns the unix socket that listen means, and whether it means one.
func socketPath(listen, stateDir string) (string, bool) {
	if listen == "" {
		return filepath.Join(stateDir, socketName), true
	}
	return strings.CutPrefix(listen, "unix:")
}

// maxSocketPath is the longest path of a unix socket that all systems take
// (macOS has 104 bytes with the ending NUL), less the suffix of listenUnix.
const maxSocketPath = 103 - len(".new")

func tooLong(path string) error {
	return fmt.Errorf("admin socket %s: the path is longer than the %d bytes a unix socket may have", path, maxSocketPath)
}

// CheckSocket returns an error if the path of the admin socket in stateDir is
// longer than a socket's may be.
func CheckSocket(stateDir string) error {
	if path, _ := socketPath("", stateDir); len(path) > maxSocketPath {
		return tooLong(path)
	}
	return nil
}

// listenUnix binds beside path, sets the mode and moves the socket there, so
// that there is no moment at which others could connect, and none at which a
// client finds the socket of nobody.
func listenUnix(path string) (*Listener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("%w: set a shorter state_dir, or admin.listen: 127.0.0.1:7778", tooLong(path))
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, unwritable(path, err)
	}
	if err := mayReplace(path); err != nil {
		return nil, err
	}
	temp := path + ".new"
	_ = os.Remove(temp) // of a gateway that died between the two steps
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: temp, Net: "unix"})
	if err != nil {
		return nil, unwritable(path, err)
	}
	l.SetUnlinkOnClose(false) // it would unlink temp
	if err = os.Chmod(temp, 0o600); err == nil {
		err = os.Rename(temp, path)
	}
	var inode os.FileInfo
	if err == nil {
		inode, err = os.Lstat(path)
	}
	if err != nil {
		_ = l.Close()
		_ = os.Remove(temp)
		return nil, fmt.Errorf("admin socket: %w", err)
	}
	return &Listener{Listener: l, Target: "unix:" + path, socket: path, inode: inode}, nil
}

// unwritable is the error of a folder that cannot be made or written to.
func unwritable(path string, err error) error {
	return fmt.Errorf("admin socket: %w: set state_dir (now %s) to a folder that may be written to", err, filepath.Dir(path))
}

// mayReplace returns nil if path is free, or a socket that nobody listens on.
func mayReplace(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	if info.Mode().IsRegular() || info.IsDir() {
		return fmt.Errorf("admin socket %s: a file that is no socket is in its place: move it away", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second) //nolint:noctx // it has its time limit
	if err != nil {
		return nil //nolint:nilerr // nobody listens: the socket is free
	}
	_ = c.Close()
	return fmt.Errorf("admin socket %s is %w: a gateway already runs with this state_dir: stop it, or give this one a state_dir of its own", path, ErrInUse)
}

// Close stops listening and removes the socket, if it is still this one's.
func (l *Listener) Close() error {
	if l.socket != "" {
		if now, err := os.Lstat(l.socket); err == nil && os.SameFile(now, l.inode) {
			_ = os.Remove(l.socket)
		}
	}
	return l.Listener.Close()
}
