package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/spf13/cobra"
)

func (a *app) callCommand() *cobra.Command {
	var r reach
	cmd := &cobra.Command{
		Use: "call TOOL [JSON | KEY=VALUE... | -]", GroupID: "ask", Args: cobra.MinimumNArgs(1),
		Short: "Call a tool",
		Long: `Calls a tool under the name that clients use, through the running gateway, and
writes its answer.

The arguments are a JSON object, or KEY=VALUE pairs, or - for JSON on standard input. A
VALUE is a string where the tool wants one, else JSON if it is valid JSON; KEY:=VALUE is
JSON always. The answer's text is written; -o json writes the whole result, byte for byte.

With --trace it also draws, on stderr, where the time went, as "interlock traces" does.

It exits with 1 when the tool says that it failed.`,
		Example: `  interlock call clock__now
  interlock call clock__now timezone=Europe/Paris
  interlock call notes__add '{"text": "Oil the levers.", "tags": ["railway"]}'
  interlock call notes__add text="Oil the levers." tags:='["railway"]' -o json
  interlock call clock__now --trace`,
	}
	r.flags(cmd)
	output := outputFlag(cmd)
	profile := r.profileFlag(cmd, "call as a client that sees this `PROFILE`")
	traced := cmd.Flags().Bool("trace", false, "draw the trace of the call on stderr")
	cmd.ValidArgsFunction = once(r.completing(toolNames))
	// The call is cancelled at the upstream when its caller is interrupted.
	r.asks(cmd, func(ctx context.Context, c *admin.Client, args []string) error {
		arguments, err := a.arguments(ctx, c, *profile, args[0], args[1:])
		if err != nil {
			return err
		}
		wait := a.awaiting(args[0])
		if !*traced {
			result, err := c.CallIn(ctx, *profile, args[0], arguments)
			wait.stop()
			if err != nil {
				return err
			}
			return a.showResult(*output, result)
		}
		result, trace, err := c.CallTraced(ctx, *profile, args[0], arguments)
		wait.stop()
		if err == nil {
			err = a.showResult(*output, result)
		}
		// Whatever became of the call is what the command says.
		if odd := a.showMade(ctx, c, trace); odd != nil && ctx.Err() == nil {
			a.errs.printf("%s %s\n", a.errs.yellow("interlock:"), printable(odd.Error()))
		}
		return err
	})
	return cmd
}

// arguments returns the JSON object that the words mean.
func (a *app) arguments(ctx context.Context, c *admin.Client, profile, tool string, words []string) (json.RawMessage, error) {
	const how = `write '{"key": "value"}' or key=value`
	switch {
	case len(words) == 0:
		return json.RawMessage("{}"), nil
	case len(words) == 1 && (words[0] == "-" || strings.HasPrefix(strings.TrimSpace(words[0]), "{")):
		raw := []byte(words[0])
		if words[0] == "-" {
			var err error
			if raw, err = io.ReadAll(a.in); err != nil {
				return nil, fmt.Errorf("standard input: %w", err)
			}
		}
		var object map[string]json.RawMessage
		if err := json.Unmarshal(raw, &object); err != nil {
			return nil, usage(how, "the arguments are no JSON object: %w", err)
		}
		return raw, nil
	}
	schema := schemaOf(ctx, c, profile, tool)
	object := map[string]json.RawMessage{}
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok || key == "" {
			return nil, usage(how, "the argument %q is no key=value pair", w)
		}
		if name, forced := strings.CutSuffix(key, ":"); forced {
			if !json.Valid([]byte(value)) {
				return nil, usage(how, "the value of %s:= is no JSON: %s", name, value)
			}
			object[name] = json.RawMessage(value)
			continue
		}
		if schema.wantsString(key) || !json.Valid([]byte(value)) {
			quoted, err := json.Marshal(value)
			if err != nil {
				return nil, err
			}
			object[key] = quoted
			continue
		}
		object[key] = json.RawMessage(value)
	}
	return json.Marshal(object)
}

// schema is the part of a tool's input schema that matters for a shell.
type schema struct {
	Properties map[string]struct {
		Type json.RawMessage `json:"type"`
	} `json:"properties"`
}

// wantsString tells whether a key is a string and nothing else.
func (s schema) wantsString(key string) bool { return string(s.Properties[key].Type) == `"string"` }

// schemaOf returns the schema of a tool, an empty one when it is not known.
func schemaOf(ctx context.Context, c *admin.Client, profile, tool string) schema {
	var s schema
	tools, _, err := c.ToolsIn(ctx, profile)
	if err != nil {
		return s // the call will say it
	}
	for _, t := range tools {
		if t.Name == tool && json.Unmarshal(t.InputSchema, &s) != nil {
			return schema{}
		}
	}
	return s
}
