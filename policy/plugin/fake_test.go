//go:build unix

package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// deaf is a plugin that ends neither when it is told to nor with TERM.
var deaf atomic.Bool

// fake is a plugin that does what the name of the tool tells it to.
func fake() Spec {
	return Spec{Name: "fake", Version: "1.2.3", Definitions: true, New: func(raw []byte) (*Hooks, error) {
		var c struct {
			Hooks string
			Bad   bool
			Late  string // has it read its own section late
			Deaf  bool   // to TERM
			Link  string // what its socket is linked to, which is removed
		}
		if err := json.Unmarshal(raw, &c); err != nil {
			return nil, err
		}
		if c.Bad {
			return nil, errors.Join(
				&policy.FieldError{Path: []string{"hours", "from"}, Text: "must be a time", Mend: "write 08:30"},
				errors.New("and more"))
		}
		if c.Deaf {
			signal.Ignore(syscall.SIGTERM)
			deaf.Store(true)
		}
		if c.Link != "" {
			sockets, _ := filepath.Glob(os.Getenv("PLUGIN_UNIX_SOCKET_DIR") + "/*")
			if len(sockets) != 1 {
				return nil, fmt.Errorf("sockets %v", sockets)
			}
			if err := os.Link(sockets[0], c.Link); err != nil {
				return nil, err
			}
		}
		if c.Late != "" {
			select {}
		}
		h := &Hooks{Before: before, After: after, Received: received}
		if c.Hooks != "" {
			if !strings.Contains(c.Hooks, "b") {
				h.Before = nil
			}
			if !strings.Contains(c.Hooks, "a") {
				h.After = nil
			}
			if !strings.Contains(c.Hooks, "r") {
				h.Received = nil
			}
		}
		return h, nil
	}}
}

func before(ctx context.Context, c *Call) error {
	switch c.Target {
	case "deny":
		c.Annotate("why", "it was told to")
		return &policy.Denial{Reason: "not today.", RetryAfter: 1500 * time.Millisecond}
	case "change":
		c.SetArguments([]byte(`{"n":12345678901234567890, "ü":1.0}`))
	case "note":
		c.Annotate("seen", "yes")
	case "tell": // all it was told, in the place of the arguments
		all, err := json.Marshal(struct {
			*Call
			Arguments string
			Raw       string
		}{c, string(c.Arguments), string(c.Definition.Raw)})
		if err != nil {
			return err
		}
		c.SetArguments(all)
	case "environ":
		all, err := json.Marshal(map[string]any{"environ": os.Environ()})
		if err != nil {
			return err
		}
		c.SetArguments(all)
	case "pid":
		return &policy.Denial{Reason: fmt.Sprint(os.Getpid())}
	case "broken":
		c.SetArguments([]byte(`{"a":1,"a":2}`))
	case "list":
		c.SetArguments([]byte(`[]`))
	case "error":
		return errors.New("no idea")
	case "panic":
		panic("boom")
	case "crash":
		go panic("boom")
		select {}
	case "exit":
		os.Exit(3)
	case "hang":
		select {}
	case "slow":
		<-ctx.Done()
		<-time.After(100 * time.Millisecond)
	case "huge":
		c.SetArguments(bytes.Join([][]byte{[]byte(`{"a":"`), bytes.Repeat([]byte("x"), 100<<20), []byte(`"}`)}, nil))
	case "stop": // the whole process, as a debugger does
		_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		select {} // it takes a moment to reach all threads
	case "cut":
		cut()
		select {}
	case "flood":
		flood(64 << 20)
	case "poison": // what ends a host that has go-plugin read stderr
		for range 100 {
			fmt.Fprintln(os.NewFile(2, ""), `{"@message":1,"@level":2}`)
		}
	case "fork":
		return &policy.Denial{Reason: fork()}
	}
	return nil
}

func after(_ context.Context, c *Call, a *Answer) error {
	switch c.Target {
	case "after-deny":
		return &policy.Denial{Reason: "no such answer"}
	case "after-change":
		a.Replace([]byte(`{"content":[],"n":12345678901234567890}`))
	case "after-tell":
		return &policy.Denial{Reason: fmt.Sprintf("%s|%s|%s", a.Result, a.Failure, c.Arguments)}
	case "after-id":
		return &policy.Denial{Reason: fmt.Sprint(c.ID)}
	case "after-broken":
		a.Replace([]byte(`nonsense`))
	}
	return nil
}

func received(_ context.Context, m *ServerMessage) error {
	if bytes.Contains(m.Params, []byte("secret")) {
		return &policy.Denial{Reason: "a secret"}
	}
	if bytes.Contains(m.Params, []byte("change")) {
		m.Replace([]byte(`{"changed":true}`))
	}
	return nil
}

// cut closes all sockets of the process, and nothing else.
func cut() {
	for fd := 3; fd < 64; fd++ {
		if to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && strings.HasPrefix(to, "socket:") {
			_ = syscall.Shutdown(fd, syscall.SHUT_RDWR)
		}
	}
}

func flood(n int) {
	w := os.NewFile(2, "")
	junk := bytes.Repeat([]byte("\x1b[2Jxyz\x00\xff"), 6<<10)
	for n > 0 {
		m, err := w.Write(junk)
		if err != nil {
			return
		}
		n -= m
	}
}

// fork starts a child, one that leaves the group and one that holds the pipes, and
// says their ids.
func fork() string {
	var pids []string
	for _, own := range []bool{false, true} {
		cmd := exec.Command("/bin/sleep", "1000")
		cmd.Stdout, cmd.Stderr = os.NewFile(1, ""), os.NewFile(2, "")
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: own}
		if err := cmd.Start(); err != nil {
			return err.Error()
		}
		pids = append(pids, fmt.Sprint(cmd.Process.Pid))
	}
	return strings.Join(pids, " ")
}

// lieMain is a plugin that lies in the handshake.
func lieMain(lie string) int {
	dir := os.Getenv("PLUGIN_UNIX_SOCKET_DIR")
	hello := map[string]string{
		"nonsense": "hello, world\n",
		"no line":  strings.Repeat("x", 1<<20),
		"core":     "9|1|unix|" + dir + "/s|grpc|\n",
		"version":  "1|9|unix|" + dir + "/s|grpc|\n",
		"netrpc":   "1|1|unix|" + dir + "/s|netrpc|\n",
		"tcp":      "1|1|tcp|127.0.0.1:22|grpc|\n",
		"outside":  "1|1|unix|/var/run/docker.sock|grpc|\n",
		"above":    "1|1|unix|" + dir + "/../s|grpc|\n",
		"nobody":   "1|1|unix|" + dir + "/s|grpc|\n",
		"cert":     "1|1|unix|" + dir + "/s|grpc|" + strings.Repeat("A", 100) + "\n",
	}
	switch lie {
	case "silent":
	case "exit":
		fmt.Fprintln(os.Stderr, "I have no licence")
		return 7
	case "heir": // something holds its stdout when it ends
		fork()
		return 7
	case "mute": // it listens, and answers nobody
		l, err := net.Listen("unix", dir+"/s")
		if err != nil {
			return 1
		}
		defer l.Close()
		fmt.Print("1|1|unix|" + dir + "/s|grpc|\n")
	default:
		fmt.Print(hello[lie])
	}
	select {}
}
