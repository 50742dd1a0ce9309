package plugin

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/policy"
)

// Config is the section `plugin` of a policy: the program that decides, and how it
// is held. The koanf tags are the keys.
type Config struct {
	// Command is the program: a path, or a name that is looked up in the PATH of Env,
	// else in that of the gateway.
	Command string   `koanf:"command"`
	Args    []string `koanf:"args"`
	// Dir is where it begins, "" for where the gateway did.
	Dir string `koanf:"cwd"`
	// SHA256 is the checksum of the file Command, 64 hexadecimal digits. It is checked
	// before each start; "" checks nothing.
	SHA256 string `koanf:"sha256"`
	// Env is its whole environment, but for what go-plugin adds.
	Env map[string]string `koanf:"env"`
	// Config is for the plugin, which gets it as JSON.
	Config map[string]any `koanf:"config"`
	// Timeout is how long it may take for one decision, StartTimeout how long to be
	// ready for the first. Zero are 1s and 10s.
	Timeout      time.Duration `koanf:"timeout"`
	StartTimeout time.Duration `koanf:"start_timeout"`
	// MaxReply is how large a decision may be, in bytes. Zero is 1MiB.
	MaxReply int64   `koanf:"max_reply"`
	Health   Health  `koanf:"health"`
	Restart  Restart `koanf:"restart"`
}

// Health is how often the plugin is asked whether it lives, and how long it may
// take to say so. Zero are 10s and 1s.
type Health struct {
	Interval time.Duration `koanf:"interval"`
	Timeout  time.Duration `koanf:"timeout"`
}

// Restart is how long there is no plugin after it was lost: Delay at first, longer
// each time it is lost soon again, MaxDelay at most. Zero are 200ms and 30s.
type Restart struct {
	Delay    time.Duration `koanf:"delay"`
	MaxDelay time.Duration `koanf:"max_delay"`
}

// settled returns the configuration with its defaults.
func (c *Config) settled() Config {
	s := *c
	for _, d := range []struct {
		at *time.Duration
		is time.Duration
	}{
		{&s.Timeout, time.Second},
		{&s.StartTimeout, 10 * time.Second},
		{&s.Health.Interval, 10 * time.Second},
		{&s.Health.Timeout, time.Second},
		{&s.Restart.Delay, 200 * time.Millisecond},
		{&s.Restart.MaxDelay, max(30*time.Second, s.Restart.Delay)},
	} {
		if *d.at == 0 {
			*d.at = d.is
		}
	}
	if s.MaxReply == 0 {
		s.MaxReply = 1 << 20
	}
	return s
}

// Validate returns every fault, joined, each a *policy.FieldError. It starts
// nothing: what the plugin says of its own section is said by New.
func (c *Config) Validate() error {
	var errs []error
	bad := func(text, mend string, path ...string) {
		errs = append(errs, &policy.FieldError{Path: path, Text: text, Mend: mend})
	}
	if c.Command == "" {
		bad("is missing", "add the program that decides", "command")
	}
	if sum, err := hex.DecodeString(c.SHA256); err != nil || c.SHA256 != "" && len(sum) != 32 {
		bad("is not a SHA-256", "write the 64 hexadecimal digits that sha256sum prints", "sha256")
	}
	for name, value := range c.Env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.ContainsRune(value, 0) {
			bad("is not an environment variable", "", "env", name)
		}
	}
	if _, err := c.json(); err != nil {
		bad("cannot be said in JSON: "+err.Error(), "", "config")
	}
	s := c.settled()
	for _, d := range []struct {
		is   time.Duration
		path []string
	}{
		{s.Timeout, []string{"timeout"}},
		{s.StartTimeout, []string{"start_timeout"}},
		{s.Health.Interval, []string{"health", "interval"}},
		{s.Health.Timeout, []string{"health", "timeout"}},
		{s.Restart.Delay, []string{"restart", "delay"}},
		{s.Restart.MaxDelay, []string{"restart", "max_delay"}},
	} {
		if d.is < 0 {
			bad("must not be negative", "", d.path...)
		}
	}
	if s.Restart.MaxDelay < s.Restart.Delay {
		bad("is less than the delay, "+s.Restart.Delay.String(), "", "restart", "max_delay")
	}
	if s.MaxReply < 1<<10 || s.MaxReply > 1<<30 {
		bad("must be between 1KiB and 1GiB", "", "max_reply")
	}
	return errors.Join(errs...)
}

// Warnings are what is not wrong, but worth a thought.
func (c *Config) Warnings() []*policy.FieldError {
	var all []*policy.FieldError
	if c.Command == "" {
		return all
	}
	if path, err := c.program(); err != nil {
		all = append(all, &policy.FieldError{Path: []string{"command"}, Text: "cannot be started: " + err.Error()})
	} else if err := checksum(path, c.SHA256); err != nil {
		all = append(all, &policy.FieldError{Path: []string{"sha256"}, Text: "does not hold: " + err.Error()})
	}
	if c.SHA256 == "" {
		all = append(all, &policy.FieldError{
			Path: []string{"command"}, Text: "has no checksum: whoever can write the file decides what passes",
			Mend: "add sha256, which sha256sum prints",
		})
	}
	return all
}

// Files are the keys that name files: the command if it is a path, and where it
// begins.
func (c *Config) Files() []policy.File {
	all := []policy.File{{Path: []string{"cwd"}, Value: &c.Dir}}
	if isPath(c.Command) {
		all = append(all, policy.File{Path: []string{"command"}, Value: &c.Command})
	}
	return all
}

// isPath reports whether a command is no name to be looked up.
func isPath(command string) bool {
	return strings.ContainsAny(command, `/\`) || strings.HasPrefix(command, "~")
}

// json is the section for the plugin, an object.
func (c *Config) json() ([]byte, error) {
	if c.Config == nil {
		return []byte("{}"), nil
	}
	return json.Marshal(c.Config)
}

// program returns the path of the command.
func (c *Config) program() (string, error) {
	if path, ok := c.Env["PATH"]; ok && !isPath(c.Command) {
		for _, dir := range filepath.SplitList(path) {
			if found, err := exec.LookPath(filepath.Join(dir, c.Command)); err == nil && filepath.IsAbs(dir) {
				return found, nil
			}
		}
		return "", fmt.Errorf("command %q was not found in PATH (%s)", c.Command, path)
	}
	return exec.LookPath(c.Command)
}
