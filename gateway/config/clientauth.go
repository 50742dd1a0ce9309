package config

import (
	"reflect"
	"slices"
	"strings"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// registered are the keys under which clients keep what an authorization server knows
// them by, or what to ask it for: Claude Code, VS Code, Gemini CLI, opencode; Cursor.
var registered = map[string]string{
	"clientId": "client_id", "client_id": "client_id", "CLIENT_ID": "client_id",
	"clientSecret": "client_secret", "client_secret": "client_secret", "CLIENT_SECRET": "client_secret",
	"scope": "scopes", "scopes": "scopes", "issuer": "issuer",
}

// signIn reads a key that says how a client signs in.
func (e *clientEntry) signIn(m member) {
	switch {
	case e.node.member("command") != nil:
		e.node.take(m.key)
		e.warn(m, quote(m.key)+" is ignored: a process is not signed in to", "")
	case m.key == "auth":
		e.cursor(m)
	case m.key == "oauth":
		e.oauth(m)
	case m.key == "authProviderType":
		e.provider(m)
	case m.key == "scopes": // Codex
		e.node.take(m.key)
		e.scopes(m, m)
	}
}

// oauth reads a client's own settings of OAuth. Without any, it signs in as we do.
func (e *clientEntry) oauth(m member) {
	e.node.take(m.key)
	if m.value.kind == boolean {
		if m.value.text == "false" { // opencode
			e.auth(m).put("flow", m.at, &node{kind: text, at: m.value.at, text: "none"})
		}
		return
	}
	if m.value.kind != table {
		e.warn(m, quote(m.key)+" is ignored", "")
		return
	}
	e.registration(m, m.value)
}

// registration puts the keys of a client's own table into auth.
func (e *clientEntry) registration(m member, from *node) {
	inner := &clientEntry{loader: e.loader, block: e.block, path: child(e.path, m.key), node: from}
	for _, k := range slices.Clone(from.members) {
		to, known := registered[k.key]
		switch {
		case known && to == "scopes":
			e.scopes(m, k)
		case known:
			e.auth(m).put(to, k.at, k.value)
			if to == "client_id" {
				inner.warn(k, "the client was registered for another program", "register the gateway's redirect URI with it, too: docs/sign-in.md")
			}
		case k.key == "enabled" && k.value.text == "false": // Gemini CLI
			e.auth(m).put("flow", k.at, &node{kind: text, at: k.value.at, text: "none"})
		case k.key == "enabled":
		default:
			inner.warn(k, quote(k.key)+" is ignored: the gateway asks the server", "")
		}
	}
}

// cursor reads Cursor's key auth, which is one of ours, too, with other keys.
func (e *clientEntry) cursor(m member) {
	if m.value.kind != table {
		e.node.take(m.key)
		e.warn(m, quote(m.key)+" is ignored", "")
		return
	}
	theirs := &node{kind: table, at: m.value.at}
	for _, key := range []string{"CLIENT_ID", "CLIENT_SECRET"} {
		if k := m.value.take(key); k != nil {
			theirs.put(key, k.at, k.value)
		}
	}
	own := keysOf(reflect.TypeFor[oauth.Config]())
	for _, k := range slices.Clone(m.value.members) {
		if _, known := own[k.key]; !known {
			m.value.take(k.key)
			e.problems.warn(k.at, dotted(child(child(e.path, m.key), k.key)), "unknown key "+quote(k.key)+" is ignored", didYouMean(k.key, sortedKeys(own)))
		}
	}
	e.registration(m, theirs)
}

// scopes reads a list, or a text with spaces between.
func (e *clientEntry) scopes(m, k member) {
	value := k.value
	if value.kind == text {
		value = &node{kind: list, at: k.value.at}
		for s := range strings.FieldsSeq(k.value.text) {
			value.items = append(value.items, &node{kind: text, at: k.value.at, text: s, expanded: k.value.expanded})
		}
	}
	e.auth(m).put("scopes", k.at, value)
}

// provider reads Gemini CLI's way of signing in; the first is ours as well.
func (e *clientEntry) provider(m member) {
	e.node.take(m.key)
	if m.value.text != "dynamic_discovery" {
		e.warn(m, quote(m.key)+" is ignored", "write auth: {flow: client_credentials, ...}, or send a header: headers: {Authorization: ...}")
	}
}

// auth is the entry's auth in our form.
func (e *clientEntry) auth(m member) *node { return e.table("auth", m.at) }
