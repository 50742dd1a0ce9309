package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// party is a process that takes part: an upstream, a floor, the gateway.
type party struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	out     *bufio.Reader // of its stdout, when it is one of ours
	urls    []string
	metrics string // where it says its count of allocations
	log     bytes.Buffer
}

// base is its first URL without the path.
func (p *party) base() string { return strings.TrimSuffix(p.urls[0], "/mcp") }

func (p *party) pid() int { return p.cmd.Process.Pid }

// command makes a process that ends with ctx and with bench.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	tied(cmd)
	return cmd
}

// again starts this program in another role and returns, for roles that serve
// HTTP, once it has said where it listens.
func again(ctx context.Context, r role) (*party, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args := append([]string{"-role", r.name}, r.args()...)
	p := &party{cmd: command(ctx, self, args...)}
	p.cmd.Stderr = os.Stderr
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	p.out = bufio.NewReaderSize(out, 1<<16)
	if r.name == "upstream-stdio" {
		return p, nil
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	p.urls = strings.Fields(line)
	last := len(p.urls) - 1
	p.urls, p.metrics = p.urls[:last], p.urls[last]
	return p, nil
}

func (r role) args() []string {
	return []string{
		"-listen", r.listen, "-targets", strings.Join(r.targets, ","),
		"-ports", strconv.Itoa(r.ports), "-tools", strconv.Itoa(r.tools), "-era", r.era,
	}
}

// stop ends the process and waits for it. It may be called again.
func (p *party) stop() {
	if p.stdin != nil {
		_ = p.stdin.Close()
	} else {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	late := time.AfterFunc(15*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	_ = p.cmd.Wait()
}

// kill ends the process as nothing else does, and waits for it.
func (p *party) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// ready polls a URL until it answers 200, for at most a minute.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if wait(ctx, 10*time.Millisecond); ctx.Err() != nil {
			return fmt.Errorf("%s: not ready: %w", url, ctx.Err())
		}
	}
}

// build builds the gateway of this module into dir and returns its path.
func build(ctx context.Context, dir string) (string, error) {
	out := dir + "/interlock"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "github.com/interlock-mcp/interlock/cmd/interlock")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go build (run bench in the module, or name -interlock): %w", err)
	}
	return out, nil
}
