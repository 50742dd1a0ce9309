package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/telemetry"
)

// Reload reads the configuration anew, applies what changed and says what that
// did. Upstreams whose way of being reached did not change keep running, their
// calls untouched. The error is an *admin.Error, and then nothing has changed;
// what was wrong with the files is a *config.Errors below it.
func (g *Gateway) Reload(ctx context.Context) (admin.Plan, error) {
	g.reload.Lock()
	defer g.reload.Unlock()
	files, err := g.read()
	if err != nil {
		return g.refused(ctx, err)
	}
	return g.apply(ctx, files)
}

// Apply is Reload with a configuration that the caller has loaded.
func (g *Gateway) Apply(ctx context.Context, files *config.Config) (admin.Plan, error) {
	g.reload.Lock()
	defer g.reload.Unlock()
	return g.apply(ctx, files)
}

// Plan says what Reload would do, and changes nothing.
func (g *Gateway) Plan(context.Context) (admin.Plan, error) {
	g.reload.Lock()
	defer g.reload.Unlock()
	files, err := g.read()
	if err != nil {
		return admin.Plan{}, err
	}
	cfg, warnings, err := g.overlay.over(files)
	if err != nil {
		return admin.Plan{}, stale(err)
	}
	return g.plan(cfg, files, warnings), nil
}

// read loads the files.
func (g *Gateway) read() (*config.Config, error) {
	if g.load == nil {
		return nil, &admin.Error{Code: admin.CodeNotReloadable, Detail: "the gateway was started without files to read"}
	}
	files, err := g.load()
	if err != nil {
		return nil, invalid(err)
	}
	return files, nil
}

func (g *Gateway) apply(ctx context.Context, files *config.Config) (admin.Plan, error) {
	cfg, warnings, err := g.overlay.over(files)
	if err != nil {
		return g.refused(ctx, stale(err))
	}
	p := g.plan(cfg, files, warnings)
	p.Applied = true
	if err := g.adopt(cfg); err != nil {
		return g.refused(ctx, err)
	}
	g.overlay.forget(files, cfg)
	who := by(ctx)
	g.log.InfoContext(ctx, "configuration reloaded", telemetry.EventName, telemetry.LogReloaded, "by", who, "added", len(p.Added), "removed", len(p.Removed),
		"restarted", len(p.Restarted), "changed", len(p.Changed), "kept", len(p.Kept))
	for _, name := range p.Added {
		g.happened(admin.Event{Kind: "added", Upstream: name, Text: name + " was added by a reload"})
	}
	for _, name := range p.Removed {
		g.happened(admin.Event{Kind: "removed", Upstream: name, Text: name + " was removed by a reload"})
	}
	g.reloadedBy(ctx, summary(&p), nil)
	g.happened(admin.Event{Kind: "reloaded", Text: "reloaded by " + who + ": " + summary(&p)})
	g.afterReload(p, nil)
	return p, nil
}

// refused tells that a reload changed nothing.
func (g *Gateway) refused(ctx context.Context, err error) (admin.Plan, error) {
	g.log.WarnContext(ctx, "configuration not reloaded", telemetry.EventName, telemetry.LogReloadRefused, "by", by(ctx), "error", err)
	g.reloadedBy(ctx, "", err)
	g.happened(admin.Event{Kind: "reload_refused", Text: "reload by " + by(ctx) + " refused: " + err.Error()})
	g.afterReload(admin.Plan{}, err)
	return admin.Plan{}, err
}

// adopt makes cfg the running configuration. g.reload is held.
func (g *Gateway) adopt(cfg *config.Config) *admin.Error {
	old := g.cfg.Load()
	next := *cfg
	// What cannot change while running stays as it is, so that nothing believes
	// otherwise.
	next.Server.Listen, next.Server.Path, next.Server.TLS = old.Server.Listen, old.Server.Path, old.Server.TLS
	next.Admin, next.StateDir = old.Admin, old.StateDir
	auth, err := g.nextAuthenticator(&next.Server)
	if err != nil {
		return invalid(fmt.Errorf("server.auth: %w", err))
	}
	if next.Server.Open() {
		e := invalid(fmt.Errorf("server.listen %s, which changes only with a restart, %s", next.Server.Listen, config.Exposed))
		e.Mend = config.ExposedMend
		return e
	}
	secured, err := newSecured(next.Server.TLS) // the same files may hold others by now
	if err != nil {
		return invalid(err)
	}
	rules, err := g.rules.build(cfg.Policies)
	if err != nil {
		return &admin.Error{
			Code: admin.CodePolicyFailed, Detail: "nothing was changed: " + err.Error(), Err: err,
			Mend: "mend what it names, and reload again",
		}
	}
	if _, err := g.set.Apply(cfg.Upstreams); err != nil {
		g.rules.drop(rules)
		if g.draining.Load() {
			return draining()
		}
		return invalid(fmt.Errorf("upstreams: %w", err))
	}
	g.rules.adopt(rules) // before the configuration: no view has the new one with the old policies
	g.cfg.Store(&next)
	g.signIns.keep(next.Upstreams)
	g.guard.Store(newGuard(next.Server, auth, secured))
	select {
	case g.rekeyed <- struct{}{}:
	default:
	}
	g.alerts.Apply(next.Alerts)
	g.tel.ReopenAudit()
	select {
	case g.reloaded <- struct{}{}:
	default:
	}
	return nil
}

// invalid is the error of a configuration.
func invalid(err error) *admin.Error {
	e := &admin.Error{Code: admin.CodeInvalidConfig, Detail: err.Error(), Err: err}
	if faults := new(config.Errors); errors.As(err, &faults) {
		e.Errors = configErrors(faults)
		e.Detail = fmt.Sprintf("nothing was changed: the configuration has %d faults", len(e.Errors))
		if len(e.Errors) == 1 {
			e.Detail = "nothing was changed: the configuration has a fault"
		}
	}
	return e
}

// stale is the error of what was added at run time and does not go with the files
// any more.
func stale(err error) *admin.Error {
	e := invalid(err)
	e.Detail = "nothing was changed: an upstream that was added at run time does not go with the files"
	e.Mend = "`interlock remove NAME` drops it"
	return e
}

func configErrors(faults *config.Errors) []admin.ConfigError {
	out := make([]admin.ConfigError, len(faults.Problems))
	for i, p := range faults.Problems {
		at := p.File
		if at != "" && p.Line > 0 {
			at += fmt.Sprintf(":%d:%d", p.Line, p.Col)
		} else if at == "" {
			at = p.Key
		}
		out[i] = admin.ConfigError{Text: p.Text, At: at, Mend: p.Mend}
	}
	return out
}

// summary says what a plan does, in a line.
func summary(p *admin.Plan) string {
	var parts []string
	for _, x := range []struct {
		what  string
		names []string
	}{
		{"added", p.Added},
		{"removed", p.Removed},
		{"restarted", p.Restarted},
		{"changed", p.Changed},
		{"policies added:", p.PoliciesAdded},
		{"policies removed:", p.PoliciesRemoved},
		{"policies changed:", p.PoliciesChanged},
		{"profiles:", p.Profiles},
		{"applies after a restart of the gateway:", p.NeedRestart},
	} {
		if len(x.names) > 0 {
			parts = append(parts, x.what+" "+strings.Join(x.names, ", "))
		}
	}
	if parts == nil {
		return "no upstream is concerned"
	}
	return strings.Join(parts, "; ")
}
