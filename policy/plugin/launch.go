package plugin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	gorunner "github.com/hashicorp/go-plugin/runner"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/interlock-mcp/interlock/policy"
	policyv1 "github.com/interlock-mcp/interlock/policy/plugin/proto/v1"
)

// window is how much may be on its way to a plugin unread. It is fixed, because
// finding the best one costs pings.
const window = 1 << 20

// process is one process of a plugin, from its start to its end.
type process struct {
	runner *runner
	client *goplugin.Client
	said   *lines
	born   time.Time

	conn   *grpc.ClientConn // nil if there never was one
	rpc    policyv1.PolicyClient
	health grpc_health_v1.HealthClient
	info   *policyv1.ConfigureResponse

	mu    sync.Mutex // guards conns
	conns []*grpc.ClientConn
}

// launch starts a plugin and configures it. It blocks until the plugin is ready for
// calls, or ctx is done. On an error nothing of it is left.
func launch(ctx context.Context, c *Config, env policy.Env) (*process, error) {
	if env.Start == nil {
		return nil, errors.New("no programs are started here")
	}
	path, err := c.program()
	if err != nil {
		return nil, err
	}
	if err := checksum(path, c.SHA256); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, c.StartTimeout, fmt.Errorf("it was not ready within %s", c.StartTimeout))
	defer cancel()
	p := &process{said: newLines(env.Log), born: time.Now()}
	p.runner = &runner{
		cmd:   &exec.Cmd{Path: path, Args: append([]string{c.Command}, c.Args...), Dir: c.Dir},
		spawn: env.Start, said: p.said, quiet: make(chan struct{}), gone: make(chan struct{}),
	}
	p.client = goplugin.NewClient(&goplugin.ClientConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: map[int]goplugin.PluginSet{ProtocolVersion: {}},
		AllowedProtocols: []goplugin.Protocol{goplugin.ProtocolGRPC},
		AutoMTLS:         true,
		SkipHostEnv:      true,
		StartTimeout:     c.StartTimeout + time.Second, // the context is before it
		Logger:           newDebugLog(env.Log),
		SyncStdout:       newLines(env.Log),
		SyncStderr:       p.said,
		GRPCDialOptions:  p.dial(c),
		RunnerFunc: func(_ hclog.Logger, spec *exec.Cmd, dir string) (gorunner.Runner, error) {
			p.runner.dir = dir
			p.runner.cmd.Env = append(environ(c.Env), spec.Env...)
			return p.runner, nil
		},
	})
	if err := p.begin(ctx, c, env); err != nil {
		late := context.Cause(ctx)
		p.end(0)
		if how := p.runner.how(); late != nil {
			err = late
		} else if how != "" {
			err = fmt.Errorf("the plugin ended (%s) before it was ready", how)
		}
		if tail := p.said.tail(); tail != "" {
			err = fmt.Errorf("%w; it said: %s", err, tail)
		}
		return nil, err
	}
	// There is one connection, and no other: nobody else finds the socket from now on,
	// and a gateway that is killed leaves none.
	_ = os.RemoveAll(p.runner.dir)
	return p, nil
}

// begin starts the process, connects to it and configures it.
func (p *process) begin(ctx context.Context, c *Config, env policy.Env) error {
	started := make(chan error, 1)
	go func() { // it takes no context: what ends it is the end of the process
		_, err := p.client.Start()
		if err == nil {
			_, err = p.client.Client()
		}
		started <- err
	}()
	select {
	case err := <-started:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		p.runner.stop(0)
		<-started //nolint:errcheck // it has nothing more to say than the context
		return context.Cause(ctx)
	}
	client, err := p.client.Client()
	if err != nil {
		return err
	}
	p.conn = client.(*goplugin.GRPCClient).Conn
	p.rpc, p.health = policyv1.NewPolicyClient(p.conn), grpc_health_v1.NewHealthClient(p.conn)
	section, err := c.json()
	if err != nil {
		return err
	}
	p.info, err = p.rpc.Configure(ctx, &policyv1.ConfigureRequest{Policy: env.Name, Config: section})
	switch {
	case err == nil:
	case tooLate(ctx, err):
		<-ctx.Done()
		return context.Cause(ctx)
	default:
		return fmt.Errorf("configure: %s", status.Convert(err).Message())
	}
	return checkInfo(p.info)
}

// dial are the options of the connection. go-plugin closes none that it could not
// use, and gives it to nobody: it is seen in its first stream. The broker, by which
// plugins could have connections of their own, is not needed.
func (p *process) dial(c *Config) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithChainStreamInterceptor(func(ctx context.Context, desc *grpc.StreamDesc, conn *grpc.ClientConn, method string, next grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			p.mu.Lock()
			p.conns = append(p.conns, conn)
			p.mu.Unlock()
			if strings.HasPrefix(method, "/plugin.GRPCBroker/") {
				return nil, status.Error(codes.Unimplemented, "there is no broker")
			}
			return next(ctx, desc, conn, method, opts...)
		}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(int(c.MaxReply)), grpc.MaxCallSendMsgSize(math.MaxInt32)),
		grpc.WithInitialWindowSize(window), grpc.WithInitialConnWindowSize(window),
		grpc.WithDisableRetry(), grpc.WithDisableServiceConfig(), grpc.WithDisableHealthCheck(),
		grpc.WithIdleTimeout(0),
	}
}

// end ends the process and blocks until nothing of it is left, wait and a second
// at most unless the system is slow to kill. With a wait it is told first.
func (p *process) end(wait time.Duration) {
	if proc := p.runner.process(); proc != nil && wait > 0 && p.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), shutdownTime)
		err := p.conn.Invoke(ctx, "/plugin.GRPCController/Shutdown", &emptypb.Empty{}, &emptypb.Empty{})
		if status.Code(err) != codes.Unimplemented {
			select {
			case <-proc.Exited():
			case <-ctx.Done():
			}
		}
		cancel()
	}
	p.runner.stop(wait)
	p.client.Kill() // what go-plugin has of it
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range p.conns {
		_ = conn.Close()
	}
	if p.runner.dir != "" {
		_ = os.RemoveAll(p.runner.dir)
	}
}

// shutdownTime is how long a plugin has to end after it was told.
const shutdownTime = time.Second

// checksum checks that the file has the sum, unless that is "".
func checksum(path, want string) error {
	sum, err := hex.DecodeString(want)
	if err != nil || len(sum) == 0 {
		return err
	}
	h := sha256.New()
	ok, err := (&goplugin.SecureConfig{Checksum: sum, Hash: h}).Check(path)
	switch {
	case err != nil:
		return fmt.Errorf("checksum: %w", err)
	case !ok:
		return fmt.Errorf("the SHA-256 of %s is %x, and not that of the configuration (see why the file is another one; if it should be, write this as sha256)", path, h.Sum(nil))
	}
	return nil
}

// environ is env as exec has it, in the order of its names.
func environ(env map[string]string) []string {
	all := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		all = append(all, name+"="+env[name])
	}
	return all
}

// checkInfo reports what a plugin says of itself that cannot be.
func checkInfo(info *policyv1.ConfigureResponse) error {
	var errs []error
	for _, f := range info.GetFaults() {
		text := clip(f.GetText(), maxReason)
		if f.GetMend() != "" {
			text += " (" + clip(f.GetMend(), maxReason) + ")"
		}
		path := clip(strings.Join(append([]string{"config"}, f.GetPath()...), "."), maxReason)
		errs = append(errs, errors.New(path+": "+text))
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if len(info.GetHooks()) == 0 {
		return errors.New("the plugin wants to be asked about nothing")
	}
	for _, h := range info.GetHooks() {
		switch h {
		case policyv1.Hook_HOOK_BEFORE, policyv1.Hook_HOOK_AFTER, policyv1.Hook_HOOK_RECEIVED:
		default:
			return fmt.Errorf("the plugin wants hook %d, which this version does not have", h)
		}
	}
	return nil
}
