package plugin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	goplugin "github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/interlock-mcp/interlock/policy"
	policyv1 "github.com/interlock-mcp/interlock/policy/plugin/proto/v1"
)

// Serve serves the plugin to the gateway that started this process, and blocks until
// the gateway ends it. What the process writes to stderr, and from then on to stdout,
// goes to the gateway's log. A process that no gateway started gets an error
// at once that says how it is used; main prints it and exits.
func Serve(s Spec) error {
	if os.Getenv(CookieKey) != CookieValue {
		return errors.New(byHand(s))
	}
	goplugin.Serve(&goplugin.ServeConfig{
		HandshakeConfig:  handshake(),
		VersionedPlugins: map[int]goplugin.PluginSet{ProtocolVersion: {"policy": &service{spec: s}}},
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Warn, Output: os.Stderr, JSONFormat: true}), //nolint:forbidigo // the process is the plugin's own
		GRPCServer: func(opts []grpc.ServerOption) *grpc.Server {
			return grpc.NewServer(append(opts, grpc.MaxRecvMsgSize(math.MaxInt32), grpc.MaxSendMsgSize(math.MaxInt32),
				grpc.InitialWindowSize(window), grpc.InitialConnWindowSize(window))...)
		},
	})
	return nil
}

// byHand is what somebody is told who starts a plugin by hand.
func byHand(s Spec) string {
	path, sum := "/path/to/it", "what sha256sum prints"
	if self, err := os.Executable(); err == nil {
		path = self
		if f, err := os.Open(self); err == nil {
			defer f.Close()
			h := sha256.New()
			if _, err := io.Copy(h, f); err == nil {
				sum = fmt.Sprintf("%x", h.Sum(nil))
			}
		}
	}
	return fmt.Sprintf("%s %s is a policy for Interlock, which starts it. Name it in interlock.yaml:\n\npolicies:\n  - name: %s\n    plugin:\n      command: %s\n      sha256: %s\n",
		s.Name, s.Version, s.Name, path, sum)
}

// service is the gRPC service of a plugin that is written in Go.
type service struct {
	goplugin.NetRPCUnsupportedPlugin
	policyv1.UnimplementedPolicyServer

	spec  Spec
	hooks atomic.Pointer[Hooks] // nil until it is configured
}

// GRPCServer registers the service.
func (s *service) GRPCServer(_ *goplugin.GRPCBroker, g *grpc.Server) error {
	policyv1.RegisterPolicyServer(g, s)
	return nil
}

// GRPCClient is the gateway's side, which is elsewhere.
func (*service) GRPCClient(context.Context, *goplugin.GRPCBroker, *grpc.ClientConn) (any, error) {
	return nil, errors.New("this is the plugin's side")
}

// Configure makes the hooks.
func (s *service) Configure(_ context.Context, in *policyv1.ConfigureRequest) (_ *policyv1.ConfigureResponse, err error) {
	defer recovered(&err)
	out := &policyv1.ConfigureResponse{Name: s.spec.Name, Version: s.spec.Version, Definitions: s.spec.Definitions}
	hooks, err := s.spec.New(in.GetConfig())
	if err != nil {
		out.Faults = faults(err)
		return out, nil
	}
	for _, h := range []struct {
		is   policyv1.Hook
		want bool
	}{
		{policyv1.Hook_HOOK_BEFORE, hooks.Before != nil},
		{policyv1.Hook_HOOK_AFTER, hooks.After != nil},
		{policyv1.Hook_HOOK_RECEIVED, hooks.Received != nil},
	} {
		if h.want {
			out.Hooks = append(out.Hooks, h.is)
		}
	}
	s.hooks.Store(hooks)
	return out, nil
}

// Before asks the hook.
func (s *service) Before(ctx context.Context, in *policyv1.BeforeRequest) (_ *policyv1.Decision, err error) {
	defer recovered(&err)
	h := s.hooks.Load()
	if h == nil || h.Before == nil {
		return nil, status.Error(codes.Unimplemented, "there is no such hook")
	}
	c := newCall(in.GetCall())
	err = h.Before(ctx, c)
	return decided(err, c.replace, c.notes)
}

// After asks the hook.
func (s *service) After(ctx context.Context, in *policyv1.AfterRequest) (_ *policyv1.Decision, err error) {
	defer recovered(&err)
	h := s.hooks.Load()
	if h == nil || h.After == nil {
		return nil, status.Error(codes.Unimplemented, "there is no such hook")
	}
	c, a := newCall(in.GetCall()), &Answer{Result: some(in.GetResult()), Failure: some(in.GetError())}
	err = h.After(ctx, c, a)
	return decided(err, a.replace, c.notes)
}

// Received asks the hook.
func (s *service) Received(ctx context.Context, in *policyv1.ReceivedRequest) (_ *policyv1.Decision, err error) {
	defer recovered(&err)
	h := s.hooks.Load()
	if h == nil || h.Received == nil {
		return nil, status.Error(codes.Unimplemented, "there is no such hook")
	}
	m := &ServerMessage{Session: in.GetSession(), Upstream: in.GetUpstream(), Tags: in.GetTags(), Method: in.GetMethod(), Params: some(in.GetParams())}
	if in.Principal != nil {
		p := newPrincipal(in.GetPrincipal())
		m.Principal = &p
	}
	if in.Call != nil {
		m.Call = newCall(in.GetCall())
	}
	err = h.Received(ctx, m)
	return decided(err, m.replace, nil)
}

// decided is what a hook returned, as the gateway is told it.
func decided(err error, replace []byte, notes []*policyv1.Note) (*policyv1.Decision, error) {
	if err == nil {
		return &policyv1.Decision{Verdict: policyv1.Verdict_VERDICT_ALLOW, Replace: replace, Notes: notes}, nil
	}
	if d, ok := errors.AsType[*policy.Denial](err); ok && d.Err == nil {
		return &policyv1.Decision{Verdict: policyv1.Verdict_VERDICT_DENY, Reason: d.Reason, RetryAfterMs: d.RetryAfter.Milliseconds(), Notes: notes}, nil
	}
	return nil, status.Error(codes.Unknown, err.Error())
}

// faults is what is wrong with a configuration, key by key where that is said.
func faults(err error) []*policyv1.Fault {
	all := []error{err}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		all = many.Unwrap()
	}
	var out []*policyv1.Fault
	for _, err := range all {
		f := &policyv1.Fault{Text: err.Error()}
		if fe, ok := errors.AsType[*policy.FieldError](err); ok {
			f = &policyv1.Fault{Path: fe.Path, Text: fe.Text, Mend: fe.Mend}
		}
		out = append(out, f)
	}
	return out
}

// recovered makes an error of a panic, with its stack on stderr.
func recovered(err *error) {
	if fault := recover(); fault != nil {
		fmt.Fprintf(os.Stderr, "panic: %v\n%s", fault, debug.Stack()) //nolint:forbidigo // the process is the plugin's own
		*err = status.Error(codes.Internal, "panic")
	}
}
