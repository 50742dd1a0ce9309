package upstream

import (
	"path"
	"runtime"
	"slices"
	"strings"
)

// markerName is the variable that marks every process of an upstream, so that
// one that left its group and its parents is still known.
const markerName = "INTERLOCK_CHILD"

// passed are the variables that a child gets without being asked for: what the
// MCP SDKs pass, and what a program needs to find its files, its time, its
// proxies and its certificates. A trailing * stands for any ending.
var passed = []string{
	"HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER",
	"TMPDIR", "TZ", "LANG", "LC_*", "XDG_*",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
	"SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE",
	"AWS_CA_BUNDLE", "PIP_CERT", "DENO_CERT", "GIT_SSL_CAINFO", "NIX_SSL_CERT_FILE",
	"DOCKER_HOST",
}

// passedOnWindows are what the MCP SDKs pass there, and what a shim needs to run
// a script (PATHEXT, COMSPEC, TMP, WINDIR).
var passedOnWindows = []string{
	"APPDATA", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "PATH", "PROCESSOR_ARCHITECTURE", "PROGRAMFILES",
	"SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "USERNAME", "USERPROFILE", "PATHEXT", "COMSPEC", "TMP", "WINDIR",
}

// childEnv returns a child's whole environment: of parent the variables that
// pass or that match one of the globs in more, over them those of own, over all
// the marker. A value that begins with () is a shell function and does not pass.
func childEnv(parent, more []string, own map[string]string, marker string) []string {
	allowed := slices.Concat(passed, more)
	if runtime.GOOS == "windows" {
		allowed = append(allowed, passedOnWindows...)
	}
	vars := make(map[string]string)
	for _, kv := range parent {
		name, value, ok := strings.Cut(kv, "=")
		if !ok || name == "" || strings.HasPrefix(value, "()") {
			continue
		}
		if slices.ContainsFunc(allowed, func(glob string) bool { return matchName(glob, name) }) {
			vars[name] = value
		}
	}
	for name, value := range own {
		if runtime.GOOS == "windows" { // one name, however it is written
			for old := range vars {
				if strings.EqualFold(old, name) {
					delete(vars, old)
				}
			}
		}
		vars[name] = value
	}
	vars[markerName] = marker
	env := make([]string, 0, len(vars))
	for name, value := range vars {
		env = append(env, name+"="+value)
	}
	slices.Sort(env)
	return env
}

func matchName(glob, name string) bool {
	if runtime.GOOS == "windows" {
		glob, name = strings.ToUpper(glob), strings.ToUpper(name)
	}
	ok, err := path.Match(glob, name)
	return ok && err == nil
}

// lookupEnv returns the last value of name in env.
func lookupEnv(env []string, name string) string {
	for _, kv := range slices.Backward(env) {
		if k, v, ok := strings.Cut(kv, "="); ok && matchName(name, k) {
			return v
		}
	}
	return ""
}
