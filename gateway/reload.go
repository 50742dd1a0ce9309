package gateway

import (
	"fmt"

	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
)

// Report says what a reload did.
type Report struct {
	upstream.Changes
	// NeedRestart names changed keys that apply only at the next start.
	NeedRestart []string
}

// Reload makes cfg the configuration. Upstreams whose way of being reached did
// not change keep running, their calls untouched. An error changes nothing.
func (g *Gateway) Reload(cfg *config.Config) (Report, error) {
	g.reload.Lock()
	defer g.reload.Unlock()
	old := g.cfg.Load()
	r := Report{NeedRestart: needRestart(old, cfg)}
	changes, err := g.set.Apply(cfg.Upstreams)
	if err != nil {
		return Report{}, fmt.Errorf("upstreams: %w", err)
	}
	r.Changes = changes
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
	return r, nil
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
