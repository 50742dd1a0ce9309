package config

import "strings"

// aliases turns the spellings that other tools taught people into our own, in an
// entry of upstreams or in defaults.
func (l *loader) aliases(path []string, entry *node) {
	if entry.kind != table {
		return
	}
	l.rename(entry, path, "dependsOn", "depends_on")
	l.rename(entry, path, "working_dir", "cwd")
	if m := entry.member("restart"); m != nil {
		if m.value.kind == text || m.value.kind == boolean {
			policy := m.value
			m.value = &node{kind: table, at: policy.at, members: []member{{"policy", m.at, policy}}}
		}
		if policy := m.value.find("policy"); policy != nil {
			policy.kind, policy.text = policyOf(policy)
		}
	}
	if m := entry.member("depends_on"); m != nil {
		l.edges(child(path, "depends_on"), m)
	}
}

// rename gives a key its own name, unless the entry has that too.
func (l *loader) rename(entry *node, path []string, from, to string) {
	if entry.member(from) == nil {
		return
	}
	if own := entry.member(to); own != nil {
		m := entry.take(from)
		l.problems.add(m.at, dotted(child(path, from)), quote(from)+" and "+quote(to)+" are one key", "keep "+quote(to))
		return
	}
	entry.member(from).key = to
}

// policyOf reads the restart policies of container tools.
func policyOf(n *node) (kind, string) {
	switch {
	case n.kind == text && n.text == "no", n.kind == boolean && n.text == "false":
		return text, "never"
	case n.kind == text && (n.text == "on_error" || n.text == "on-error" || n.text == "on_failure"):
		return text, "on-failure"
	case n.kind == text && n.text == "unless-stopped":
		return text, "always"
	}
	return n.kind, n.text
}

// edges turns a list of names into a table, and the conditions of container
// tools into ours.
func (l *loader) edges(path []string, m *member) {
	if m.value.kind == text {
		m.value = &node{kind: list, at: m.value.at, items: []*node{m.value}}
	}
	if m.value.kind == list {
		names := &node{kind: table, at: m.value.at}
		for _, item := range m.value.items {
			first := names.member(item.text)
			switch {
			case item.kind != text || item.text == "":
				l.problems.add(item.at, dotted(path), `"depends_on" must hold names of upstreams, not `+item.kind.String(), "")
			case first != nil:
				l.problems.duplicate(item.at, item.text, first.at)
			default:
				names.put(item.text, item.at, &node{kind: table, at: item.at})
			}
		}
		m.value = names
	}
	for i := range m.value.members {
		edge := &m.value.members[i]
		if edge.value.kind == null {
			edge.value = &node{kind: table, at: edge.at}
		}
		c := edge.value.find("condition")
		if c == nil {
			continue
		}
		switch strings.TrimPrefix(c.text, "service_") {
		case "healthy", "running":
			c.text = "running"
		case "started":
			c.text = "started"
		}
	}
}
