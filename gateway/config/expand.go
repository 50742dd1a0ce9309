package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// expand replaces the variables in each scalar of a file. It runs after parsing,
// so a value can never become more than one scalar.
func (l *loader) expand(root *node) {
	for _, m := range root.members {
		e := expander{loader: l, client: isClientKey(m.key), style: m.key, owner: m.key}
		switch {
		case m.key == "$schema":
		case e.client && m.value.kind == table:
			for _, entry := range m.value.members {
				one := e
				one.bare, one.owner = isGemini(entry.value), ownerOf(m, entry)
				entry.value.scalars(entry.key, func(_ string, n *node) { one.node(n) })
			}
		case m.key == "upstreams" && m.value.kind == table:
			for _, entry := range m.value.members {
				one := e
				one.owner = ownerOf(m, entry)
				entry.value.scalars(entry.key, func(_ string, n *node) { one.node(n) })
			}
		default:
			m.value.scalars(m.key, func(_ string, n *node) { e.node(n) })
		}
	}
}

// ownerOf is the key of the upstream that an entry of a block becomes, "" if the
// block is wrapped in another.
func ownerOf(block, entry member) string {
	switch {
	case block.key == "upstreams":
		return dotted([]string{"upstreams", entry.key})
	case unwrapped(block).value == block.value:
		return dotted([]string{"upstreams", legalised(entry.key)})
	}
	return ""
}

// expander expands the scalars of one key of a file.
type expander struct {
	*loader
	// client says that the block came from a client, where "$$" is no escape.
	client bool
	style  string
	// bare says that $VAR is a variable, too, as in Gemini CLI.
	bare bool
	// owner is the key that faults are told of, as far as it is known by then.
	owner string
	src   *source
}

// isGemini tells whether a client's entry has a key that only Gemini CLI knows.
func isGemini(entry *node) bool {
	for _, key := range []string{"httpUrl", "includeTools", "excludeTools", "trust", "authProviderType"} {
		if entry.member(key) != nil {
			return true
		}
	}
	return false
}

var (
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// opencode's own forms.
	braces = regexp.MustCompile(`\{(env|file):([^{}]*)\}`)
	// Gemini CLI's own form.
	bareVariable = regexp.MustCompile(`\$([A-Za-z_][A-Za-z0-9_]*)`)
)

func (e *expander) node(n *node) {
	if n.kind != text {
		return
	}
	if e.style == "mcp" {
		n.text = braces.ReplaceAllString(n.text, "$${$1:$2}")
	}
	if !strings.Contains(n.text, "$") {
		return
	}
	if e.bare {
		n.text = bareVariable.ReplaceAllString(n.text, "$${$1}")
	} else if whole := bareVariable.FindString(n.text); e.client && whole == n.text {
		e.problems.warn(n.at, "", quote(whole)+" is taken as it is written", "write ${"+whole[1:]+"} for the variable")
	}
	e.src = n.at.src
	out, changed, err := e.text(n.text, n.at, 0)
	if err != nil {
		mend := ""
		if me := (*mendable)(nil); errors.As(err, &me) {
			mend = me.mend
		}
		e.problems.add(n.at, e.owner, err.Error(), mend)
		e.lost = e.lost || locates(e.style)
		// Faults of a value that was never known would only mislead.
		n.kind = null
		return
	}
	n.text = out
	if changed {
		n.expanded = true
		e.secrets = append(e.secrets, out)
	}
}

// mendable is an error that knows how to mend it.
type mendable struct{ text, mend string }

func (m *mendable) Error() string { return m.text }

// text expands s; changed says that a variable went into it.
func (e *expander) text(s string, at pos, depth int) (out string, changed bool, err error) {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			b.WriteString(s)
			return b.String(), changed, nil
		}
		b.WriteString(s[:i])
		s = s[i:]
		switch {
		case s[1] == '$' && (!e.client || strings.HasPrefix(s[2:], "{")):
			b.WriteByte('$')
			s = s[2:]
		case s[1] == '{':
			end := closing(s)
			if end < 0 {
				return "", false, &mendable{"a ${ without its }", "write $${ for a literal ${"}
			}
			if e.literal {
				e.refused = true
				return "", false, &mendable{"${" + short(s[2:end]) + "} is not read here", needsSocket}
			}
			v, own := e.own(s[2:end])
			if !own {
				if v, err = e.form(s[2:end], at, depth); err != nil {
					return "", false, err
				}
				changed = true
			}
			b.WriteString(v)
			s = s[end+1:]
		default:
			b.WriteByte('$')
			s = s[1:]
		}
	}
}

// closing returns the index of the } that belongs to the ${ at the start of s.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch {
		case s[i] == '{' && i > 0 && s[i-1] == '$':
			depth++
		case s[i] == '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// form expands what is between ${ and }.
func (e *expander) form(s string, at pos, depth int) (string, error) {
	if depth > 10 {
		return "", errors.New("variables are nested too deeply")
	}
	if name, rest, ok := strings.Cut(s, ":-"); ok && variable.MatchString(name) {
		if v := e.env[name]; v != "" {
			return v, nil
		}
		v, _, err := e.text(rest, at, depth+1)
		return v, err
	}
	if name, message, ok := strings.Cut(s, ":?"); ok && variable.MatchString(name) {
		if v := e.env[name]; v != "" {
			return v, nil
		}
		if message == "" {
			message = "is not set"
		}
		return "", &mendable{"variable " + name + ": " + message, "set it where interlock is started"}
	}
	if variable.MatchString(s) {
		return e.variable(s)
	}
	kind, arg, ok := strings.Cut(s, ":")
	if !ok {
		return "", unknownForm(s)
	}
	switch kind {
	case "env":
		if variable.MatchString(arg) {
			return e.variable(arg)
		}
	case "file":
		return e.secretFile(arg, at)
	case "keyring":
		v, err := e.keyring(arg)
		if err != nil {
			return "", fmt.Errorf("keyring entry %s: %w", quote(arg), err)
		}
		return v, nil
	case "input":
		return "", &mendable{"the client asks a person for ${" + s + "}, which interlock cannot", "use a variable such as ${TOKEN}"}
	}
	return "", unknownForm(s)
}

func unknownForm(s string) error {
	return &mendable{
		"${" + short(s) + "} is not a form of variable",
		"${VAR}, ${VAR:-default}, ${VAR:?message}, ${env:VAR}, ${file:path} or ${keyring:name}; write $${ for a literal ${",
	}
}

func short(s string) string { q := quote(s); return q[1 : len(q)-1] }

func (e *expander) variable(name string) (string, error) {
	v, ok := e.env[name]
	if !ok {
		return "", &mendable{"variable " + name + " is not set", "set it, or give a default: ${" + name + ":-...}"}
	}
	return v, nil
}

// own expands the variables that editors define themselves, which are no
// secrets.
func (e *expander) own(name string) (string, bool) {
	if !e.client {
		return "", false
	}
	switch name {
	case "userHome":
		return e.home("~"), true
	case "pathSeparator":
		return string(filepath.Separator), true
	case "workspaceFolder", "workspaceRoot":
		dir := e.src.dir
		if base := filepath.Base(dir); strings.HasPrefix(base, ".") && base != "." {
			dir = filepath.Dir(dir) // .vscode/mcp.json, .cursor/mcp.json
		}
		return dir, true
	case "workspaceFolderBasename":
		dir, _ := e.own("workspaceFolder")
		return filepath.Base(dir), true
	}
	return "", false
}

// secretFile returns what a file holds, without the newline at its end. A file
// that every user may read is remembered, to be refused.
func (e *expander) secretFile(name string, at pos) (string, error) {
	path := e.resolve(e.src, name)
	if path == "" {
		return "", errors.New("${file:} names no file")
	}
	e.paths = append(e.paths, path)
	data, err := readFile(path)
	if err != nil {
		return "", fmt.Errorf("cannot read %s: %s", quote(name), reason(err))
	}
	if runtime.GOOS != "windows" && worldReadable(path) {
		e.fileSecrets = append(e.fileSecrets, found{at, Problem{Text: quote(name) + " can be read by every user of this machine"}})
	}
	return strings.TrimRight(string(data), "\r\n"), nil
}
