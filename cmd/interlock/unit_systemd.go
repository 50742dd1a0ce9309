package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const unitName = "interlock.service"

// systemd keeps user units (systemd.unit(5)).
type systemd struct {
	dir     string // the user's configuration folder
	version int    // 0 for unknown
}

func newSystemd(ctx context.Context) (systemd, error) {
	dir, err := os.UserConfigDir()
	s := systemd{dir: dir}
	about, _ := tool(ctx, "systemctl", "--version") // as in "systemd 257 (257.9-1)"
	_, _ = fmt.Sscanf(about, "systemd %d", &s.version)
	return s, err
}

func (s systemd) path() string { return filepath.Join(s.dir, "systemd", "user", unitName) }

func (systemd) logs() string { return "journalctl --user -u " + unitName }

func (systemd) hint() string {
	return "it starts when you log in; for one that does not wait for that: loginctl enable-linger"
}

// text is the unit. What it forbids is what no server needs: folders, /tmp and
// the network stay as they are, and node may compile.
func (s systemd) text(r running) ([]byte, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `# Written by interlock service install, which writes it anew.
[Unit]
Description=Interlock, one MCP server made of many
StartLimitIntervalSec=60
StartLimitBurst=5

[Service]
%s
ExecStart=%s serve`, s.kind(), unitQuote(r.program))
	for _, f := range r.files {
		b.WriteString(" -c " + strings.ReplaceAll(unitQuote(f), "$", "$$"))
	}
	b.WriteString("\nWorkingDirectory=" + unitPercent(filepath.Dir(r.files[0])) + "\n")
	for _, kv := range r.env {
		b.WriteString("Environment=" + unitQuote(kv[0]+"="+kv[1]) + "\n")
	}
	fmt.Fprintf(&b, `EnvironmentFile=-%s
Restart=on-failure
RestartSec=1
# 2 is a faulty configuration: another attempt mends nothing.
RestartPreventExitStatus=2
WatchdogSec=30
TimeoutStopSec=%d
KillMode=mixed
NoNewPrivileges=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes

[Install]
WantedBy=default.target
`, unitPercent(filepath.Join(s.dir, "interlock", "env")), int(r.stop.Seconds()))
	return []byte(b.String()), nil
}

// kind is how the gateway says that it is ready.
func (s systemd) kind() string {
	if s.version > 0 && s.version < 253 { // which brought notify-reload
		return "Type=notify\nExecReload=kill -HUP $MAINPID"
	}
	return "Type=notify-reload"
}

// unitPercent keeps systemd from reading specifiers (systemd.unit(5)).
func unitPercent(s string) string { return strings.ReplaceAll(s, "%", "%%") }

// unitQuote makes s one word of a line (systemd.syntax(7), "Quoting").
func unitQuote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(unitPercent(s)) + `"`
}

func (systemd) ctl(ctx context.Context, args ...string) (string, error) {
	return tool(ctx, "systemctl", append([]string{"--user"}, args...)...)
}

func (s systemd) begin(ctx context.Context, changed change) error {
	steps := [][]string{{"daemon-reload"}, {"enable", unitName}, {"start", unitName}}
	if changed {
		steps[2][0] = "restart"
	}
	for _, step := range steps {
		if _, err := s.ctl(ctx, step...); err != nil {
			return err
		}
	}
	return nil
}

func (s systemd) remove(ctx context.Context) error {
	if _, _, err := s.look(ctx); err != nil {
		return err
	}
	if _, err := s.ctl(ctx, "disable", "--now", unitName); err != nil {
		return err
	}
	if err := os.Remove(s.path()); err != nil {
		return err
	}
	_, err := s.ctl(ctx, "daemon-reload")
	return err
}

func (s systemd) look(ctx context.Context) (enabled, active bool, err error) {
	const mend = "interlock service install --print shows the unit, for another machine or another user;\n  here, have what starts your programs run interlock serve -c FILE"
	if _, err := exec.LookPath("systemctl"); err != nil {
		return false, false, &failure{exitFailed, errors.New("there is no systemctl on PATH: systemd does not run this system"), mend}
	}
	if _, err := s.ctl(ctx, "show-environment"); err != nil {
		return false, false, &failure{exitFailed, fmt.Errorf("systemd does not answer for this user (is this a login session?): %w", err), mend}
	}
	// Their exit codes are not 0 for "no".
	is, _ := s.ctl(ctx, "is-enabled", unitName)
	runs, _ := s.ctl(ctx, "is-active", unitName)
	return is == "enabled", runs == "active" || runs == "reloading" || runs == "activating", nil
}
