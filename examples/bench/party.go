package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// party is a process that takes part: an upstream, a proxy, the gateway.
type party struct {
	cmd   *exec.Cmd
	stdin io.Closer
	url   string
}

// again starts this program in another role and returns once it has said where
// it listens.
func again(ctx context.Context, role, addr string) (*party, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-role", role, "-addr", addr)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &party{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		p.stop()
		return nil, fmt.Errorf("%s: %w", role, err)
	}
	p.url = strings.TrimSpace(line)
	return p, nil
}

// stop ends the process and waits for it.
func (p *party) stop() {
	if p.stdin != nil {
		_ = p.stdin.Close()
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.cmd.Wait()
}

// gateway starts `interlock serve` in dir in front of both upstreams and returns
// once it is ready.
func gateway(ctx context.Context, dir, binary, upstream string) (*party, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr := l.Addr().String()
	_ = l.Close()
	config, err := json.Marshal(map[string]any{
		"server":    map[string]any{"listen": addr},
		"state_dir": filepath.Join(dir, "state"),
		"telemetry": map[string]any{"logs": map[string]any{"level": "warn"}},
		"upstreams": map[string]any{
			"http":  map[string]any{"url": upstream, "required": true},
			"stdio": map[string]any{"command": self, "args": []string{"-role", "upstream-stdio"}, "required": true},
		},
	})
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "interlock.json")
	if err := os.WriteFile(file, config, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "-c", file)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &party{cmd: cmd, url: "http://" + addr + "/mcp"}
	if err := ready(ctx, "http://"+addr+"/readyz"); err != nil {
		p.stop()
		return nil, fmt.Errorf("interlock serve: %w\n%s", err, &log)
	}
	return p, nil
}

// ready polls a URL until it answers 200, for at most 20 seconds.
func ready(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	client := new(http.Client)
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
		select {
		case <-retry.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: not ready: %w", url, ctx.Err())
		}
	}
}

// session begins an MCP session and returns its id, "" if the server has none.
func session(ctx context.Context, url string) (string, error) {
	post := func(id, body string) (http.Header, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		if id != "" {
			req.Header.Set("Mcp-Session-Id", id)
			req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		}
		res, err := new(http.Client).Do(req)
		if err != nil {
			return nil, err
		}
		defer res.Body.Close()
		if text, _ := io.ReadAll(res.Body); res.StatusCode/100 != 2 {
			return nil, fmt.Errorf("%s: %s: %.300s", url, res.Status, text)
		}
		return res.Header, nil
	}
	header, err := post("", `{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`)
	if err != nil {
		return "", err
	}
	id := header.Get("Mcp-Session-Id")
	_, err = post(id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return id, err
}

// build builds the gateway of this module into dir and returns its path.
func build(ctx context.Context, dir string) (string, error) {
	out := filepath.Join(dir, "interlock")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", out, "github.com/interlock-mcp/interlock/cmd/interlock")
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("go build (run bench in the module, or name -interlock): %w", err)
	}
	return out, nil
}
