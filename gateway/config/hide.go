package config

import (
	"os"
	"strings"
)

// hide notes the literal secrets of a file, so that no line of it is shown with
// them: what stands in env and headers, and what has a key that says so.
func (l *loader) hide(root *node) {
	var walk func(n *node, key string, secret bool)
	walk = func(n *node, key string, secret bool) {
		switch n.kind {
		case table:
			for _, m := range n.members {
				walk(m.value, m.key, secret || secretTable(m.key) || secretKey.MatchString(m.key))
			}
		case list:
			for _, item := range n.items {
				walk(item, key, secret)
			}
		case text:
			if secret && len(n.text) > 2 && !strings.Contains(n.text, "$") && n.at.src != nil {
				n.at.src.hidden = append(n.at.src.hidden, n.text)
			}
		}
	}
	walk(root, "", false)
}

// secretTable tells whether all the values of a table may be secrets.
func secretTable(key string) bool {
	switch key {
	case "env", "environment", "envs", "headers", "http_headers":
		return true
	}
	return false
}

// worldReadable tells whether every user of the machine may read a file. What
// is mounted or linked into a container by its runtime counts by its own mode.
func worldReadable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o004 != 0
}
