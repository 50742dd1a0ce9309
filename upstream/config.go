package upstream

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/url"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/upstream/oauth"
)

// Config describes one upstream MCP server. The zero value is not usable: start
// from Defaults. The koanf tags are the keys of the configuration file.
type Config struct {
	// Name is the upstream's key in the file.
	Name string `koanf:"-"`

	// A process over stdio.
	Command string            `koanf:"command"`
	Args    []string          `koanf:"args"`
	Env     map[string]string `koanf:"env"`
	PassEnv []string          `koanf:"pass_env"`
	Cwd     string            `koanf:"cwd"`

	// A remote server.
	URL       string            `koanf:"url"`
	Transport Transport         `koanf:"transport"`
	Headers   map[string]string `koanf:"headers"`
	TLS       TLS               `koanf:"tls"`
	// Auth is how the gateway signs in there.
	Auth oauth.Config `koanf:"auth"`

	// Prefix goes before the names of its tools; nil means Name.
	Prefix   *string `koanf:"prefix"`
	Enabled  bool    `koanf:"enabled"`
	Required bool    `koanf:"required"`

	DependsOn           []Dependency      `koanf:"-"`
	OnDependencyFailure DependencyFailure `koanf:"on_dependency_failure"`

	Start StartMode `koanf:"start"`
	// IdleStop is after how long without anybody who needs it an upstream stops that
	// starts on demand, 0 for never. Its tools stay listed.
	IdleStop  time.Duration `koanf:"idle_stop"`
	Protocol  Protocol      `koanf:"protocol"`
	Isolation Isolation     `koanf:"isolation"`

	StartTimeout   time.Duration `koanf:"start_timeout"`
	CallTimeout    time.Duration `koanf:"call_timeout"`
	MaxCallTimeout time.Duration `koanf:"max_call_timeout"`
	StopTimeout    time.Duration `koanf:"stop_timeout"`
	ListGrace      time.Duration `koanf:"list_grace"`
	// MaxMessage is the cap of one message in bytes.
	MaxMessage int64 `koanf:"max_message"`

	Limits  Limits        `koanf:"limits"`
	Health  Health        `koanf:"health"`
	Stats   StatsConfig   `koanf:"stats"`
	Breaker BreakerConfig `koanf:"breaker"`
	Restart RestartConfig `koanf:"restart"`
	Tools   ToolsConfig   `koanf:"tools"`

	TrustAnnotations bool     `koanf:"trust_annotations"`
	Tags             []string `koanf:"tags"`
}

// Transport is how messages travel to an upstream.
type Transport string

// The transports. The empty one is decided by Resolve.
const (
	Stdio Transport = "stdio"
	HTTP  Transport = "http"
	SSE   Transport = "sse"
)

// DependencyFailure is what a dependent does when a dependency fails.
type DependencyFailure string

// Wait keeps the dependent in error until the dependency recovers; StartAnyway
// starts it without.
const (
	Wait        DependencyFailure = "wait"
	StartAnyway DependencyFailure = "start_anyway"
)

// StartMode says when an upstream is started.
type StartMode string

// Eager starts with the gateway. OnDemand starts when somebody needs it: a call, a
// subscription, an upstream that depends on it; and once to learn what it lists,
// which is kept. A call that finds it at rest waits for its start. When a start
// fails it is tried again as restart says; once the attempts are used up, only if
// somebody still needs it.
const (
	Eager    StartMode = "eager"
	OnDemand StartMode = "on_demand"
)

// Protocol restricts the eras tried with an upstream.
type Protocol string

// The eras: revisions up to 2025-11-25 are legacy, later ones modern.
const (
	AutoProtocol   Protocol = "auto"
	ModernProtocol Protocol = "modern"
	LegacyProtocol Protocol = "legacy"
)

// Isolation says which clients share a link to an upstream.
type Isolation string

// The kinds of isolation. AutoIsolation is resolved by the gateway.
const (
	AutoIsolation Isolation = "auto"
	Shared        Isolation = "shared"
	PerPrincipal  Isolation = "principal"
	PerSession    Isolation = "session"
)

// Dependency is an edge of the start order.
type Dependency struct {
	On        string
	Condition Condition
	// Restart restarts the dependent when the dependency is lost.
	Restart bool
}

// Condition is the state a dependency must have reached.
type Condition string

// Started means spawned or dialled; Running is the default.
const (
	ConditionStarted Condition = "started"
	ConditionRunning Condition = "running"
)

// TLS holds files for a connection to a remote upstream.
type TLS struct {
	CA   string `koanf:"ca"`
	Cert string `koanf:"cert"`
	Key  string `koanf:"key"`
}

// Limits is the bulkhead of an upstream.
type Limits struct {
	InFlight     int           `koanf:"in_flight"`
	Queue        int           `koanf:"queue"`
	QueueTimeout time.Duration `koanf:"queue_timeout"`
	// Processes is how many child processes of their own sessions may have, or
	// principals, beside the supervised one.
	Processes int `koanf:"processes"`
	// Idle is after how long without a call or a subscription the link of a
	// principal is closed, and with it the process, 0 for never. It is made anew when
	// it is needed.
	Idle time.Duration `koanf:"idle"`
}

// Health says how often an upstream is probed and how long a probe may take.
type Health struct {
	Interval time.Duration `koanf:"interval"` // 0 means 10s for a process, 60s for a remote
	Timeout  time.Duration `koanf:"timeout"`
}

// StatsConfig says how much is kept for Stats.
type StatsConfig struct {
	// Samples is how many of the last checks of its health are kept.
	Samples int `koanf:"samples"`
}

// BreakerConfig says when the breaker opens.
type BreakerConfig struct {
	Failures    int           `koanf:"failures"`
	Ratio       float64       `koanf:"ratio"`
	MinRequests int           `koanf:"min_requests"`
	Window      time.Duration `koanf:"window"`
}

// RestartConfig says how an upstream recovers.
type RestartConfig struct {
	Policy      RestartPolicy `koanf:"policy"`
	MaxAttempts int           `koanf:"max_attempts"`
	Delay       time.Duration `koanf:"delay"`
	MaxDelay    time.Duration `koanf:"max_delay"`
	Stable      time.Duration `koanf:"stable"`
}

// RestartPolicy says after which ends an upstream is restarted.
type RestartPolicy string

// The restart policies.
const (
	OnFailure RestartPolicy = "on-failure"
	Always    RestartPolicy = "always"
	Never     RestartPolicy = "never"
)

// ToolsConfig filters and changes what an upstream offers. The globs are on its
// own names; deny wins.
type ToolsConfig struct {
	Allow      []string          `koanf:"allow"`
	Deny       []string          `koanf:"deny"`
	Rename     map[string]string `koanf:"rename"`
	Describe   map[string]string `koanf:"describe"`
	Idempotent []string          `koanf:"idempotent"`
}

// Defaults returns the configuration every upstream starts from.
func Defaults() Config {
	return Config{
		Enabled:             true,
		OnDependencyFailure: Wait,
		Start:               Eager,
		Protocol:            AutoProtocol,
		Isolation:           AutoIsolation,
		StartTimeout:        120 * time.Second,
		CallTimeout:         10 * time.Minute,
		MaxCallTimeout:      time.Hour,
		StopTimeout:         5 * time.Second,
		MaxMessage:          16 << 20,
		Limits:              Limits{InFlight: 512, Queue: 1024, QueueTimeout: 5 * time.Second, Processes: 64, Idle: 15 * time.Minute},
		Health:              Health{Timeout: 5 * time.Second},
		Stats:               StatsConfig{Samples: 100},
		Breaker:             BreakerConfig{Failures: 5, Ratio: 0.5, MinRequests: 10, Window: 30 * time.Second},
		Restart: RestartConfig{
			Policy: OnFailure, MaxAttempts: 3, Delay: 5 * time.Second, MaxDelay: 60 * time.Second, Stable: 60 * time.Second,
		},
	}
}

// Kind returns the transport: the configured one, else stdio for a command, SSE
// for a url whose path ends in /sse, and streamable HTTP for any other url.
func (c *Config) Kind() Transport {
	switch {
	case c.Transport != "":
		return c.Transport
	case c.Command != "":
		return Stdio
	}
	if u, err := url.Parse(c.URL); err == nil && strings.HasSuffix(strings.TrimSuffix(u.Path, "/"), "/sse") {
		return SSE
	}
	return HTTP
}

// NamePrefix returns the prefix of its names, "" for none.
func (c *Config) NamePrefix() string {
	if c.Prefix != nil {
		return *c.Prefix
	}
	return c.Name
}

// Interval returns the time between probes.
func (c *Config) Interval() time.Duration {
	switch {
	case c.Health.Interval > 0:
		return c.Health.Interval
	case c.Kind() == Stdio:
		return 10 * time.Second
	}
	return 60 * time.Second
}

// RestartKey is a digest of the keys whose change restarts an upstream; all
// others apply live.
func (c *Config) RestartKey() string {
	b, err := json.Marshal([]any{
		c.Command, c.Args, c.Env, c.PassEnv, c.Cwd, c.URL, c.Kind(), c.Headers, c.TLS, c.Protocol, c.Isolation,
		c.Auth, string(c.Auth.ClientSecret), string(c.Auth.Token), // they print as ***
	})
	if err != nil { // strings, slices and maps of strings always marshal
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
