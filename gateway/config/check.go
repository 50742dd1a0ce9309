package config

import (
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/upstream"
)

// itself tells whether an upstream is this gateway: its endpoint, a bridge to
// it, or its own program. It returns the key that says so, and why.
func (l *loader) itself(u *upstream.Config, cfg *Config) (key, why string) {
	if u.URL != "" && ownEndpoint(u.URL, &cfg.Server) {
		return "url", "is this gateway's own endpoint"
	}
	if u.Command == "" {
		return "", ""
	}
	for i, word := range append([]string{u.Command}, u.Args...) {
		switch {
		case i > 0 && strings.Contains(word, "://") && ownEndpoint(word, &cfg.Server):
			return "args", "lead to this gateway's own endpoint"
		case program(word) == "interlock" && (i == 0 || program(u.Command) != "interlock") && serves(u.Args[i:]):
			return "command", "is this gateway itself"
		}
	}
	return "", ""
}

func program(path string) string {
	base := filepath.Base(strings.ReplaceAll(path, `\`, "/"))
	return strings.TrimSuffix(strings.ToLower(base), ".exe")
}

func serves(args []string) bool {
	return slices.Contains(args, "serve") || slices.Contains(args, "stdio")
}

// ownEndpoint tells whether a URL is the MCP endpoint of s, or a view below it.
func ownEndpoint(raw string, s *Server) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return false
	}
	under := func(base string) bool {
		p := strings.TrimSuffix(u.Path, "/")
		return p == strings.TrimSuffix(base, "/") || strings.HasPrefix(p, strings.TrimSuffix(base, "/")+"/")
	}
	if own, err := url.Parse(s.PublicURL); err == nil && own.Host != "" && strings.EqualFold(own.Host, u.Host) && under(own.Path) {
		return true
	}
	host, port, err := net.SplitHostPort(s.Listen)
	if err != nil {
		return false
	}
	theirs := u.Port()
	if theirs == "" {
		theirs = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	same := strings.EqualFold(u.Hostname(), host) || loopback(u.Hostname()) && (loopback(host) || unspecified(host))
	return same && port == theirs && under(s.Path)
}

func unspecified(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// renames reports names that two tools are given by the configuration alone.
func (l *loader) renames(cfg *Config) {
	type taken struct{ upstream, tool string }
	seen := map[string]taken{}
	for i := range cfg.Upstreams {
		u := &cfg.Upstreams[i]
		if !u.Enabled {
			continue
		}
		prefix := u.NamePrefix()
		if prefix != "" {
			prefix += cfg.Names.Separator
		}
		for _, tool := range sortedKeys(u.Tools.Rename) {
			name := prefix + u.Tools.Rename[tool]
			if first, ok := seen[name]; ok {
				path := []string{"upstreams", u.Name, "tools", "rename", tool}
				l.fault(l.place(u.Name, "tools", "rename", tool), path,
					"is called "+quote(name)+", as is "+quote(first.tool)+" of "+quote(first.upstream), "give each its own name")
				continue
			}
			seen[name] = taken{u.Name, tool}
		}
	}
}

// prefix gives an upstream a prefix that models accept where its name is none:
// names may have dots, and the names of clients' entries the separator, too.
func (l *loader) prefix(u *upstream.Config, cfg *Config) {
	if u.Prefix != nil || cfg.Names.CheckPrefix(u.Name) == nil {
		return
	}
	p := strings.ReplaceAll(u.Name, ".", "-")
	if slices.Contains(l.fromClient, u.Name) {
		sep := cfg.Names.Separator
		for sep != "" && strings.Contains(p, sep) {
			p = strings.ReplaceAll(p, sep, sep[:len(sep)/2])
		}
		for p != "" && cfg.Names.CheckPrefix(p) != nil {
			p = p[:len(p)-1]
		}
		if p == "" {
			return
		}
		l.problems.warn(l.place(u.Name), "", "the tools of "+quote(u.Name)+" have the prefix "+quote(p), "set another with prefix")
	}
	if cfg.Names.CheckPrefix(p) == nil {
		u.Prefix = &p
	}
}
