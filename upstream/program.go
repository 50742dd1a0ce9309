package upstream

import (
	"os/exec"
	"sync"
	"time"
)

// Program is a process beside the gateway that is no MCP server. It ends as a
// server's process does, with all that came of it, also when the gateway is killed.
type Program struct {
	watcher *Watcher
	marker  string
	proc    *process
	gone    sync.Once
}

// Start starts the program, whose pipes are files of the caller's, in a group of its own and
// marked by one variable more in its environment. Who starts a program calls its Stop.
// The nil Watcher starts programs that outlive a gateway that is killed.
func (w *Watcher) Start(cmd *exec.Cmd) (*Program, error) {
	marker := newInstance()
	if w != nil {
		marker = w.instance + "." + marker
	}
	marker += ".p"
	cmd.Env = append(cmd.Env, markerName+"="+marker)
	prepare(cmd)
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, exited: make(chan struct{})}
	tree, err := newTree(p.pid, marker)
	p.tree = tree
	if err != nil {
		_ = cmd.Process.Kill()
	} else {
		w.add(marker, p.pid)
	}
	go p.wait(cmd)
	if err != nil {
		<-p.exited
		return nil, err
	}
	return &Program{watcher: w, marker: marker, proc: p}, nil
}

// PID is the program's process id.
func (p *Program) PID() int { return p.proc.pid }

// Exited is closed when the program itself has ended.
func (p *Program) Exited() <-chan struct{} { return p.proc.exited }

// Exit says how it ended: "exit status 3", "signal: killed"; "" before it has.
func (p *Program) Exit() string {
	select {
	case <-p.proc.exited:
		return p.proc.exit
	default:
		return ""
	}
}

// Stop ends the program and all that came of it with TERM and, after grace or at
// once if that is 0, KILL. It blocks until nothing is left, and may be called again.
func (p *Program) Stop(grace time.Duration) {
	p.gone.Do(func() {
		if p.proc.end(patience{term: grace}, nil) == Survived && p.watcher != nil {
			p.watcher.log.Load().Error("something survived a KILL", "pid", p.proc.pid)
		}
		p.proc.close()
		p.watcher.remove(p.marker)
	})
}
