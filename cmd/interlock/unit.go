package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/config"
)

// keeper is what a system has to keep a program running for a user.
type keeper interface {
	// path is the file that says what to run, text what is in it.
	path() string
	text(r running) ([]byte, error)
	// begin has what the file says run, now and whenever the user logs in; changed
	// tells that the file is another than before. remove undoes that, and removes
	// the file.
	begin(ctx context.Context, changed change) error
	remove(ctx context.Context) error
	// look reports whether it is set to run, and runs.
	look(ctx context.Context) (enabled, active bool, err error)
	// logs is how to see what it wrote, hint what else the user may want to know.
	logs() string
	hint() string
}

// change tells whether installing wrote another file than there was.
type change bool

// running is a gateway that is to be kept running.
type running struct {
	program string   // absolute, as are the files
	files   []string // of the configuration
	env     [][2]string
	stop    time.Duration // how long its end may take
}

// systemKeeper is this system's. The error says what there is in its place.
func systemKeeper(ctx context.Context, r running) (keeper, error) {
	switch runtime.GOOS {
	case "linux":
		return newSystemd(ctx)
	case "darwin":
		return newLaunchd()
	case "windows":
		self, _ := os.Executable()
		files := `C:\path\interlock.yaml`
		if len(r.files) > 0 {
			files = strings.Join(r.files, `\" -c \"`)
		}
		return nil, &failure{
			exitFailed, errors.New("services are not supported on Windows: use Task Scheduler"),
			fmt.Sprintf(`schtasks /Create /TN Interlock /SC ONLOGON /TR "\"%s\" serve -c \"%s\""`, self, files),
		}
	}
	return nil, &failure{exitFailed, fmt.Errorf("services are not supported on %s", runtime.GOOS), "have what starts your programs run interlock serve -c FILE"}
}

// runningOf is what keeps this configuration running.
func runningOf(files []string, cfg *config.Config) (running, error) {
	self, err := os.Executable()
	if err != nil {
		return running{}, fmt.Errorf("the path of this program: %w", err)
	}
	if strings.Contains(self, "go-build") {
		return running{}, usage("build it first: make", "%s is gone when this command is", self)
	}
	r := running{program: self, files: absolute(files, cfg), stop: cfg.Server.ShutdownTimeout + 5*time.Second}
	for _, s := range append([]string{self}, r.files...) {
		if strings.ContainsAny(s, "\n\r\x00") {
			return running{}, usage("", "the path %q has a line break in it", s)
		}
	}
	for _, key := range []string{"PATH", "XDG_STATE_HOME", "XDG_CONFIG_HOME"} {
		if v := os.Getenv(key); v != "" && !strings.ContainsAny(v, "\n\r") {
			r.env = append(r.env, [2]string{key, v})
		}
	}
	return r, nil
}

// replaceFile writes a file whole, or not at all.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, text, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// tool runs a program of the system and returns what it wrote on stdout. The
// error is that of its exit, with what it wrote on stderr.
func tool(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(errs.String()))
	}
	return strings.TrimSpace(out.String()), err
}
