package config

import (
	"os"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/identity"
)

// hide notes the literal secrets of a file, so that no line of it is shown with
// them: what stands in env and headers, and what has a key that says so; and the
// addresses of webhooks, where often nothing else says who asks.
func (l *loader) hide(root *node) {
	hooks := false // below alerts
	var kinds []*node
	if all := root.find("policies"); all != nil {
		kinds = all.items
	}
	// Keys are there as hashes; whose they are is no secret.
	keys := root.find("server").find("auth").find("api_keys")
	var walk func(n *node, secret bool)
	walk = func(n *node, secret bool) {
		switch n.kind {
		case table:
			for _, m := range n.members {
				if n == root {
					hooks = m.key == "alerts"
				}
				// What a policy is called says what it looks for.
				kind := slices.Contains(kinds, n) && m.value.kind != text
				hash := keys != nil && m.key == "hash" && slices.Contains(keys.items, n)
				named := isSecretKey(m.key) && (keys == nil || m.value != keys)
				walk(m.value, secret || !kind && (secretTable(m.key) || named || hash))
			}
		case list:
			flag := false // the item before is a flag such as --token
			for _, item := range n.items {
				walk(item, secret || flag)
				flag = item.kind == text && strings.HasPrefix(item.text, "-") && secretKey.MatchString(item.text)
			}
		case text:
			if n.at.src == nil {
				return
			}
			for _, s := range secretsIn(n.text, secret || hooks && strings.Contains(n.text, "://")) {
				if len(s) > 2 && !strings.Contains(s, "$") {
					n.at.src.hidden = append(n.at.src.hidden, s)
				}
			}
		}
	}
	walk(root, false)
}

// isSecretKey tells whether a key says that its value is a secret, also when it
// is misspelt.
func isSecretKey(key string) bool {
	return secretKey.MatchString(key) || nearest(key, []string{"token", "secret", "password", "authorization", "api_key"}) != ""
}

// secretsIn returns the literal secrets of a text: all of it, a key of ours, the
// password of a URL, or the value of --token=value.
func secretsIn(s string, all bool) []string {
	if all || strings.HasPrefix(s, identity.KeyPrefix) {
		return []string{s}
	}
	if flag, value, ok := strings.Cut(s, "="); ok && strings.HasPrefix(flag, "-") && secretKey.MatchString(flag) {
		return []string{value}
	}
	if _, rest, ok := strings.Cut(s, "://"); ok {
		if user, _, ok := strings.Cut(rest, "@"); ok && !strings.Contains(user, "/") {
			_, password, _ := strings.Cut(user, ":")
			return []string{password}
		}
	}
	return nil
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
