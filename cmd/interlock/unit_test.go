//go:build linux

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// awkward is a gateway whose paths have all that means something to systemd, to
// launchd or to XML.
func awkward() running {
	return running{
		program: `/opt/inter lock/100%/inter"lock`,
		files:   []string{`/home/é o/50% $HOME \ "q"/interlock.yaml`, "/etc/<team> & co.yaml"},
		env:     [][2]string{{"PATH", `/home/é o/100%/bin:/usr/bin:$X`}, {"XDG_STATE_HOME", "/s"}},
		stop:    25 * time.Second,
	}
}

// The units are as they were seen to work. UPDATE=1 writes them anew.
func TestUnitText(t *testing.T) {
	for name, k := range map[string]keeper{
		"systemd.service":     systemd{dir: "/home/é o/.config", version: 257},
		"systemd-old.service": systemd{dir: "/home/é o/.config", version: 252},
		"launchd.plist":       launchd{home: "/Users/é o", domain: "gui/501"},
	} {
		got, err := k.text(awkward())
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "unit", name)
		if os.Getenv("UPDATE") != "" {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is now\n%s", golden, got)
		}
	}
}

// standIn puts a program of the system on PATH, which notes its arguments in a
// file and then does what the script says. told returns what was noted since it
// was called last.
func standIn(t *testing.T, name, script string) (dir string, told func() []string) {
	t.Helper()
	dir = t.TempDir()
	log := filepath.Join(dir, "log")
	text := "#!/bin/sh\ncd '" + dir + "'\necho \"$*\" >>log\n" + script
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, func() []string {
		raw, _ := os.ReadFile(log)
		_ = os.Remove(log)
		return strings.Split(strings.TrimSpace(string(raw)), "\n")
	}
}

// systemctl runs the unit's command as systemd would, for paths without quotes.
const systemctl = `unit="$UNITS/systemd/user/interlock.service"
case "$*" in
--version) echo 'systemd 257 (257.9-1)';;
'--user show-environment') [ ! -e nobus ] || { echo 'Failed to connect to bus' >&2; exit 1; };;
'--user enable'*) [ -e "$unit" ] && : >enabled;;
'--user restart'*|'--user start'*)
	[ ! -e pid ] || kill "$(cat pid)" 2>/dev/null
	eval "set -- $(sed -n 's/^ExecStart=//p' "$unit")"
	"$@" >serve.log 2>&1 & echo $! >pid;;
'--user disable --now'*) rm -f enabled; [ ! -e pid ] || kill "$(cat pid)"; rm -f pid;;
'--user is-enabled'*) [ -e enabled ] && echo enabled || { echo disabled; exit 1; };;
'--user is-active'*) [ -e pid ] && echo active || { echo inactive; exit 3; };;
esac
`

// A service is installed, installed again, and removed, each time with as little
// as it takes.
func TestUnitSystemd(t *testing.T) {
	bin, told := standIn(t, "systemctl", systemctl)
	h := newHome(t, "server: {listen: '127.0.0.1:0'}\nupstreams:\n"+clock)
	conf := filepath.Join(h.dir, "conf")
	env := []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "XDG_CONFIG_HOME=" + conf, "UNITS=" + conf, "XDG_STATE_HOME=" + h.dir}
	unit := filepath.Join(conf, "systemd", "user", unitName)
	do := func(code int, pattern string, args ...string) {
		t.Helper()
		p := launchWith(t, env, nil, nil, append([]string{"service"}, args...)...)
		if got := p.wait(); got != code || !p.wrote(pattern) {
			t.Errorf("service %v: exit code %d, want %d, and %q in\n%s", args, got, code, pattern, strings.Join(p.seen, "\n"))
		}
	}
	var steps []string
	wants := func(want ...string) {
		t.Helper()
		steps = slices.DeleteFunc(told(), func(s string) bool {
			return s == "--version" || s == "--user show-environment" || strings.HasPrefix(s, "--user is-")
		})
		if !slices.Equal(steps, want) {
			t.Errorf("systemctl was told %q, want %q", steps, want)
		}
	}

	do(exitFailed, `^installed +no`, "status")
	do(0, `^ExecStart="/.*/interlock" serve -c "`+h.file+`"$`, "install", "-c", h.file, "--print")
	if _, err := os.Stat(unit); err == nil {
		t.Error("--print wrote the unit")
	}
	wants()
	do(0, `^installed: .*interlock.service$`, "install", "-c", h.file)
	wants("--user daemon-reload", "--user enable interlock.service", "--user restart interlock.service")
	do(0, `^running +yes$`, "status")
	do(0, `"enabled": true`, "status", "-o", "json")
	told()
	do(0, `^installed: `, "install", "-c", h.file)
	wants("--user daemon-reload", "--user enable interlock.service", "--user start interlock.service")
	do(0, `^removed: `, "uninstall")
	wants("--user disable --now interlock.service", "--user daemon-reload")
	do(0, `^not installed$`, "uninstall")
	if _, err := os.Stat(unit); err == nil {
		t.Error("the unit is still there")
	}
	h.await("the gateway has ended", func() bool { return len(h.processes(" serve ")) == 0 })

	other := launchWith(t, env, nil, nil, "serve", "-c", h.file)
	other.expect(`^1 of 1 server ready`)
	do(exitFailed, `a gateway runs with this configuration already`, "install", "-c", h.file)
	put(t, filepath.Join(bin, "nobus"), "")
	do(exitFailed, `systemd does not answer for this user.*Failed to connect to bus`, "install", "-c", h.file)
	do(exitBadConfig, `no such file`, "install", "-c", h.file+"x")
	if _, err := os.Stat(unit); err == nil {
		t.Error("a refused install left its unit")
	}
}

// On macOS the same, with other words.
func TestUnitLaunchd(t *testing.T) {
	bin, told := standIn(t, "launchctl", `case "$*" in
"print gui/"*) [ -e loaded ] && echo '	state = running' || exit 113;;
bootstrap*) [ ! -e busy ] || { rm busy; echo 'Bootstrap failed: 37: Operation already in progress' >&2; exit 37; }; : >loaded;;
bootout*) rm loaded; : >busy;;
print-disabled*) printf '\t"io.interlock.gateway" => enabled\n';;
esac
`)
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	l := launchd{home: t.TempDir(), domain: "gui/501"}
	wants := func(want ...string) {
		t.Helper()
		if got := told(); !slices.Equal(got, want) {
			t.Errorf("launchctl was told %q, want %q", got, want)
		}
	}
	ctx := t.Context()
	if enabled, active, err := l.look(ctx); enabled || active || err != nil {
		t.Errorf("at first: %v, %v, %v", enabled, active, err)
	}
	if err := replaceFile(l.path(), []byte("x")); err != nil {
		t.Fatal(err)
	}
	told()
	if err := l.begin(ctx, true); err != nil {
		t.Fatal(err)
	}
	const service = "gui/501/io.interlock.gateway"
	wants("print "+service, "enable "+service, "bootstrap gui/501 "+l.path())
	if enabled, active, err := l.look(ctx); !enabled || !active || err != nil {
		t.Errorf("installed: %v, %v, %v", enabled, active, err)
	}
	told()
	if err := l.begin(ctx, false); err != nil {
		t.Fatal(err)
	}
	wants("print "+service, "enable "+service, "kickstart "+service)
	if err := l.begin(ctx, true); err != nil {
		t.Fatal(err)
	}
	wants("print "+service, "bootout "+service, "enable "+service, "bootstrap gui/501 "+l.path(), "bootstrap gui/501 "+l.path())
	if err := l.remove(ctx); err != nil {
		t.Fatal(err)
	}
	wants("print "+service, "bootout "+service)
	if _, err := os.Stat(l.path()); err == nil {
		t.Error("the agent is still there")
	}
}
