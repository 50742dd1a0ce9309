//go:build unix

package plugin

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/interlock-mcp/interlock/policy"
	policyv1 "github.com/interlock-mcp/interlock/policy/plugin/proto/v1"
)

// Only the gateway that started a plugin can talk to it.
func TestMutualTLS(t *testing.T) {
	socket := filepath.Join(os.TempDir(), "linked")
	defer os.Remove(socket)
	c := config(t)
	c.Config = map[string]any{"link": socket}
	p, _ := started(t, c)
	if l, err := net.Dial("unix", socket); err != nil {
		t.Fatal(err) // else nothing is tested
	} else {
		l.Close()
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "plugin-dir*")); len(left) > 0 {
		t.Errorf("the socket can be found: %v", left)
	}
	for name, creds := range map[string]credentials.TransportCredentials{
		"without TLS":           insecure.NewCredentials(),
		"without a certificate": credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}),
	} {
		conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(creds))
		if err != nil {
			t.Fatal(err)
		}
		_, err = policyv1.NewPolicyClient(conn).Configure(t.Context(), &policyv1.ConfigureRequest{Config: []byte("{}")})
		if status.Code(err) != codes.Unavailable {
			t.Errorf("%s: %v, want no connection", name, err)
		}
		conn.Close()
	}
	eventually(t, p)
}

// A plugin that cannot be used says why, and leaves nothing behind.
func TestNewFails(t *testing.T) {
	garbage := filepath.Join(t.TempDir(), "garbage")
	if err := os.WriteFile(garbage, []byte("\x00\x01garbage"), 0o700); err != nil {
		t.Fatal(err)
	}
	sum := strings.Repeat("ab", 32)
	lie := func(what string) func(*Config) { return func(c *Config) { c.Env[testLie] = what } }
	for name, c := range map[string]struct {
		with func(*Config)
		want []string
	}{
		"no such program":    {func(c *Config) { c.Command = "/no/such" }, []string{"/no/such"}},
		"not in PATH":        {func(c *Config) { c.Command, c.Env["PATH"] = "no-such", "/a:/b" }, []string{`"no-such"`, "/a:/b"}},
		"not executable":     {func(c *Config) { c.Command = "plugin_test.go" }, []string{"plugin_test.go"}},
		"no program":         {func(c *Config) { c.Command = garbage }, []string{"exec format error"}},
		"wrong checksum":     {func(c *Config) { c.SHA256 = sum }, []string{"SHA-256", "not that of the configuration"}},
		"no plugin":          {func(c *Config) { c.Command = "/bin/true" }, []string{"ended (exit status 0)"}},
		"ends at once":       {lie("exit"), []string{"ended (exit status 7)", "I have no licence"}},
		"leaves something":   {lie("heir"), []string{"ended (exit status 7)"}},
		"answers nobody":     {lie("mute"), []string{"not ready within"}},
		"says nothing":       {lie("silent"), []string{"not ready within"}},
		"says nonsense":      {lie("nonsense"), []string{"hello, world"}},
		"one endless line":   {lie("no line"), []string{"Unrecognized"}},
		"another core":       {lie("core"), []string{"incompatible core"}},
		"another version":    {lie("version"), []string{"incompatible API version"}},
		"another protocol":   {lie("netrpc"), []string{`"netrpc"`}},
		"a tcp address":      {lie("tcp"), []string{`on tcp "127.0.0.1:22", and not on`}},
		"somebody's socket":  {lie("outside"), []string{`/var/run/docker.sock", and not on`}},
		"a socket above":     {lie("above"), []string{`/../s", and not on`}},
		"a socket of nobody": {lie("nobody"), []string{"no such file"}},
		"no certificate":     {lie("cert"), []string{"cert"}},
		"a bad section":      {func(c *Config) { c.Config = map[string]any{"bad": true} }, []string{"config.hours.from: must be a time (write 08:30)", "config: and more"}},
		"a late section":     {func(c *Config) { c.Config = map[string]any{"late": "yes"} }, []string{"not ready within"}},
		"no hooks":           {func(c *Config) { c.Config = map[string]any{"hooks": "x"} }, []string{"asked about nothing"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := config(t)
			if len(c.want) > 0 && strings.Contains(c.want[0], "not ready") {
				conf.StartTimeout = 300 * time.Millisecond
			}
			c.with(&conf)
			w := &world{}
			env := w.env()
			var pids []int
			start := env.Start
			env.Start = func(cmd *exec.Cmd) (policy.Process, error) {
				p, err := start(cmd)
				if err == nil {
					pids = append(pids, p.PID())
				}
				return p, err
			}
			p, err := conf.New(env)
			if err == nil {
				_ = p.(*inbound).Close()
				t.Fatal("it is used")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want one with %q", err, want)
				}
			}
			for _, pid := range pids {
				if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(pid))); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("process %d is left: %v", pid, err)
				}
			}
		})
	}
}
