package plugin_test

import (
	"context"
	"fmt"
	"slices"

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/plugin"
)

// The main function of a plugin. Started by hand, as here, it says how it is used.
func ExampleServe() {
	err := plugin.Serve(plugin.Spec{
		Name: "no-rm", Version: "1.0.0",
		New: func([]byte) (*plugin.Hooks, error) {
			return &plugin.Hooks{Before: func(_ context.Context, c *plugin.Call) error {
				if c.Target == "remove" && !slices.Contains(c.Principal.Groups, "editors") {
					return &policy.Denial{Reason: "only editors remove"}
				}
				return nil
			}}, nil
		},
	})
	if err != nil {
		fmt.Println(err.Error()[:54])
	}
	// Output: no-rm 1.0.0 is a policy for Interlock, which starts it
}
