// Office-hours is a policy for Interlock, in a process of its own: tools that change
// something are called in office hours only.
//
// README.md says how it is built and configured.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // a plugin is given no environment, and may find no zones

	"github.com/interlock-mcp/interlock/policy"
	"github.com/interlock-mcp/interlock/policy/plugin"
)

func main() {
	err := plugin.Serve(plugin.Spec{
		Name: "office-hours", Version: "1.0.0",
		Definitions: true, // to know which tools only read
		New: func(config []byte) (*plugin.Hooks, error) {
			h, err := parse(config)
			if err != nil {
				return nil, err
			}
			return &plugin.Hooks{Before: func(_ context.Context, c *plugin.Call) error {
				return h.decide(c, time.Now())
			}}, nil
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
}

// decide lets calls of tools pass that only read, and all others while the office is
// open.
func (h *hours) decide(c *plugin.Call, now time.Time) error {
	if c.Method != "tools/call" || reads(c.Definition) {
		return nil
	}
	wait := h.opens(now)
	if wait == 0 {
		return nil
	}
	c.Annotate("office", "closed")
	return &policy.Denial{
		Reason:     "tools that change something are closed until " + now.In(h.zone).Add(wait).Format("Monday 15:04"),
		RetryAfter: wait,
	}
}

// reads reports whether a tool only reads, as far as its server may be believed.
func reads(d *plugin.Definition) bool {
	var tool struct {
		Annotations struct {
			ReadOnlyHint bool `json:"readOnlyHint"`
		} `json:"annotations"`
	}
	return d != nil && d.Trusted && json.Unmarshal(d.Raw, &tool) == nil && tool.Annotations.ReadOnlyHint
}
