package upstream

import (
	"path/filepath"
	"slices"
	"strings"
)

// An upstream whose command is docker run or podman run is a client of an engine:
// what serves is a container, which lives on when its client is killed and may
// outlive a client that ends. So the container is marked, by a file that is told
// its id and by labels, and removed after its client is gone.

// containerRun is a command line that runs a container.
type containerRun struct {
	global  []string // the options before the verb, which say which engine is meant
	options int      // where in the arguments the options of run begin
	cidfile string   // the user's own, "" for none
}

// parseContainerRun reads the command lines `docker [options] [container] run ...`
// and the same of podman; ok is false for any other.
func parseContainerRun(command string, args []string) (r containerRun, ok bool) {
	name := strings.TrimSuffix(strings.ToLower(filepath.Base(command)), ".exe")
	if name != "docker" && name != "podman" {
		return r, false
	}
	at := skipOptions(args, globalSwitches, func(string, string) {})
	r.global = args[:at:at]
	if at < len(args) && args[at] == "container" {
		at++
	}
	if at >= len(args) || args[at] != "run" {
		return r, false
	}
	r.options = at + 1
	skipOptions(args[r.options:], runSwitches, func(name, value string) {
		if name == "cidfile" {
			r.cidfile = value
		}
	})
	return r, true
}

// with returns the arguments with options of run more.
func (r *containerRun) with(args, options []string) []string {
	return slices.Concat(args[:r.options], options, args[r.options:])
}

// switches are the options that take no value, of both engines. All others take
// one: what neither knows does not matter here.
type switches struct {
	long  []string
	short string
}

var (
	globalSwitches = switches{[]string{
		"debug", "help", "noout", "remote", "syslog", "tls", "tlsverify", "trace", "transient-store", "version",
	}, "Dhrv"}
	runSwitches = switches{[]string{
		"detach", "disable-content-trust", "env-host", "help", "http-proxy", "init", "interactive", "no-healthcheck",
		"no-hostname", "no-hosts", "oom-kill-disable", "passwd", "privileged", "publish-all", "quiet", "read-only",
		"read-only-tmpfs", "replace", "rm", "rmi", "rootfs", "sig-proxy", "tls-verify", "tty", "unsetenv-all", "use-api-socket",
	}, "Pdiqt"}
)

// skipOptions returns where the first argument is that is no option and no value
// of one, and tells each long option. Options are written as pflag reads them:
// --name value, --name=value, -n value, -nvalue, and switches together as -it.
func skipOptions(args []string, s switches, each func(name, value string)) (at int) {
	for at < len(args) {
		a := args[at]
		if len(a) < 2 || a[0] != '-' || a == "--" {
			break
		}
		at++
		name, long := strings.CutPrefix(a, "--")
		if !long {
			rest := strings.TrimLeft(a[1:], s.short)
			if len(rest) == 1 { // its value is the next
				at++
			}
			continue
		}
		name, value, has := strings.Cut(name, "=")
		if !has && !slices.Contains(s.long, name) && at < len(args) {
			value = args[at]
			at++
		}
		each(name, value)
	}
	return min(at, len(args))
}
