package upstream

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const (
	// lastWords is how long after a child's end its pipes are read on, if
	// something else holds them open.
	lastWords = 500 * time.Millisecond
	// leftovers is how long what a child left behind has between TERM and KILL.
	leftovers = 500 * time.Millisecond
	// killWait is how long to wait for what was killed.
	killWait = 3 * time.Second
)

// process is a child process in a group of its own, with its pipes.
type process struct {
	pid                   int
	stdin, stdout, stderr *os.File
	tree                  *tree
	container             *container // that it runs, nil for none

	exited chan struct{} // closed when the child has ended and is reaped
	exit   string        // "exit status 3", "signal: killed"; set before exited is closed
}

// startProcess starts the configured command with env as its whole environment.
// Everything that comes of it carries the marker.
func startProcess(c *Config, env []string, marker string) (*process, error) {
	path, err := findCommand(c.Command, c.Cwd, lookupEnv(env, "PATH"))
	if err != nil {
		return nil, err
	}
	if c.Cwd != "" {
		if info, err := os.Stat(c.Cwd); err != nil || !info.IsDir() {
			return nil, fmt.Errorf("cwd %s is not a directory", c.Cwd)
		}
	}
	var ends [3]struct{ ours, theirs *os.File }
	closeAll := func() {
		for _, e := range ends {
			_ = e.ours.Close() // nil files only say so
			_ = e.theirs.Close()
		}
	}
	for i := range ends {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll()
			return nil, err
		}
		ends[i].ours, ends[i].theirs = r, w
	}
	ends[0].ours, ends[0].theirs = ends[0].theirs, ends[0].ours // stdin: we write

	cmd := &exec.Cmd{
		Path: path, Args: append([]string{c.Command}, c.Args...), Env: env, Dir: c.Cwd,
		Stdin: ends[0].theirs, Stdout: ends[1].theirs, Stderr: ends[2].theirs,
	}
	prepare(cmd)
	if err := cmd.Start(); err != nil {
		closeAll()
		return nil, err
	}
	for _, e := range ends {
		_ = e.theirs.Close()
	}
	p := &process{
		pid: cmd.Process.Pid, stdin: ends[0].ours, stdout: ends[1].ours, stderr: ends[2].ours,
		exited: make(chan struct{}),
	}
	tree, err := newTree(p.pid, marker)
	p.tree = tree
	if err != nil {
		_ = cmd.Process.Kill()
	}
	go p.wait(cmd)
	if err != nil {
		<-p.exited
		p.close()
		return nil, err
	}
	return p, nil
}

// Program returns the path of the command that a child would run if environ were
// the environment of this process.
func (c *Config) Program(environ []string) (string, error) {
	return findCommand(c.Command, c.Cwd, lookupEnv(childEnv(environ, c.PassEnv, c.Env, ""), "PATH"))
}

// findCommand returns the path of a command as the child's own PATH gives it.
func findCommand(command, cwd, path string) (string, error) {
	if strings.ContainsRune(command, filepath.Separator) || strings.ContainsRune(command, '/') {
		if !filepath.IsAbs(command) { // from where the child begins
			abs, err := filepath.Abs(filepath.Join(cwd, command))
			if err != nil {
				return "", err
			}
			command = abs
		}
		return exec.LookPath(command)
	}
	for _, dir := range filepath.SplitList(path) {
		if filepath.IsAbs(dir) {
			if found, err := exec.LookPath(filepath.Join(dir, command)); err == nil {
				return found, nil
			}
		}
	}
	return "", fmt.Errorf("command %q was not found in PATH (%s)", command, path)
}

// wait reaps the child, and sees to it that the reading of its stdout ends even
// if a grandchild holds the pipe.
func (p *process) wait(cmd *exec.Cmd) {
	err := cmd.Wait()
	if cmd.ProcessState != nil {
		p.exit = cmd.ProcessState.String()
	} else {
		p.exit = err.Error()
	}
	if errors.Is(p.stdout.SetReadDeadline(time.Now().Add(lastWords)), os.ErrNoDeadline) && p.tree != nil {
		p.tree.signal(syscall.SIGKILL)
	}
	close(p.exited)
}

// patience says how long a stop waits at each step.
type patience struct {
	stdin time.Duration // after stdin was closed
	term  time.Duration // after SIGTERM
}

// stop ends the child and all that came of it and blocks until nothing is left:
// stdin is closed, then TERM, then KILL to the group and to what escaped it, and
// the container that it ran is removed. Once force is closed it waits for nothing
// but the effect of KILL.
func (p *process) stop(wait patience, force <-chan struct{}) StopKind {
	kind := p.end(wait, force)
	if p.container != nil {
		p.container.remove(force)
	}
	return kind
}

// end ends the processes.
func (p *process) end(wait patience, force <-chan struct{}) StopKind {
	closed := make(chan struct{})
	go func() { // on Windows it waits for a write, which only the child's end may end
		_ = p.stdin.Close()
		close(closed)
	}()
	defer func() { <-closed }()
	kind := Graceful
	if !until(p.exited, wait.stdin, force) {
		kind = Terminated
		p.tree.signal(syscall.SIGTERM)
		if !until(p.exited, wait.term, force) {
			kind = Killed
		}
	}
	if kind != Killed && p.tree.signal(syscall.SIGTERM) > 0 {
		p.poll(0, min(leftovers, wait.term), force)
	}
	if !p.poll(syscall.SIGKILL, killWait, nil) || !until(p.exited, killWait, nil) {
		return Survived
	}
	return kind
}

// poll sends sig to the tree again and again until nothing of it lives. Only
// children can be waited for, and what a child left behind is none.
func (p *process) poll(sig syscall.Signal, limit time.Duration, force <-chan struct{}) bool {
	end := time.Now().Add(limit)
	for pause := time.Millisecond; p.tree.signal(sig) > 0; pause = min(2*pause, 50*time.Millisecond) {
		if time.Now().After(end) || until(force, pause, nil) {
			return false
		}
	}
	return true
}

// until reports whether done was closed before d was over or force was closed.
func until(done <-chan struct{}, d time.Duration, force <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-done:
		return true
	case <-t.C:
	case <-force:
	}
	return false
}

// close closes what is still open of the pipes, which ends their reading.
func (p *process) close() {
	_ = p.stdin.Close()
	_ = p.stdout.Close()
	_ = p.stderr.Close()
	if p.tree != nil {
		p.tree.close()
	}
}
