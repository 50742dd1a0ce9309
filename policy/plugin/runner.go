package plugin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

const (
	// maxHello is how long the first line of a plugin may be: it has a certificate.
	maxHello = 16 << 10
	// grace is how long a plugin has between being asked to end and KILL.
	grace = 2 * time.Second
)

// runner starts the process for go-plugin, which reads no more of it than the first
// line of its stdout: of what comes later one line of the wrong JSON would end this
// process with a panic, and one that is too long would block the plugin.
type runner struct {
	cmd   *exec.Cmd
	spawn func(*exec.Cmd) (policy.Process, error)
	dir   string // of its sockets
	said  *lines
	hello *io.PipeReader // the first line of stdout
	quiet chan struct{}  // closed at the end of stdout, before that of hello
	gone  chan struct{}  // closed when nothing of it is left

	mu     sync.Mutex     // guards the rest
	proc   policy.Process // nil before Start
	killed bool
	ended  string // how it ended, if that was before it was killed
}

var errKilled = errors.New("it was stopped before it began")

// Start starts it, unless it was killed before.
func (r *runner) Start(context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.killed {
		return errKilled
	}
	out, outEnd, err := os.Pipe()
	if err != nil {
		return err
	}
	defer outEnd.Close()
	errs, errsEnd, err := os.Pipe()
	if err != nil {
		out.Close()
		return err
	}
	defer errsEnd.Close()
	r.cmd.Stdout, r.cmd.Stderr = outEnd, errsEnd
	proc, err := r.spawn(r.cmd)
	if err != nil {
		out.Close()
		errs.Close()
		return err
	}
	r.proc = proc
	var first *io.PipeWriter
	r.hello, first = io.Pipe()
	read := make(chan struct{}, 2)
	go func() {
		defer func() { read <- struct{}{} }()
		r.readOut(out, first)
	}()
	go func() {
		defer func() { read <- struct{}{} }()
		r.said.drain(errs)
		errs.Close()
	}()
	go func() { // what it left behind goes with it, and the ends of the pipes with that
		<-proc.Exited()
		proc.Stop(grace)
		<-read
		<-read
		close(r.gone)
	}()
	return nil
}

// readOut gives the first line to go-plugin and logs the rest.
func (r *runner) readOut(out *os.File, first *io.PipeWriter) {
	defer out.Close()
	in := bufio.NewReaderSize(out, maxHello)
	line, err := in.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		_, _ = first.Write(line)
	}
	if errors.Is(err, io.EOF) {
		close(r.quiet)
	}
	_ = first.Close()
	(&lines{log: r.said.log, limit: r.said.limit}).drain(in)
	if !errors.Is(err, io.EOF) {
		close(r.quiet)
	}
}

// PluginToHost refuses all addresses but sockets in the folder that was made for
// them, which others cannot enter.
func (r *runner) PluginToHost(network, address string) (string, string, error) {
	if runtime.GOOS == "windows" {
		if host, _, err := net.SplitHostPort(address); network != "tcp" || err != nil || host != "127.0.0.1" {
			return "", "", fmt.Errorf("the plugin says that it listens on %s %q, and not on tcp 127.0.0.1", network, address)
		}
		return network, address, nil
	}
	if network != "unix" || filepath.Dir(filepath.Clean(address)) != filepath.Clean(r.dir) {
		return "", "", fmt.Errorf("the plugin says that it listens on %s %q, and not on a unix socket in the folder of PLUGIN_UNIX_SOCKET_DIR", network, address)
	}
	return network, address, nil
}

// HostToPlugin is for connections that a plugin makes, and none does.
func (r *runner) HostToPlugin(network, address string) (string, string, error) {
	return network, address, nil
}

// Wait blocks until the process has ended, with all that came of it.
func (r *runner) Wait(context.Context) error {
	<-r.gone
	return nil
}

// lastMoment is how long one has to end by itself, so that it can be said how it did,
// and endTime how long if it has closed its stdout: it is ending, most likely, and on a
// busy machine that is known late.
const lastMoment, endTime = 50 * time.Millisecond, time.Second

// Kill ends it at once, or keeps it from being started.
func (r *runner) Kill(context.Context) error {
	r.stop(0)
	return nil
}

// stop asks it to end, kills it after wait, and blocks until nothing of it is left.
func (r *runner) stop(wait time.Duration) {
	r.mu.Lock()
	proc, first := r.proc, !r.killed
	r.killed = true
	r.mu.Unlock()
	if proc == nil {
		return
	}
	if first {
		r.settle(proc, wait)
	}
	proc.Stop(wait)
	<-r.gone
}

// settle gives one that is ending the time to, and keeps how it ended. Who is about to
// ask it to end has no need to know.
func (r *runner) settle(proc policy.Process, wait time.Duration) {
	ended := exits(proc, lastMoment)
	select {
	case <-r.quiet:
		ended = ended || wait == 0 && exits(proc, endTime-lastMoment)
	default:
	}
	if ended {
		r.mu.Lock()
		r.ended = proc.Exit()
		r.mu.Unlock()
	}
}

// exits reports whether the process ends within d.
func exits(proc policy.Process, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-proc.Exited():
		return true
	case <-t.C:
		return false
	}
}

// how says how it ended, "" if it was killed or lives.
func (r *runner) how() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ended
}

// process is nil before Start.
func (r *runner) process() policy.Process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proc
}

// ID is the process id, "" before Start.
func (r *runner) ID() string {
	if proc := r.process(); proc != nil {
		return strconv.Itoa(proc.PID())
	}
	return ""
}

// Stdout is the first line; Stderr is empty, since all of it is read here.
func (r *runner) Stdout() io.ReadCloser { return r.hello }

func (r *runner) Stderr() io.ReadCloser { return io.NopCloser(eof{}) }

func (r *runner) Name() string { return r.cmd.Path }

func (r *runner) Diagnose(context.Context) string { return "" }

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
