package gateway

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// toolDiff is how one list of an upstream's tools differs from the one before,
// by the upstream's own names, each sorted.
type toolDiff struct {
	added, removed, changed []string
}

// compareTools compares the definitions of tools byte by byte. Items without a
// name are passed over: nobody can call them.
func compareTools(before, after []json.RawMessage) toolDiff {
	old, now := byToolName(before), byToolName(after)
	var d toolDiff
	for name, item := range now {
		was, ok := old[name]
		switch {
		case !ok:
			d.added = append(d.added, name)
		case !bytes.Equal(was, item):
			d.changed = append(d.changed, name)
		}
	}
	for name := range old {
		if _, ok := now[name]; !ok {
			d.removed = append(d.removed, name)
		}
	}
	slices.Sort(d.added)
	slices.Sort(d.removed)
	slices.Sort(d.changed)
	return d
}

func byToolName(items []json.RawMessage) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(items))
	for _, item := range items {
		var tool struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(item, &tool) == nil && tool.Name != "" {
			out[tool.Name] = item
		}
	}
	return out
}

func (d toolDiff) empty() bool { return len(d.added)+len(d.removed)+len(d.changed) == 0 }

// String counts: "2 added, 1 changed".
func (d toolDiff) String() string {
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{len(d.added), "added"}, {len(d.removed), "removed"}, {len(d.changed), "changed"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}
