package plugin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/interlock-mcp/interlock/policy"
	policyv1 "github.com/interlock-mcp/interlock/policy/plugin/proto/v1"
)

// lateLimit is how many decisions in a row may be late, over at least the time of
// one, before the plugin counts as hung.
const lateLimit = 3

// errDown is why a call is undecided while there is no process.
var errDown = errors.New("the plugin is not running")

// Plugin is a policy in another process. It is safe for concurrent use.
type Plugin struct {
	config Config
	env    policy.Env
	info   *policyv1.ConfigureResponse // of the first process; the later ones say the same
	before bool
	after  bool
	define bool // calls have their definition with them

	running atomic.Pointer[process] // nil while there is none
	calls   atomic.Uint64           // the number of the last call
	hung    chan *process           // holds one that does not answer in time
	lost    atomic.Pointer[string]  // why there is none
	again   atomic.Int64            // how often one was started again
	late    atomic.Int32            // decisions in a row that were late
	lateAt  atomic.Int64            // Unix ns at which the first of them was

	cancel context.CancelFunc
	tasks  sync.WaitGroup
}

// inbound is a Plugin that wants to see what servers send.
type inbound struct{ *Plugin }

// New starts the plugin and blocks until it is ready, StartTimeout at most. Of a
// valid configuration it fails if the program cannot be started, is not the one of the
// checksum, is no plugin, or does not accept its section; then nothing of it is left.
func (c *Config) New(env policy.Env) (policy.Policy, error) {
	p := &Plugin{config: c.settled(), env: env, hung: make(chan *process, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	first, err := launch(ctx, &p.config, env)
	if err != nil {
		cancel()
		return nil, err
	}
	p.info, p.cancel = first.info, cancel
	wants := func(h policyv1.Hook) bool { return slices.Contains(p.info.GetHooks(), h) }
	p.before, p.after, p.define = wants(policyv1.Hook_HOOK_BEFORE), wants(policyv1.Hook_HOOK_AFTER), p.info.GetDefinitions()
	p.running.Store(first)
	env.Log.Info("plugin started", "plugin", p.info.GetName(), "version", p.info.GetVersion(), "pid", first.runner.ID(), "took", time.Since(first.born))
	p.tasks.Go(func() { p.keep(ctx, first) })
	if wants(policyv1.Hook_HOOK_RECEIVED) {
		return &inbound{p}, nil
	}
	return p, nil
}

// Close ends the process and blocks until nothing of it is left.
func (p *Plugin) Close() error {
	p.cancel()
	p.tasks.Wait()
	return nil
}

// State says which process runs, or why none does.
func (p *Plugin) State() string {
	state := "down"
	if now := p.running.Load(); now != nil {
		state = fmt.Sprintf("running %s %s, pid %s", clip(now.info.GetName(), 64), clip(now.info.GetVersion(), 64), now.runner.ID())
	} else if why := p.lost.Load(); why != nil {
		state += ": " + *why
	}
	if n := p.again.Load(); n > 0 {
		state += fmt.Sprintf(", restarts: %d", n)
	}
	return state
}

// Before asks the plugin about a request.
func (p *Plugin) Before(ctx context.Context, c *policy.Call) error {
	if !p.before {
		return nil
	}
	d, err := p.ask(ctx, func(ctx context.Context, rpc policyv1.PolicyClient) (*policyv1.Decision, error) {
		return rpc.Before(ctx, &policyv1.BeforeRequest{Call: p.call(c)})
	})
	if err != nil {
		return err
	}
	for _, n := range notes(d) {
		c.Annotate(n.Name, n.Value)
	}
	return apply(d, func(raw []byte) error {
		if c.Method != "tools/call" && c.Method != "prompts/get" {
			return errors.New("it has no arguments")
		}
		c.SetArguments(raw)
		return nil
	})
}

// After asks the plugin about an answer.
func (p *Plugin) After(ctx context.Context, c *policy.Call, a *policy.Answer) error {
	if !p.after {
		return nil
	}
	d, err := p.ask(ctx, func(ctx context.Context, rpc policyv1.PolicyClient) (*policyv1.Decision, error) {
		in := &policyv1.AfterRequest{Call: p.call(c)}
		if failure := a.Failure(); failure != nil {
			in.Answer = &policyv1.AfterRequest_Error{Error: failure}
		} else {
			in.Answer = &policyv1.AfterRequest_Result{Result: a.Result()}
		}
		return rpc.After(ctx, in)
	})
	if err != nil {
		return err
	}
	for _, n := range notes(d) {
		c.Annotate(n.Name, n.Value)
	}
	return apply(d, a.Replace)
}

// Received asks the plugin about what a server sent of itself.
func (p *inbound) Received(ctx context.Context, m *policy.ServerMessage) error {
	d, err := p.ask(ctx, func(ctx context.Context, rpc policyv1.PolicyClient) (*policyv1.Decision, error) {
		return rpc.Received(ctx, p.received(m))
	})
	if err != nil {
		return err
	}
	return apply(d, m.Replace)
}

// ask has the process that runs decide. It takes no longer than the timeout, and no
// time where no process runs.
func (p *Plugin) ask(ctx context.Context, do func(context.Context, policyv1.PolicyClient) (*policyv1.Decision, error)) (*policyv1.Decision, error) {
	now := p.running.Load()
	if now == nil {
		return nil, errDown
	}
	in, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	d, err := do(in, now.rpc)
	switch {
	case err == nil:
		p.answered()
		return d, nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded): // the timeout of the step, if that is shorter
		p.wasLate(now)
		return nil, context.Cause(ctx)
	case ctx.Err() != nil: // the call ended, which says nothing of the plugin
		return nil, context.Cause(ctx)
	case tooLate(in, err):
		p.wasLate(now)
		return nil, fmt.Errorf("the plugin did not answer within %s", p.config.Timeout)
	case status.Code(err) == codes.Unavailable:
	default:
		p.answered()
	}
	return nil, fmt.Errorf("plugin: %s", printable([]byte(status.Convert(err).Message())))
}

// tooLate reports whether a request failed because its time was up. The plugin has
// the deadline, too, and its end of the stream may notice a moment before ctx does.
func tooLate(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	at, ok := ctx.Deadline()
	if !ok {
		return false
	}
	switch status.Code(err) {
	case codes.DeadlineExceeded, codes.Canceled:
		return time.Until(at) < deadlineSkew
	}
	return false
}

// deadlineSkew is more than the two ends of a local socket differ by.
const deadlineSkew = 50 * time.Millisecond

// answered forgets those that were late.
func (p *Plugin) answered() {
	if p.late.Load() != 0 {
		p.late.Store(0)
	}
}

// wasLate counts a decision that was late, and calls the process hung after some
// in a row.
func (p *Plugin) wasLate(which *process) {
	at := time.Now().UnixNano()
	n := p.late.Add(1)
	if n == 1 {
		p.lateAt.Store(at)
	}
	if n >= lateLimit && time.Duration(at-p.lateAt.Load()) >= p.config.Timeout {
		select {
		case p.hung <- which:
		default: // it is known
		}
	}
}

// same reports whether a process that was started again wants to be asked about what
// the first one did.
func (p *Plugin) same(info *policyv1.ConfigureResponse) bool {
	return info.GetDefinitions() == p.info.GetDefinitions() &&
		slices.Equal(slices.Sorted(slices.Values(info.GetHooks())), slices.Sorted(slices.Values(p.info.GetHooks())))
}
