package main

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// process is an `interlock` that runs while a test goes on.
type process struct {
	t     *testing.T
	dir   string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *os.File    // where its stdout is read
	lines chan string // stdout and stderr, closed at their end
	seen  []string
	ctx   context.Context //nolint:containedctx // the process is killed when it is done
}

// lifetime is how long a process of a test may run, whatever is waited for. One wait
// is over sooner: see patient.
const lifetime = 5 * patient

// launch runs interlock in a folder of its own, whose files are given by name.
// With a separate stderr only stdout is in lines.
func launch(t *testing.T, files map[string]string, stderr io.Writer, args ...string) *process {
	t.Helper()
	return launchWith(t, nil, files, stderr, args...)
}

// launchWith is launch with more environment.
func launchWith(t *testing.T, env []string, files map[string]string, stderr io.Writer, args ...string) *process {
	t.Helper()
	dir, err := os.MkdirTemp("", "il") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, text := range files {
		put(t, filepath.Join(dir, name), text)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lifetime)
	t.Cleanup(cancel)
	p := &process{t: t, dir: dir, lines: make(chan string), ctx: ctx}
	p.cmd = exec.CommandContext(ctx, "interlock", args...)
	p.cmd.Dir = dir
	p.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_STATE_HOME=" + dir, "TMPDIR=" + dir, promptExit}
	p.cmd.Env = append(p.cmd.Env, env...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = r
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if stderr != nil {
		p.cmd.Stderr = stderr
	}
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = w.Close()
	go func() {
		defer close(p.lines)
		scanner := bufio.NewScanner(r)
		for scanner.Scan() {
			select {
			case p.lines <- scanner.Text():
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		for range p.lines { // to the end
		}
		_ = p.cmd.Wait()
		_ = r.Close()
		if t.Failed() {
			t.Logf("interlock %v wrote:\n%s", args, strings.Join(p.seen, "\n"))
		}
	})
	return p
}

// put writes a file at once: a gateway that watches it never sees half of it.
func put(t *testing.T, path, text string) {
	t.Helper()
	beside := path + ".new"
	if err := os.WriteFile(beside, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(beside, path); err != nil {
		t.Fatal(err)
	}
}

// expect reads lines until one matches and returns its groups.
func (p *process) expect(pattern string) []string {
	p.t.Helper()
	want := regexp.MustCompile(pattern)
	var found []string
	p.read(pattern, func(line string) bool {
		found = want.FindStringSubmatch(line)
		return found != nil
	})
	return found
}

// expectAll reads lines until each pattern has matched one, in whatever order.
func (p *process) expectAll(patterns ...string) {
	p.t.Helper()
	for left := patterns; len(left) > 0; {
		p.read(strings.Join(left, " or "), func(line string) bool {
			n := len(left)
			left = slices.DeleteFunc(slices.Clone(left), func(x string) bool { return regexp.MustCompile(x).MatchString(line) })
			return len(left) < n
		})
	}
}

// read reads lines until one is what is wanted, and says what was missing if none is.
func (p *process) read(what string, wanted func(line string) bool) {
	p.t.Helper()
	late := time.NewTimer(patient)
	defer late.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("interlock ended without a line like %q", what)
			}
			p.seen = append(p.seen, line)
			if wanted(line) {
				return
			}
		case <-late.C:
			p.t.Fatalf("no line like %q in time", what)
		}
	}
}

// say writes a line to its stdin.
func (p *process) say(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// wait reads what is left and returns the exit code.
func (p *process) wait() int {
	p.t.Helper()
	for line := range p.lines {
		p.seen = append(p.seen, line)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// wrote tells whether a line was written by now.
func (p *process) wrote(pattern string) bool {
	want := regexp.MustCompile("(?m)" + pattern)
	return want.MatchString(strings.Join(p.seen, "\n"))
}
