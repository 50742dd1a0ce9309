package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// containers is what a dialer knows of the containers of its children, in the
// folder state_dir/containers: for each run of a gateway a folder of records, and
// a lock beside it that is held while that gateway lives. What is in the folder of
// one that does not is removed.
type containers struct {
	log *slog.Logger
	dir string // "" keeps nothing
	run string

	mu     sync.Mutex // guards the rest
	lock   *os.File   // nil until there is a folder of our own
	dead   []*deadRun
	looked bool // dead is known

	hurry chan struct{} // closed when the gateway does not wait for the sweep any more
}

func newContainers(log *slog.Logger, stateDir, instance string) *containers {
	s := &containers{log: log, run: instance, hurry: make(chan struct{})}
	if stateDir != "" {
		s.dir = filepath.Join(stateDir, "containers")
		if abs, err := filepath.Abs(s.dir); err == nil { // a child has a folder of its own
			s.dir = abs
		}
	}
	return s
}

// deadRun is the folder of a gateway that is dead.
type deadRun struct {
	dir  string
	lock *os.File
	left []*leftover
}

// leftover is a container that such a gateway left.
type leftover struct {
	*container
	remove func() // once; it blocks for all who call it
}

// Sweeper is a Dialer that may have left something behind in an earlier life.
type Sweeper interface {
	// Sweep removes it, and blocks for that or until ctx is done. What fails is
	// logged.
	Sweep(ctx context.Context)
}

// contain makes a child that runs a container one whose container is known. It
// returns the configuration to start it with, and nil for any other child. It
// blocks, for engineLimit at most, only if an earlier gateway left a container of
// the same upstream, whose name or ports may be in the way.
func (s *containers) contain(c *Config, env []string, marker string) (*Config, *container) {
	run, ok := parseContainerRun(c.Command, c.Args)
	if !ok {
		return c, nil
	}
	path, err := findCommand(c.Command, c.Cwd, lookupEnv(env, "PATH"))
	if err != nil {
		return c, nil // its start will say so
	}
	for _, d := range s.deadRuns() {
		for _, l := range d.left {
			if l.Upstream == c.Name {
				l.remove()
			}
		}
	}
	box := &container{
		Upstream: c.Name, Child: marker, Command: path, Global: run.global, Cwd: c.Cwd, Env: unmarked(env),
		CIDFile: run.cidfile, log: s.log,
	}
	options := []string{"--label", upstreamLabel + "=" + c.Name, "--label", childLabel + "=" + marker}
	folder := s.folder()
	switch {
	case run.cidfile != "":
		if !filepath.IsAbs(run.cidfile) {
			box.CIDFile = filepath.Join(c.Cwd, run.cidfile)
		}
		box.Before = readCID(box.CIDFile)
	case folder != "" && !strings.HasPrefix(path, "/snap/"): // a snap sees no folder of ours
		box.CIDFile = filepath.Join(folder, marker+".cid")
		options = append(options, "--cidfile", box.CIDFile)
	}
	if folder != "" {
		box.keep(filepath.Join(folder, marker+".json"))
	}
	with := *c
	with.Args = run.with(c.Args, options)
	return &with, box
}

// unmarked is a child's environment without its marker: who kills what a child
// left is not to kill what removes its container.
func unmarked(env []string) []string {
	return slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, markerName+"=") })
}

// kept are the variables that a record keeps, since they say which engine is
// meant. All others may be secrets.
var kept = []string{
	"DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "DOCKER_CERT_PATH", "DOCKER_TLS", "DOCKER_TLS_VERIFY", "DOCKER_API_VERSION",
	"CONTAINER_HOST", "CONTAINER_CONNECTION", "CONTAINER_SSHKEY", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF",
	"HOME", "PATH", "TMPDIR", "USER", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR",
}

// keep writes the record.
func (c *container) keep(file string) {
	public := *c
	public.Env = slices.DeleteFunc(slices.Clone(c.Env), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return !slices.Contains(kept, name)
	})
	b, err := json.Marshal(&public)
	if err == nil {
		err = os.WriteFile(file, b, 0o600)
	}
	if err != nil {
		c.log.Warn("container not recorded: it is left behind if the gateway is killed", "upstream", c.Upstream, "error", err)
		return
	}
	c.record = file
}

// folder returns the folder of this run, which it makes, "" if there is none.
func (s *containers) folder() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		return ""
	}
	dir := filepath.Join(s.dir, s.run)
	if s.lock != nil {
		return dir
	}
	err := os.MkdirAll(s.dir, 0o700)
	if err == nil {
		// The lock comes first: a folder without one belongs to nobody.
		if s.lock, err = lockFile(dir + ".lock"); err == nil {
			err = os.MkdirAll(dir, 0o700)
		}
	}
	if err != nil {
		s.log.Warn("no folder for containers: they are left behind if the gateway is killed", "error", err)
		s.dir = ""
		return ""
	}
	return dir
}

// deadRuns returns what gateways left that are dead, and holds their locks.
func (s *containers) deadRuns() []*deadRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.looked || s.dir == "" {
		return s.dead
	}
	s.looked = true
	entries, err := os.ReadDir(s.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("containers of an earlier run not known", "error", err)
	}
	for _, e := range entries {
		if !e.IsDir() || e.Name() == s.run {
			continue
		}
		dir := filepath.Join(s.dir, e.Name())
		lock, err := lockFile(dir + ".lock")
		if err != nil {
			continue // it lives
		}
		s.dead = append(s.dead, &deadRun{dir, lock, s.read(dir)})
	}
	return s.dead
}

// read reads the records in the folder of a dead run.
func (s *containers) read(dir string) (found []*leftover) {
	records, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, file := range records {
		c := &container{log: s.log, record: file}
		b, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(b, c)
		}
		if err != nil || c.Command == "" || c.Child == "" { // cut short by the kill, before the child began
			_ = os.Remove(file)
			continue
		}
		found = append(found, &leftover{c, sync.OnceFunc(func() {
			if c.remove(s.hurry) {
				s.log.Info("container of an earlier run removed", "upstream", c.Upstream)
			}
		})})
	}
	return found
}

// sweep removes what dead gateways left, a few containers at a time, and the
// folders that are empty then. It is called once.
func (s *containers) sweep(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { close(s.hurry) })
	defer stop()
	slots := make(chan struct{}, 4) // one for each removal at a time
	for _, d := range s.deadRuns() {
		var all sync.WaitGroup
		for _, l := range d.left {
			slots <- struct{}{}
			all.Go(func() {
				l.remove()
				<-slots
			})
		}
		all.Wait()
		if rest, _ := filepath.Glob(filepath.Join(d.dir, "*.json")); len(rest) == 0 {
			_ = os.RemoveAll(d.dir)
			_ = d.lock.Close()
			_ = os.Remove(d.lock.Name())
		}
		_ = d.lock.Close() // twice does no harm
	}
}
