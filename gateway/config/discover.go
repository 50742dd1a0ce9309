package config

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// discover returns the file to read when none was named: interlock.yaml, .yml,
// .json or .toml in dir, then interlock/interlock.yaml in the user's config
// folder. A .mcp.json is never looked for: it may come with a stranger's
// repository. Names are relative to dir.
func discover(dir string, env map[string]string) (string, error) {
	isFile := func(path string) bool {
		info, err := os.Stat(path)
		return err == nil && !info.IsDir()
	}
	for _, ending := range []string{"yaml", "yml", "json", "toml"} {
		name := "interlock." + ending
		if isFile(filepath.Join(dir, name)) {
			return name, nil
		}
	}
	where := "./interlock.yaml (.yml, .json, .toml)"
	if d := configDir(env); d != "" {
		file := filepath.Join(d, "interlock", "interlock.yaml")
		if isFile(file) {
			return file, nil
		}
		where += " or " + file
	}
	return "", fmt.Errorf(`%w: no %s

To begin, write interlock.yaml:

    upstreams:
      everything:
        command: npx
        args: ["-y", "@modelcontextprotocol/server-everything"]

or name a file with -c: one in this form, or the mcpServers file of a client
(claude_desktop_config.json, .mcp.json, .cursor/mcp.json, ...)`, ErrNoFile, where)
}

// configDir is os.UserConfigDir over env, "" for none.
func configDir(env map[string]string) string {
	switch runtime.GOOS {
	case "windows":
		return env["AppData"]
	case "darwin":
		if env["HOME"] != "" {
			return filepath.Join(env["HOME"], "Library", "Application Support")
		}
	default:
		if filepath.IsAbs(env["XDG_CONFIG_HOME"]) {
			return env["XDG_CONFIG_HOME"]
		}
		if env["HOME"] != "" {
			return filepath.Join(env["HOME"], ".config")
		}
	}
	return ""
}

// home replaces a leading ~ by the user's home folder.
func (l *loader) home(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || rest != "" && rest[0] != '/' && rest[0] != filepath.Separator {
		return path
	}
	home := l.env["HOME"]
	if home == "" {
		home = l.env["USERPROFILE"]
	}
	if home == "" {
		return path
	}
	return home + rest
}

// resolve makes a path of a source absolute.
func (l *loader) resolve(s *source, path string) string {
	if path = l.home(path); path == "" || filepath.IsAbs(path) {
		return path
	}
	dir := l.dir
	if s != nil && s.dir != "" {
		dir = s.dir
	}
	path = filepath.Join(dir, path)
	if abs, err := filepath.Abs(path); err == nil {
		path = abs
	}
	return path
}
