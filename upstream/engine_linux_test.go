package upstream

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/interlock-mcp/interlock/upstream/upstreamtest"
)

// The stand-in for docker and podman is the test binary under their names. Its
// engine is the folder that DOCKER_CONFIG names, with a file for each container:
// the pid of its process, and its labels. A container's process is nobody's child,
// as with an engine: it outlives its client. The image is the fake server's mode.

// testShim makes the test binary what starts a container's process and ends, and
// testBox makes it that process.
const (
	testShim = "INTERLOCK_TEST_SHIM"
	testBox  = "INTERLOCK_TEST_BOX"
)

// engine is a folder in which the stand-in keeps its containers.
type engine struct {
	t   testing.TB
	dir string
	bin string // the stand-in's folder
}

func newEngine(t testing.TB) *engine {
	t.Helper()
	e := &engine{t, t.TempDir(), t.TempDir()}
	if err := os.Mkdir(filepath.Join(e.dir, "containers"), 0o700); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"docker", "podman"} {
		if err := os.Symlink(self, filepath.Join(e.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, id := range e.containers() {
			e.rm(io.Discard, id)
		}
	})
	return e
}

// dial returns what starts a server in a container, by a command line such as
// "docker run -i ok".
func (e *engine) dial(line string) *Dial {
	e.t.Helper()
	d := fakeDial(e.t, "")
	words := strings.Fields(line)
	d.Config.Name, d.Config.Command, d.Config.Args = "box", filepath.Join(e.bin, words[0]), words[1:]
	d.Config.Env = map[string]string{"DOCKER_CONFIG": e.dir, "GORACE": "atexit_sleep_ms=0"}
	d.Config.StopTimeout = 100 * time.Millisecond
	return d
}

// containers returns the ids.
func (e *engine) containers() []string {
	entries, err := os.ReadDir(filepath.Join(e.dir, "containers"))
	if err != nil {
		e.t.Error(err)
	}
	var ids []string
	for _, x := range entries {
		ids = append(ids, x.Name())
	}
	return ids
}

// asked returns the command lines so far.
func (e *engine) asked() (lines [][]string) {
	b, _ := os.ReadFile(filepath.Join(e.dir, "log"))
	for l := range strings.Lines(string(b)) {
		var args []string
		if err := json.Unmarshal([]byte(l), &args); err != nil {
			e.t.Error(err)
		}
		lines = append(lines, args)
	}
	return lines
}

// trouble makes the engine "down", or "hang", until over.
func (e *engine) trouble(kind string) (over func()) {
	e.t.Helper()
	file := filepath.Join(e.dir, kind)
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		e.t.Fatal(err)
	}
	return func() { _ = os.Remove(file) }
}

// standIn is the main of what the test binary is under another name.
func standIn() (code int, ok bool) {
	if file := os.Getenv(testShim); file != "" {
		return shimMain(file), true
	}
	if file := os.Getenv(testBox); file != "" {
		return boxMain(file), true
	}
	if name := filepath.Base(os.Args[0]); name == "docker" || name == "podman" {
		return engineMain(os.Args[1:]), true
	}
	if os.Getenv(testGateway) == "container" {
		fmt.Fprintln(os.Stderr, containerGateway())
		return 1, true
	}
	return 0, false
}

// engineMain is the stand-in's main.
func engineMain(args []string) int {
	e := &engine{dir: os.Getenv("DOCKER_CONFIG")}
	line, _ := json.Marshal(args)
	log, err := os.OpenFile(filepath.Join(e.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 125
	}
	_, _ = log.Write(append(line, '\n'))
	_ = log.Close()
	if _, err := os.Stat(filepath.Join(e.dir, "down")); err == nil {
		fmt.Fprintln(os.Stderr, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
		return 1
	}
	if _, err := os.Stat(filepath.Join(e.dir, "hang")); err == nil {
		select {}
	}
	for len(args) > 0 && (args[0] == "--context=far" || args[0] == "container") {
		args = args[1:]
	}
	switch {
	case args[0] == "run":
		return e.run(args[1:])
	case slices.Equal(args[:2], []string{"rm", "-f"}):
		code := 0
		for _, id := range args[2:] {
			if !e.rm(os.Stderr, id) {
				code = 1
			}
		}
		return code
	case slices.Equal(args[:4], []string{"ps", "-aq", "--no-trunc", "--filter"}):
		entries, _ := os.ReadDir(filepath.Join(e.dir, "containers"))
		for _, x := range entries {
			b, _ := os.ReadFile(filepath.Join(e.dir, "containers", x.Name()))
			if slices.Contains(strings.Split(string(b), "\n"), strings.TrimPrefix(args[4], "label=")) {
				fmt.Println(x.Name())
			}
		}
		return 0
	}
	fmt.Fprintln(os.Stderr, "unknown command", args)
	return 125
}

// run is docker run.
func (e *engine) run(args []string) int {
	var cidfile string
	var labels []string
	var rm bool
	for len(args) > 1 {
		switch args[0] {
		case "--cidfile":
			cidfile, args = args[1], args[2:]
			continue
		case "--label":
			labels, args = append(labels, args[1]), args[2:]
			continue
		case "--rm":
			rm = true
		}
		args = args[1:]
	}
	var random [32]byte
	_, _ = rand.Read(random[:])
	id := hex.EncodeToString(random[:])
	if cidfile != "" {
		f, err := os.OpenFile(cidfile, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
		if err != nil {
			fmt.Fprintln(os.Stderr, "docker: container ID file found, make sure the other container isn't running or delete", cidfile)
			return 125
		}
		_, _ = f.WriteString(id)
		_ = f.Close()
	}
	alive, theirs, err := os.Pipe()
	if err != nil {
		return 125
	}
	self, _ := os.Executable()
	shim := exec.Command(self)
	shim.Env = []string{testShim + "=" + filepath.Join(e.dir, "containers", id), "LABELS=" + strings.Join(labels, "\n"), "IMAGE=" + args[0], "GORACE=atexit_sleep_ms=0"}
	shim.Stdin, shim.Stdout, shim.Stderr = os.Stdin, os.Stdout, os.Stderr
	shim.ExtraFiles = []*os.File{theirs}
	shim.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := shim.Run(); err != nil {
		return 125
	}
	_ = theirs.Close()
	_, _ = io.Copy(io.Discard, alive) // until the container's process has ended
	if rm {
		_ = os.Remove(filepath.Join(e.dir, "containers", id))
	}
	return 0
}

// shimMain starts a container's process and ends, so that it is nobody's child.
func shimMain(file string) int {
	self, _ := os.Executable()
	cmd := exec.Command(self)
	cmd.Env = []string{testBox + "=" + file, "LABELS=" + os.Getenv("LABELS"), "IMAGE=" + os.Getenv("IMAGE"), "GORACE=atexit_sleep_ms=0"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{os.NewFile(3, "alive")}
	if err := cmd.Start(); err != nil {
		return 1
	}
	return 0
}

// boxMain is a container's process. It is in the engine's folder before it says
// anything.
func boxMain(file string) int {
	if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())+"\n"+os.Getenv("LABELS")), 0o600); err != nil {
		return 1
	}
	return upstreamtest.Main(os.Getenv("IMAGE"))
}

// rm is docker rm -f of one container.
func (e *engine) rm(stderr io.Writer, id string) bool {
	file := filepath.Join(e.dir, "containers", id)
	b, err := os.ReadFile(file)
	if err != nil {
		fmt.Fprintln(stderr, "Error response from daemon: No such container:", id)
		return false
	}
	line, _, _ := strings.Cut(string(b), "\n")
	pid, _ := strconv.Atoi(line)
	for alive(pid) {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = os.Remove(file)
	return true
}
