package config

import (
	"regexp"
	"slices"
	"strings"
)

// clientKeys are the keys under which clients keep their servers: most of them,
// VS Code, Codex, Zed, opencode.
var clientKeys = []string{"mcpServers", "servers", "mcp_servers", "context_servers", "mcp"}

func isClientKey(key string) bool { return slices.Contains(clientKeys, key) }

// translate turns a file into the form of document: aliases into our keys, and
// the blocks of clients into entries of upstreams, in the order of the file.
func (l *loader) translate(root *node) {
	if d := root.find("defaults"); d != nil {
		l.aliases([]string{"defaults"}, d)
	}
	if !slices.ContainsFunc(root.members, func(m member) bool { return isClientKey(m.key) }) {
		if ups := root.find("upstreams"); ups != nil {
			for _, m := range ups.members {
				l.aliases([]string{"upstreams", m.key}, m.value)
			}
		}
		return
	}
	l.foreign(root)
	all := &node{kind: table}
	add := func(m member) {
		if first := all.member(m.key); first != nil {
			l.problems.duplicate(m.at, m.key, first.at)
			return
		}
		l.aliases([]string{"upstreams", m.key}, m.value)
		all.members = append(all.members, m)
	}
	kept := root.members[:0:0]
	for _, m := range root.members {
		switch {
		case m.key == "upstreams" && m.value.kind == table:
			for _, entry := range m.value.members {
				add(entry)
			}
		case isClientKey(m.key):
			all.at = m.at
			for _, entry := range l.block(m) {
				add(entry)
			}
		default:
			kept = append(kept, m)
		}
	}
	root.members = append(kept, member{"upstreams", all.at, all})
}

// foreign takes the keys out of a client's file that are the client's own
// settings. In a file with keys of ours an unknown key stays, an error.
func (l *loader) foreign(root *node) {
	own := sortedKeys(keysOf(documentType))
	if m := root.take("inputs"); m != nil {
		l.problems.warn(m.at, m.key, `"inputs" is ignored: the gateway asks nobody`, "use variables: ${VAR}")
	}
	if slices.ContainsFunc(root.members, func(m member) bool { return m.key != "$schema" && slices.Contains(own, m.key) }) {
		return
	}
	kept := root.members[:0:0]
	var ignored []string
	at := root.at
	for _, m := range root.members {
		// A misspelt key of ours is no setting of a client's.
		if m.key == "$schema" || isClientKey(m.key) || nearest(m.key, own) != "" && m.key != "telemetry" {
			kept = append(kept, m)
			continue
		}
		if ignored == nil {
			at = m.at
		}
		ignored = append(ignored, m.key)
	}
	root.members = kept
	if len(ignored) > 0 {
		more := ""
		if len(ignored) > 5 {
			ignored, more = ignored[:5], ", ..."
		}
		l.problems.warn(at, "", "the client's own settings are ignored: "+strings.Join(ignored, ", ")+more, "")
	}
}

// block returns the entries of a client's block in our form.
func (l *loader) block(m member) []member {
	if m.value.kind == null {
		return nil
	}
	if m.value.kind != table {
		l.problems.add(m.value.at, m.key, quote(m.key)+" must be "+table.String()+", not "+m.value.kind.String(), "")
		return nil
	}
	m = unwrapped(m)
	var out []member
	for _, entry := range m.value.members {
		name := l.clientName(entry)
		if entry.value.kind == table {
			(&clientEntry{loader: l, block: m.key, path: []string{m.key, entry.key}, node: entry.value}).translate()
		}
		out = append(out, member{name, entry.at, entry.value})
	}
	return out
}

// unwrapped returns the block that holds the entries: VS Code's settings.json had
// {"mcp": {"servers": {...}}}.
func unwrapped(m member) member {
	if s := m.value.find("servers"); m.key == "mcp" && s != nil && s.kind == table && s.find("type") == nil {
		return member{"servers", m.at, s}
	}
	return m
}

var illegalInName = regexp.MustCompile(`[^A-Za-z0-9_.-]+`)

// clientName is the name of a client's entry as an upstream may have it: clients
// allow spaces and more.
func (l *loader) clientName(entry member) string {
	name := legalised(entry.key)
	if name != entry.key {
		l.problems.warn(entry.at, "", quote(entry.key)+" is called "+quote(name)+" here", "names have 1 to 64 letters, digits, _ . or -")
	}
	l.fromClient = append(l.fromClient, name)
	return name
}

func legalised(key string) string {
	name := strings.Trim(illegalInName.ReplaceAllString(key, "-"), "-")
	if name == "" || strings.Trim(name, ".") == "" {
		name = key // reported with the upstream
	}
	return name[:min(len(name), 64)]
}
