package gateway

import (
	"context"
	"fmt"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
)

// Apply makes cfg the configuration and says what that did. Upstreams whose way
// of being reached did not change keep running, their calls untouched. An error
// changes nothing.
func (g *Gateway) Apply(_ context.Context, cfg *config.Config) (admin.Plan, error) {
	g.reload.Lock()
	defer g.reload.Unlock()
	old := g.cfg.Load()
	p := admin.Plan{NeedRestart: needRestart(old, cfg), Applied: true}
	changes, err := g.set.Apply(cfg.Upstreams)
	if err != nil {
		return admin.Plan{}, fmt.Errorf("upstreams: %w", err)
	}
	p.Added, p.Removed, p.Restarted, p.Changed = changes.Added, changes.Removed, changes.Restarted, changes.Updated
	next := *cfg
	// What cannot change while running stays as it is, so that nothing believes
	// otherwise.
	next.Server.Listen, next.Server.Path = old.Server.Listen, old.Server.Path
	next.Admin, next.StateDir = old.Admin, old.StateDir
	g.cfg.Store(&next)
	g.guard.Store(newGuard(next.Server))
	select {
	case g.reloaded <- struct{}{}:
	default:
	}
	return p, nil
}

func needRestart(old, cfg *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		key     string
		changed bool
	}{
		{"server.listen", old.Server.Listen != cfg.Server.Listen},
		{"server.path", old.Server.Path != cfg.Server.Path},
		{"admin", old.Admin != cfg.Admin},
		{"state_dir", old.StateDir != cfg.StateDir},
		{"telemetry", fmt.Sprint(old.Telemetry) != fmt.Sprint(cfg.Telemetry)},
	} {
		if k.changed {
			keys = append(keys, k.key)
		}
	}
	return keys
}
