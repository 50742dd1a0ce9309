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

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/spf13/cobra"
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

func (a *app) unitCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "service", GroupID: "run",
		Short: "Have the system keep a gateway running",
		Long: `Has the system keep a gateway running for you: from your login on, and again when it ends.
On Linux that is a user unit of systemd, on macOS an agent of launchd.`,
		Example: `  interlock service install -c ~/interlock.yaml
  interlock service install --print
  interlock service status`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(a.unitInstallCommand(), a.unitUninstallCommand(), a.unitStatusCommand())
	return cmd
}

func (a *app) unitInstallCommand() *cobra.Command {
	var files []string
	var show bool
	cmd := &cobra.Command{
		Use: "install", Args: cobra.NoArgs,
		Short: "Write the unit, and start the gateway",
		Long: `Writes the unit for this configuration and starts it. Installing again changes what has
changed. The gateway gets the PATH that you have now, so that its servers are found, and the
variables in interlock/env of your configuration folder, one KEY=value to a line, if it exists
(Linux): that is the place of secrets that the configuration means by ${NAME}.`,
	}
	configFlag(cmd, &files)
	cmd.Flags().BoolVar(&show, "print", false, "only show the unit")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return failed(a.installUnit(cmd.Context(), files, printing(show)))
	}
	return cmd
}

// printing says that nothing is to be done but to show the unit.
type printing bool

func (a *app) installUnit(ctx context.Context, files []string, only printing) error {
	cfg, err := config.Load(config.LoadOptions{Files: files})
	if err != nil {
		return err
	}
	r, err := runningOf(files, cfg)
	if err != nil {
		return err
	}
	k, err := systemKeeper(ctx, r)
	if err != nil {
		return err
	}
	text, err := k.text(r)
	if err != nil {
		return err
	}
	if only {
		a.out.printf("%s", text)
		return nil
	}
	if _, active, err := k.look(ctx); err != nil {
		return err
	} else if _, err := readiness(ctx, cfg); !active && err == nil {
		return &failure{exitFailed, errors.New("a gateway runs with this configuration already, and the service would find its place taken"), "stop it first; one that clients started ends by itself when they have gone"}
	}
	old, err := os.ReadFile(k.path())
	changed := err != nil || !bytes.Equal(old, text)
	if changed {
		if err := replaceFile(k.path(), text); err != nil {
			return err
		}
	}
	if err := k.begin(ctx, change(changed)); err != nil {
		return &failure{exitFailed, err, k.logs() + " may say more"}
	}
	a.out.printf("installed: %s\n", k.path())
	if err := a.greetFrom(ctx, cfg); err != nil {
		return &failure{exitFailed, fmt.Errorf("the gateway was started and does not answer: %w", err), k.logs() + " may say more"}
	}
	a.out.printf("%s\n", a.out.faint("its log: "+k.logs()+"\n"+k.hint()))
	return nil
}

// greetFrom says where the gateway is, once it answers.
func (a *app) greetFrom(ctx context.Context, cfg *config.Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, errSlow)
	defer cancel()
	for {
		_, err := readiness(ctx, cfg)
		if err == nil {
			a.out.printf("running:   http://%s%s\n", cfg.Server.Listen, cfg.Server.Path)
			return nil
		}
		if !errors.Is(err, admin.ErrUnreachable) {
			return err
		}
		if err := aMoment(ctx); err != nil {
			return err
		}
	}
}

func (a *app) unitUninstallCommand() *cobra.Command {
	return &cobra.Command{
		Use: "uninstall", Args: cobra.NoArgs,
		Short: "Stop the gateway, and remove the unit",
		RunE: func(cmd *cobra.Command, _ []string) error {
			k, err := systemKeeper(cmd.Context(), running{})
			if err != nil {
				return failed(err)
			}
			if _, err := os.Stat(k.path()); errors.Is(err, os.ErrNotExist) {
				a.out.printf("not installed\n")
				return nil
			}
			if err := k.remove(cmd.Context()); err != nil {
				return failed(err)
			}
			a.out.printf("removed: %s\n", k.path())
			return nil
		},
	}
}

// unitStatus is what `service status` says.
type unitStatus struct {
	Installed bool   `json:"installed"`
	Path      string `json:"path"`
	Enabled   bool   `json:"enabled"`
	Running   bool   `json:"running"`
}

func (a *app) unitStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Args: cobra.NoArgs,
		Short: "Say whether the service is installed and runs",
		Long:  "Says whether the service is installed, set to start with the session, and running.\nIt exits with 1 when it does not run.",
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		k, err := systemKeeper(cmd.Context(), running{})
		if err != nil {
			return failed(err)
		}
		s := unitStatus{Path: k.path()}
		if _, err := os.Stat(s.Path); err == nil {
			s.Installed = true
			if s.Enabled, s.Running, err = k.look(cmd.Context()); err != nil {
				return failed(err)
			}
		}
		if *output != asTable {
			err = a.write(*output, s)
		} else {
			yes := map[bool]string{true: "yes", false: "no"}
			a.out.printf("installed  %s  %s\nenabled    %s\nrunning    %s\n", yes[s.Installed], a.out.faint(s.Path), yes[s.Enabled], yes[s.Running])
		}
		if err == nil && !s.Running {
			return &failure{code: exitFailed}
		}
		return failed(err)
	}
	return cmd
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
