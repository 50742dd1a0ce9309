package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/interlock-mcp/interlock/gateway/alert"
	"github.com/interlock-mcp/interlock/gateway/identity"
	"github.com/interlock-mcp/interlock/policy/builtin"
	"github.com/interlock-mcp/interlock/router"
	"github.com/interlock-mcp/interlock/telemetry"
	"github.com/interlock-mcp/interlock/upstream"
)

// Config is a complete, valid configuration. It is not changed once loaded.
type Config struct {
	Server Server
	Admin  Admin
	Names  router.Config
	// Upstreams are in the order of the file, which decides collisions; the
	// disabled ones are among them.
	Upstreams []upstream.Config
	// Policies are in the order in which they are consulted before a call.
	Policies []builtin.Config
	// Profiles are in the order of the file: a principal that several list gets the
	// first.
	Profiles  []Profile
	Alerts    alert.Config
	SignIn    SignIn
	Telemetry telemetry.Config
	// StateDir is an absolute path, "" if the user has no state folder.
	StateDir string
	// Sources are the files that were read, the first one named first: those
	// given, what they include, and the files of secrets. Watch them.
	Sources []string
	// Warnings are what does not keep the gateway from starting.
	Warnings []Problem

	// secrets are the values that came from variables.
	secrets []string
	// defaults are keys of an upstream, for all that are added; insecureFiles allows
	// them files of secrets that every user may read.
	defaults      map[string]any
	insecureFiles bool
}

// Server is the face to clients: the `server` section.
type Server struct {
	// Listen is the address of the MCP endpoint, Path its path.
	Listen string `koanf:"listen"`
	Path   string `koanf:"path"`
	// PublicURL is what clients call it behind a proxy, "" for none.
	PublicURL string `koanf:"public_url"`
	// Name is the name the gateway tells clients in serverInfo.
	Name string `koanf:"name"`
	// AllowedOrigins are Origins besides none and loopback pages, such as
	// https://app.example.com; AllowedHosts are host names besides loopback.
	AllowedOrigins []string `koanf:"allowed_origins"`
	AllowedHosts   []string `koanf:"allowed_hosts"`
	// MaxBody is the cap of a request's body in bytes.
	MaxBody int64 `koanf:"max_body"`
	// SessionTimeout ends a legacy session that was idle for so long.
	SessionTimeout time.Duration `koanf:"session_timeout"`
	// MaxSessions is how many legacy sessions there may be at once.
	MaxSessions int `koanf:"max_sessions"`
	// ListWait is how long a first list waits for upstreams whose inventory was
	// never learnt.
	ListWait time.Duration `koanf:"list_wait"`
	// DrainTimeout is how long calls in flight may take at the end;
	// ShutdownTimeout is the whole budget, drain and stops.
	DrainTimeout    time.Duration `koanf:"drain_timeout"`
	ShutdownTimeout time.Duration `koanf:"shutdown_timeout"`
	// TLS has the endpoint served over HTTPS.
	TLS ServerTLS `koanf:"tls"`
	// TrustedProxies are the addresses, such as 10.0.0.0/8, of proxies whose
	// X-Forwarded-* and Forwarded headers are believed.
	TrustedProxies []string `koanf:"trusted_proxies"`
	// InsecureListen allows an address beyond loopback without authentication.
	InsecureListen bool `koanf:"insecure_listen"`
	// Auth says who may use the endpoint; without it, everybody who reaches it.
	Auth identity.Config `koanf:"auth"`
}

// Admin is the operator's side: the `admin` section.
type Admin struct {
	// Listen is a loopback address such as 127.0.0.1:7778, "" for a unix socket
	// in the state folder.
	Listen string `koanf:"listen"`
	// Token is what a TCP listener asks for; "" has one made.
	Token string `koanf:"token"`
}

// Defaults returns the configuration that an empty file has. StateDir is empty.
func Defaults() Config {
	return Config{
		Server: Server{
			Listen:          "127.0.0.1:7777",
			Path:            "/mcp",
			Name:            "interlock",
			MaxBody:         4 << 20,
			SessionTimeout:  time.Hour,
			MaxSessions:     20_000,
			ListWait:        3 * time.Second,
			DrainTimeout:    10 * time.Second,
			ShutdownTimeout: 20 * time.Second,
		},
		Names:     router.Defaults(),
		SignIn:    SignIn{Store: AutoStore},
		Telemetry: telemetry.Defaults(),
	}
}

// Upstream returns the upstream of that name, nil for none.
func (c *Config) Upstream(name string) *upstream.Config {
	for i := range c.Upstreams {
		if c.Upstreams[i].Name == name {
			return &c.Upstreams[i]
		}
	}
	return nil
}

// DefaultStateDir returns the folder for what outlives the gateway: interlock in
// $XDG_STATE_HOME (~/.local/state), in ~/Library/Application Support on macOS and
// in %LocalAppData% on Windows. It does not make it. The error says that the
// user has no such folder.
func DefaultStateDir() (string, error) { return defaultStateDir(os.Getenv) }

func defaultStateDir(getenv func(string) string) (string, error) {
	home := getenv("HOME")
	switch runtime.GOOS {
	case "windows":
		if d := getenv("LocalAppData"); d != "" {
			return filepath.Join(d, "interlock"), nil
		}
		return "", errors.New("%LocalAppData% is not set: set state_dir")
	case "darwin":
		if home != "" {
			return filepath.Join(home, "Library", "Application Support", "interlock"), nil
		}
	default:
		if d := getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
			return filepath.Join(d, "interlock"), nil
		}
		if home != "" {
			return filepath.Join(home, ".local", "state", "interlock"), nil
		}
	}
	return "", fmt.Errorf("$HOME is not set: set state_dir")
}
