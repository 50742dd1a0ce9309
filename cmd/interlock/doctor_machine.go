package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/upstream"
)

// machine looks at what the gateway needs of this machine.
func (d *doctor) machine(ctx context.Context) {
	d.stateDir()
	if d.told.Gateway == "" { // else it has the addresses
		d.port(ctx, "server.listen", d.cfg.Server.Listen)
		d.port(ctx, "telemetry.metrics.listen", d.cfg.Telemetry.Metrics.Listen)
		d.port(ctx, "admin.listen", d.cfg.Admin.Listen)
	}
	d.files()
	d.processes()
	if why := unwatchable(d.told.Files); why != "" {
		d.find(finding{
			Code: "limit_inotify", Text: "the configuration file cannot be watched: " + why,
			Mend: "raise fs.inotify.max_user_instances and fs.inotify.max_user_watches (sysctl), or reload by hand: interlock reload",
		})
	}
	d.clock(time.Now())
}

// stateDir tries whether state_dir can be written to, and changes nothing.
func (d *doctor) stateDir() {
	dir := d.cfg.StateDir
	if dir == "" {
		d.find(finding{Code: "state_dir_unwritable", Text: "the user has no folder for it", Mend: "set state_dir"})
		return
	}
	if d.cfg.Admin.Listen == "" {
		if err := admin.CheckSocket(dir); err != nil {
			d.find(finding{Code: "socket_path_too_long", Text: err.Error(), Mend: "set a shorter state_dir, or admin.listen: 127.0.0.1:7778"})
		}
	}
	there := dir // or what will hold it
	for {
		info, err := os.Stat(there)
		if err == nil && !info.IsDir() {
			d.find(finding{Code: "state_dir_unwritable", Text: there + " is no folder", Mend: "set state_dir to a folder that may be written to"})
			return
		}
		if err == nil || there == filepath.Dir(there) {
			break
		}
		there = filepath.Dir(there)
	}
	f, err := os.CreateTemp(there, ".interlock-doctor-")
	if err != nil {
		d.find(finding{Code: "state_dir_unwritable", Text: "state_dir " + dir + ": " + err.Error(), Mend: "make it writable, or set state_dir to another folder"})
		return
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// port tries whether an address can be listened on.
func (d *doctor) port(ctx context.Context, key, address string) {
	if address == "" || strings.HasPrefix(address, "unix:") {
		return
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err == nil {
		_ = l.Close()
		return
	}
	text := address + ": " + err.Error()
	if taken(err) {
		text = address + " is taken by another program, maybe a gateway with another configuration"
	}
	d.find(finding{Code: "port_taken", At: key, Text: text, Mend: "end that program, or set " + key + " to another address"})
}

// Estimates of what a part needs, on the safe side.
const (
	filesOfGateway  = 64
	filesOfChild    = 6 // three pipes, and what its process is watched by
	filesOfRemote   = 8 // kept connections
	threadsOfServer = 16
)

// files compares the descriptors that may be needed with those there are.
func (d *doctor) files() {
	have, ok := fileLimit()
	if !ok {
		return
	}
	need, servers := uint64(filesOfGateway+d.cfg.Server.MaxSessions), 0
	for i := range d.cfg.Upstreams {
		u := &d.cfg.Upstreams[i]
		switch {
		case !u.Enabled:
			continue
		case u.Kind() == upstream.Stdio:
			need += filesOfChild * uint64(copies(u))
		default:
			need += filesOfRemote
		}
		servers++
	}
	if have >= need {
		return
	}
	d.find(finding{
		Code: "limit_files", Text: fmt.Sprintf("%d sessions (server.max_sessions) and %s want up to %d file descriptors, and there are %d", d.cfg.Server.MaxSessions, count(servers, "server"), need, have),
		Mend: "raise the limit (ulimit -n; LimitNOFILE= for systemd), or lower server.max_sessions",
	})
}

// copies is how many processes of a server there may be: one, and one for each
// client that has its own.
func copies(u *upstream.Config) int {
	if u.Isolation == upstream.PerSession || u.Isolation == upstream.PerPrincipal {
		return 1 + u.Limits.Processes
	}
	return 1
}

// processes compares the threads that the servers may have with the limit.
func (d *doctor) processes() {
	have, which, ok := processLimit()
	if !ok {
		return
	}
	need := 0
	for i := range d.cfg.Upstreams {
		if u := &d.cfg.Upstreams[i]; u.Enabled && u.Kind() == upstream.Stdio {
			need += threadsOfServer * copies(u)
		}
	}
	if have >= uint64(need) {
		return
	}
	d.find(finding{
		Code: "limit_processes", Text: fmt.Sprintf("the servers may have %d processes and threads together, and %s is %d", need, which, have),
		Mend: "raise the limit (ulimit -u; TasksMax= for systemd), or lower limits.processes of servers with isolation",
	})
}

// clock compares it with what must be older.
func (d *doctor) clock(now time.Time) {
	late := func(what string, t time.Time) {
		if t.After(now.Add(5 * time.Minute)) {
			d.find(finding{
				Code: "clock_wrong", Text: fmt.Sprintf("the clock says %s, and %s is of %s", now.UTC().Format(time.RFC3339), what, t.UTC().Format(time.RFC3339)),
				Mend: "set it, or turn on NTP (timedatectl set-ntp true)",
			})
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if t, err := time.Parse(time.RFC3339, s.Value); s.Key == "vcs.time" && err == nil {
				late("this program", t)
			}
		}
	}
	for _, file := range d.told.Files {
		if info, err := os.Stat(file); err == nil {
			late(file, info.ModTime())
		}
	}
}
