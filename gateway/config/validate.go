package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// validate checks what the whole must keep.
func (l *loader) validate(cfg *Config, insecureHTTP map[string]bool) {
	l.server(&cfg.Server)
	l.admin(&cfg.Admin)
	for _, err := range flatten(cfg.Names.Validate()) {
		if fe := (*router.FieldError)(nil); errors.As(err, &fe) {
			l.field(append([]string{"names"}, fe.Path...), fe.Text)
		}
	}
	for _, err := range flatten(cfg.Telemetry.Validate()) {
		if fe := (*telemetry.FieldError)(nil); errors.As(err, &fe) {
			l.field(append([]string{"telemetry"}, fe.Path...), fe.Text)
		}
	}
	l.alerts(&cfg.Alerts)
	l.section(builtin.Validate(cfg.Policies), "policies")
	for _, w := range builtin.Warnings(cfg.Policies) {
		path := append([]string{"policies"}, w.Path...)
		l.problems.warn(l.places.find(path), dotted(path), quote(last(path))+" "+w.Text, w.Mend)
	}
	l.auth(&cfg.Server)
	l.signIns(cfg)
	l.upstreams(cfg, 0, insecureHTTP)
	l.profiles(cfg)
}

// upstreams checks those from the given one on, and how all go together.
func (l *loader) upstreams(cfg *Config, from int, insecureHTTP map[string]bool) {
	for i := from; i < len(cfg.Upstreams); i++ {
		u := &cfg.Upstreams[i]
		l.upstream(u, cfg, insecureHTTP[u.Name])
	}
	l.renames(cfg)
	l.graph(cfg.Upstreams)
	if !cfg.insecureFiles {
		for _, f := range l.fileSecrets {
			l.problems.add(f.at, "", f.Text, "chmod o-r, or set insecure_files: true")
		}
	}
}

// flatten returns the errors that errors.Join joined.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		return many.Unwrap()
	}
	return []error{err}
}

// field reports a fault of a key where its value stands.
func (l *loader) field(path []string, what string) {
	l.fault(l.places.find(path), path, what, "")
}

// fault reports a fault of a key, and hides its value if a variable went into it.
func (l *loader) fault(at pos, path []string, what, mend string) {
	nodes := []*node{l.places.value(path)}
	if len(path) > 2 && path[0] == "upstreams" {
		nodes = append(nodes, l.places.value(append([]string{"defaults"}, path[2:]...)))
	}
	for _, n := range nodes {
		if n == nil {
			continue
		}
		n.scalars("", func(_ string, n *node) {
			if n.expanded && n.text != "" {
				what = strings.ReplaceAll(what, quote(n.text), "***")
				if len(n.text) > 2 {
					what = strings.ReplaceAll(what, n.text, "***")
				}
			}
		})
	}
	if !strings.HasPrefix(what, "prefix ") {
		what = l.places.subject(path) + " " + what
	}
	l.problems.add(at, dotted(path), what, mend)
}

func (l *loader) alerts(c *alert.Config) {
	var words []string
	for _, e := range alert.Events() {
		words = append(words, string(e))
	}
	for _, err := range flatten(c.Validate()) {
		fe := (*alert.FieldError)(nil)
		if !errors.As(err, &fe) {
			continue
		}
		path := append([]string{"alerts"}, fe.Path...)
		at := l.places.find(path)
		if n := l.places.value(path); n != nil {
			at = n.at
		}
		if _, err := strconv.Atoi(last(path)); err == nil { // an item has no name of its own
			path = path[:len(path)-1]
		}
		mend := fe.Mend
		if fe.Event != "" {
			if mend = didYouMean(fe.Event, words); mend == "" {
				mend = "use " + strings.Join(words, ", ")
			}
		}
		l.fault(at, path, fe.Text, mend)
	}
}

func (l *loader) server(s *Server) {
	bad := func(key, what string) { l.field([]string{"server", key}, what) }
	host, port, err := net.SplitHostPort(s.Listen)
	switch {
	case err != nil || port == "":
		bad("listen", "must be host:port, such as 127.0.0.1:7777")
	case s.Open():
		path := []string{"server", "listen"}
		l.fault(l.places.find(path), path, Exposed, ExposedMend)
	case !loopback(host) && s.Auth.Enabled() && !s.TLS.Enabled() && len(s.TrustedProxies) == 0:
		path := []string{"server", "listen"}
		l.problems.warn(l.places.find(path), dotted(path), `"listen" is reached from other machines without TLS: credentials travel in the clear`,
			"set server.tls, or server.trusted_proxies if a proxy in front has it")
	}
	l.serverTLS(&s.TLS)
	for i, p := range s.TrustedProxies {
		if _, err := ParseNetwork(p); err != nil {
			path := []string{"server", "trusted_proxies"}
			l.fault(l.places.find(child(path, strconv.Itoa(i))), path, "holds "+quote(p)+", which is not an address", "write one such as 10.1.2.3, or a range such as 10.0.0.0/8")
		}
	}
	switch {
	case !strings.HasPrefix(s.Path, "/") || strings.ContainsAny(s.Path, "?#{} "):
		bad("path", "must be a path such as /mcp")
	case len(s.Path) > 1 && strings.HasSuffix(s.Path, "/"), strings.Contains(s.Path, "//"), strings.Contains(s.Path, "/."):
		bad("path", "must be a clean path: no // or . in it and no / at its end")
	case s.Path == "/livez" || s.Path == "/readyz":
		bad("path", "is taken by the health endpoints")
	}
	if s.PublicURL != "" {
		if u, err := url.Parse(s.PublicURL); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			bad("public_url", "must be a URL such as https://mcp.example.com/mcp")
		}
	}
	if s.Name == "" {
		bad("name", "must not be empty")
	}
	for _, o := range s.AllowedOrigins {
		if u, err := url.Parse(o); err != nil || u.Scheme == "" || u.Host == "" || u.Path != "" || u.RawQuery != "" || strings.Contains(o, "*") {
			bad("allowed_origins", "holds "+quote(o)+", which is not an origin such as https://app.example.com")
		}
	}
	for _, h := range s.AllowedHosts {
		if h == "" || strings.ContainsAny(h, "/*@ ") {
			bad("allowed_hosts", "holds "+quote(h)+", which is not a host name")
		}
	}
	if s.MaxBody < 1024 {
		bad("max_body", "must be at least 1KiB")
	}
	if s.MaxSessions < 1 {
		bad("max_sessions", "must be at least 1")
	}
	l.serverTimes(s)
}

func (l *loader) serverTimes(s *Server) {
	bad := func(key, what string) { l.field([]string{"server", key}, what) }
	for _, d := range []struct {
		key  string
		v    time.Duration
		zero bool
	}{
		{"session_timeout", s.SessionTimeout, false},
		{"list_wait", s.ListWait, true},
		{"drain_timeout", s.DrainTimeout, true},
		{"shutdown_timeout", s.ShutdownTimeout, false},
	} {
		switch {
		case d.v < 0:
			bad(d.key, "must not be negative")
		case d.v == 0 && !d.zero:
			bad(d.key, "must be more than 0s")
		}
	}
	// Only one that was written is a mistake; the default gives way.
	if s.DrainTimeout > s.ShutdownTimeout && s.ShutdownTimeout > 0 {
		if _, written := l.places.key([]string{"server", "drain_timeout"}); written {
			bad("drain_timeout", "must not be longer than shutdown_timeout, which it is part of")
		}
		s.DrainTimeout = s.ShutdownTimeout
	}
}

func (l *loader) admin(a *Admin) {
	if a.Listen == "" {
		return
	}
	host, port, err := net.SplitHostPort(a.Listen)
	path := []string{"admin", "listen"}
	switch {
	case err != nil || port == "":
		l.field(path, "must be host:port, such as 127.0.0.1:7778, or empty for a unix socket")
	case !loopback(host):
		l.field(path, "must be a loopback address: its token would travel in the clear")
	}
}

// loopback tells whether a host is this machine and no other can reach it.
func loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// legalName is what an upstream may be called.
var legalName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

func (l *loader) upstream(u *upstream.Config, cfg *Config, insecureHTTP bool) {
	path := []string{"upstreams", u.Name}
	bad := func(what, mend string, keys ...string) {
		full := append(path[:2:2], keys...)
		l.fault(l.place(u.Name, keys...), full, what, mend)
	}
	if !legalName.MatchString(u.Name) || strings.Trim(u.Name, ".") == "" {
		bad("is not a legal name", "use 1 to 64 letters, digits, _ . or -")
		return
	}
	l.prefix(u, cfg)
	if err := cfg.Names.CheckPrefix(u.NamePrefix()); err != nil {
		if u.Prefix == nil {
			bad(err.Error(), "set another prefix")
		} else {
			bad(err.Error(), "", "prefix")
		}
	}
	for _, err := range flatten(u.Validate()) {
		if fe := (*upstream.FieldError)(nil); errors.As(err, &fe) {
			if len(fe.Path) == 0 && l.meant(path) {
				continue
			}
			bad(fe.Text, "", fe.Path...)
		}
	}
	if own := append(path[:2:2], "idle_stop"); u.IdleStop > 0 && u.Start != upstream.OnDemand && l.places.value(own) != nil {
		l.problems.warn(l.places.find(own), dotted(own), `"idle_stop" does nothing without start: on_demand`, "add start: on_demand, or remove it")
	}
	if at, why := l.itself(u, cfg); why != "" {
		bad(why, "remove it: the gateway would call itself", at)
	}
	if target, err := url.Parse(u.URL); err == nil && target.Scheme == "http" && !loopback(target.Hostname()) && !insecureHTTP {
		if target.User != nil {
			bad("would send its password in the clear", "use https://, or set insecure_http: true", "url")
		}
		for _, name := range sortedKeys(u.Headers) {
			if strings.EqualFold(name, "Authorization") {
				bad("would be sent in the clear", "use https://, or set insecure_http: true", "headers", name)
			}
		}
	}
	l.signIn(u, cfg, insecureHTTP)
	l.headers(u)
	if u.Enabled && u.Command != "" && u.Kind() == upstream.Stdio {
		l.command(u)
	}
}

// meant tells whether an upstream without a command or url was meant to have
// one: what is wrong with that is reported already.
func (l *loader) meant(path []string) bool {
	for _, key := range []string{"command", "url"} {
		if _, ok := l.places.key(child(path, key)); ok {
			return true
		}
	}
	return slices.ContainsFunc(l.problems.errors, func(f found) bool {
		return strings.HasPrefix(f.Key, dotted(path)+".") && strings.HasPrefix(f.Text, "unknown key") &&
			(strings.Contains(f.Mend, `"command"`) || strings.Contains(f.Mend, `"url"`))
	})
}

func (l *loader) headers(u *upstream.Config) {
	for _, name := range sortedKeys(u.Headers) {
		if name == "" || strings.ContainsAny(name, " \t\r\n:") || strings.ContainsAny(u.Headers[name], "\r\n\x00") {
			path := []string{"upstreams", u.Name, "headers", name}
			l.fault(l.place(u.Name, "headers", name), path, "is not an HTTP header", "")
		}
	}
	for _, name := range sortedKeys(u.Env) {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(u.Env[name], "\x00") {
			path := []string{"upstreams", u.Name, "env", name}
			l.fault(l.place(u.Name, "env", name), path, "is not an environment variable", "")
		}
	}
}

// command warns of a command that is not there; it may yet be installed.
func (l *loader) command(u *upstream.Config) {
	if strings.ContainsAny(u.Command, `/\`) && u.Cwd != "" {
		return // relative to cwd
	}
	if _, err := l.lookPath(u.Command); err != nil {
		l.problems.warn(l.place(u.Name, "command"), dotted([]string{"upstreams", u.Name, "command"}),
			fmt.Sprintf("command %s is not found", l.value(u.Name, "command", u.Command)), "install it, or write its full path")
	}
}

// value is a value as an error may show it.
func (l *loader) value(name, key, value string) string {
	for _, p := range [][]string{{"upstreams", name, key}, {"defaults", key}} {
		if n := l.places.value(p); n != nil {
			return n.show()
		}
	}
	return quote(value)
}
