package config

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// clientEntry is one server of a client's block on its way to our form.
type clientEntry struct {
	*loader
	block string
	path  []string
	node  *node
}

// sameAs are keys of clients that only have another name here.
var sameAs = map[string]string{
	"type": "transport", "environment": "env", "envs": "env",
	"httpUrl": "url", "serverUrl": "url", "uri": "url",
	"http_headers": "headers", "workingDirectory": "cwd", "working_directory": "cwd",
	"env_vars": "pass_env",
}

// notOurs are keys of clients without a meaning for a gateway, and what to do.
var notOurs = map[string]string{
	"autoApprove": "the client approves calls", "alwaysAllow": "the client approves calls", "trust": "the client approves calls",
	"default_tools_approval_mode": "the client approves calls", "required": "",
	"description": "", "version": "", "gallery": "", "dev": "", "source": "", "settings": "", "icon": "", "watchPaths": "",
	"sandbox": "", "sandboxEnabled": "", "disabledPrompts": "", "toolSchemaMode": "",
	"oauth_resource": "the server says what it is called",
	"headersHelper":  "send a header: headers: {Authorization: ...}",
}

// translate changes the entry in place. What has no meaning here is taken out
// with a warning; what is unknown, too, with the nearest key.
func (e *clientEntry) translate() {
	e.oldCommand()
	for _, m := range slices.Clone(e.node.members) {
		if to, ok := sameAs[m.key]; ok {
			e.become(m, to)
			continue
		}
		switch m.key {
		case "disabled":
			e.disabled(m)
		case "includeTools", "enabled_tools":
			e.globs(m, "allow")
		case "excludeTools", "disabled_tools", "disabledTools":
			e.globs(m, "deny")
		case "timeout", "tool_timeout_sec", "startup_timeout_sec", "startup_timeout_ms":
			e.timeout(m)
		case "bearer_token_env_var":
			e.bearer(m)
		case "env_http_headers":
			e.headersFromEnv(m)
		case "envFile":
			e.envFile(m)
		case "auth", "oauth", "authProviderType", "scopes":
			e.signIn(m)
		}
	}
	if t := e.node.find("transport"); t != nil {
		e.transport(t)
	}
	e.leftovers()
}

// become gives a key its name here. Where the entry has that already, tables
// are merged and anything else is left out with a warning.
func (e *clientEntry) become(m member, to string) {
	e.node.take(m.key)
	if own := e.node.find(to); own != nil && own.kind == table && m.value.kind == table {
		for _, inner := range m.value.members {
			if own.find(inner.key) == nil {
				own.put(inner.key, inner.at, inner.value)
			}
		}
		return
	}
	if e.node.find(to) != nil {
		e.warn(m, quote(m.key)+" is ignored, there is "+quote(to), "")
		return
	}
	e.node.put(to, m.at, m.value)
	if m.key == "httpUrl" && e.node.find("transport") == nil && e.node.find("type") == nil {
		e.node.put("transport", m.at, &node{kind: text, at: m.at, text: "http"})
	}
}

func (e *clientEntry) warn(m member, what, mend string) {
	e.problems.warn(m.at, dotted(child(e.path, m.key)), what, mend)
}

// oldCommand reads a command that is a list (opencode) or a table (Zed, once).
func (e *clientEntry) oldCommand() {
	m := e.node.member("command")
	if m == nil {
		return
	}
	switch m.value.kind {
	case list:
		items := m.value.items
		if len(items) == 0 {
			e.node.take("command")
			return
		}
		m.value = items[0]
		rest := items[1:]
		if args := e.node.find("args"); args != nil && args.kind == list {
			args.items = append(slices.Clone(rest), args.items...)
		} else if len(rest) > 0 {
			e.node.put("args", rest[0].at, &node{kind: list, at: rest[0].at, items: rest})
		}
	case table:
		e.node.take("command")
		for _, inner := range m.value.members {
			if inner.key == "path" {
				inner.key = "command"
			}
			e.node.put(inner.key, inner.at, inner.value)
		}
	}
}

func (e *clientEntry) transport(t *node) {
	switch strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(t.text)) {
	case "stdio", "local", "command":
		t.text = "stdio"
	case "http", "streamablehttp":
		t.text = "http"
	case "sse":
		t.text = "sse"
	case "remote", "": // the url decides
		e.node.take("transport")
	}
}

func (e *clientEntry) disabled(m member) {
	e.node.take(m.key)
	if m.value.kind != boolean {
		e.problems.add(m.value.at, dotted(child(e.path, m.key)), `"disabled" must be true or false, not `+m.value.kind.String(), "")
		return
	}
	e.node.put("enabled", m.at, &node{kind: boolean, at: m.value.at, text: strconv.FormatBool(m.value.text == "false")})
}

// globs puts names of tools into tools.allow or tools.deny, which take globs.
func (e *clientEntry) globs(m member, key string) {
	e.node.take(m.key)
	if m.value.kind != list || len(m.value.items) == 0 {
		return
	}
	escape := strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`)
	for _, item := range m.value.items {
		if _, err := path.Match(item.text, ""); err != nil || strings.ContainsAny(item.text, `\*?[`) {
			item.text = escape.Replace(item.text)
		}
	}
	tools := e.node.find("tools")
	if tools == nil || tools.kind != table {
		tools = &node{kind: table, at: m.at}
		e.node.put("tools", m.at, tools)
	}
	tools.put(key, m.at, m.value)
}

// timeout reads a client's deadline. Some mean seconds, others milliseconds; no
// tool's deadline is under a second, and few are over an hour.
func (e *clientEntry) timeout(m member) {
	if m.value.kind != number {
		return // a duration: our own key, or reported as unknown
	}
	e.node.take(m.key)
	n, err := strconv.ParseFloat(m.value.text, 64)
	if err != nil || n <= 0 || n > 1e10 {
		e.warn(m, quote(m.key)+" is ignored: "+m.value.show()+" is no deadline", "write call_timeout: 60s")
		return
	}
	to, unit := "call_timeout", "ms"
	switch {
	case strings.HasPrefix(m.key, "startup"):
		to = "start_timeout"
		if strings.HasSuffix(m.key, "_sec") {
			unit = "s"
		}
	case strings.HasSuffix(m.key, "_sec"), n < 1000, n <= 3600 && e.node.member("autoApprove") != nil, n <= 3600 && e.node.member("alwaysAllow") != nil:
		unit = "s"
	}
	if e.node.find(to) != nil {
		e.warn(m, quote(m.key)+" is ignored, there is "+quote(to), "")
		return
	}
	value := m.value.text + unit
	e.node.put(to, m.at, &node{kind: text, at: m.value.at, text: value})
	if m.key == "timeout" {
		e.warn(m, fmt.Sprintf(`"timeout": %s is taken as %s`, m.value.text, value), "the key here is "+to+": "+value)
	}
}

// leftovers takes out what is no key of an upstream.
func (e *clientEntry) leftovers() {
	own := keysOf(upstreamType)
	for _, m := range slices.Clone(e.node.members) {
		mend, foreign := notOurs[m.key]
		_, known := own[m.key]
		switch {
		case foreign && !known:
			e.warn(m, quote(m.key)+" is ignored", mend)
		case known || m.key == "dependsOn" || m.key == "working_dir":
			continue
		default:
			names := append(sortedKeys(own), sortedKeys(sameAs)...)
			e.warn(m, "unknown key "+quote(m.key)+" is ignored", didYouMean(m.key, names))
		}
		e.node.take(m.key)
	}
}
