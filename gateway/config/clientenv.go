package config

import "strings"

// bearer reads Codex's name of the variable that holds a token.
func (e *clientEntry) bearer(m member) {
	e.node.take(m.key)
	if v := e.fromEnv(m); v != nil {
		v.text = "Bearer " + v.text
		e.secrets = append(e.secrets, v.text)
		e.table("headers", m.at).put("Authorization", m.at, v)
	}
}

// headersFromEnv reads Codex's headers whose values are names of variables.
func (e *clientEntry) headersFromEnv(m member) {
	e.node.take(m.key)
	for _, h := range m.value.members {
		if v := e.fromEnv(h); v != nil {
			e.table("headers", m.at).put(h.key, h.at, v)
		}
	}
}

// fromEnv returns the variable that m's value names, nil if there is none, which
// is reported.
func (e *clientEntry) fromEnv(m member) *node {
	if e.literal {
		e.refuse(m.value.at, dotted(child(e.path, m.key)), "names a variable, which is not read here")
		return nil
	}
	value, ok := e.env[m.value.text]
	if m.value.kind != text || !ok {
		e.problems.add(m.value.at, dotted(child(e.path, m.key)), "variable "+short(m.value.text)+" is not set", "set it where interlock is started")
		return nil
	}
	e.secrets = append(e.secrets, value)
	return &node{kind: text, at: m.value.at, text: value, expanded: true}
}

// table returns the table under a key of the entry, made if there is none.
func (e *clientEntry) table(key string, at pos) *node {
	n := e.node.find(key)
	if n == nil || n.kind != table {
		n = &node{kind: table, at: at}
		e.node.put(key, at, n)
	}
	return n
}

// envFile reads a file of KEY=value lines under the entry's own env.
func (e *clientEntry) envFile(m member) {
	e.node.take(m.key)
	if e.literal {
		e.refuse(m.value.at, dotted(child(e.path, m.key)), "names a file, which is not read here")
		return
	}
	path := e.resolve(m.at.src, m.value.text)
	e.paths = append(e.paths, path)
	data, err := readFile(path)
	if err != nil {
		e.problems.add(m.value.at, dotted(child(e.path, m.key)), "cannot read "+m.value.show()+": "+reason(err), "")
		return
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "export "))
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || key == "" || key[0] == '#' {
			continue
		}
		value = strings.TrimSpace(value)
		if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
			value = value[1 : n-1]
		} else if i := strings.Index(value, " #"); i >= 0 {
			value = strings.TrimSpace(value[:i])
		}
		if env := e.table("env", m.at); env.find(key) == nil {
			env.put(key, m.value.at, &node{kind: text, at: m.value.at, text: value, expanded: true})
			e.secrets = append(e.secrets, value)
		}
	}
}
