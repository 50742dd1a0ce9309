package gateway

import (
	"context"
	"encoding/json"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
)

// Add adds upstreams at run time.
func (g *Gateway) Add(context.Context, admin.AddOrder) ([]admin.Outcome, error) {
	return nil, &admin.Error{Code: admin.CodeNotReloadable, Detail: "this gateway takes no upstreams at run time"}
}

// Remove removes upstreams.
func (g *Gateway) Remove(_ context.Context, o admin.Order) []admin.Outcome {
	t := g.tally(o)
	t.run(func(name string) admin.Outcome {
		return admin.Outcome{Name: name, Error: &admin.Fault{Code: admin.CodeNotReloadable, Detail: "this gateway removes no upstreams at run time"}}
	})
	return t.list
}

// Reload reads the files anew and applies what changed.
func (g *Gateway) Reload(ctx context.Context) (admin.Plan, error) {
	cfg, err := g.loaded()
	if err != nil {
		return admin.Plan{}, err
	}
	return g.Apply(ctx, cfg)
}

// Plan says what Reload would do.
func (g *Gateway) Plan(context.Context) (admin.Plan, error) {
	_, err := g.loaded()
	return admin.Plan{}, err
}

func (g *Gateway) loaded() (*config.Config, error) {
	if g.load == nil {
		return nil, &admin.Error{Code: admin.CodeNotReloadable, Detail: "the gateway was started without files to read"}
	}
	return g.load()
}

// Config returns the running configuration.
func (g *Gateway) Config() (json.RawMessage, error) {
	return json.RawMessage("{}"), nil
}

func (g *Gateway) source(string) string { return "file" }
