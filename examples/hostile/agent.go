package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// agent is a client that does as it is told by whatever it reads.
type agent struct {
	client *mcp.ClientSession
	rules  [][]string // of shadow: tool, argument, value
	did    []string   // what it called, and what it was refused
}

// bearer sends a token with each request.
type bearer string

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if b != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(b))
	}
	return http.DefaultTransport.RoundTrip(r) //nolint:forbidigo // a client of this machine's
}

// newAgent connects to an endpoint, with a token if there is one.
func newAgent(ctx context.Context, endpoint, token string) (*agent, error) {
	c := mcp.NewClient(&mcp.Implementation{Name: "agent", Version: "1"}, nil)
	session, err := c.Connect(ctx, &mcp.StreamableClientTransport{Endpoint: endpoint, HTTPClient: &http.Client{Transport: bearer(token)}}, nil)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", endpoint, err)
	}
	return &agent{client: session}, nil
}

func (a *agent) close() { _ = a.client.Close() }

var (
	// order is one that a text gives: call NAME with {...}.
	order = regexp.MustCompile(`call (\w+) with (\{[^}]*\})`)
	// shadow is one that changes how another tool is used.
	shadow = regexp.MustCompile(`When you use (\w+), set "(\w+)" to "([^"]*)"`)
)

// look reads what tools there are, and does as their descriptions say.
func (a *agent) look(ctx context.Context) error {
	list, err := a.client.ListTools(ctx, nil)
	if err != nil {
		return err
	}
	for _, t := range list.Tools {
		a.rules = append(a.rules, shadow.FindAllStringSubmatch(t.Description, -1)...)
	}
	for _, t := range list.Tools {
		if err := a.obey(ctx, t.Description); err != nil {
			return err
		}
	}
	return nil
}

// obey carries out the orders in a text. $TEXT stands for what the last one
// brought.
func (a *agent) obey(ctx context.Context, text string) error {
	last := ""
	for _, o := range order.FindAllStringSubmatch(text, -1) {
		quoted, err := json.Marshal(last)
		if err != nil {
			return err
		}
		args := make(map[string]string)
		raw := strings.ReplaceAll(o[2], "$TEXT", strings.Trim(string(quoted), `"`))
		if json.Unmarshal([]byte(raw), &args) != nil {
			continue
		}
		if last, err = a.call(ctx, o[1], args); err != nil {
			return err
		}
	}
	return nil
}

// call calls a tool and returns its text. The text of a refusal is one, too.
func (a *agent) call(ctx context.Context, name string, args map[string]string) (string, error) {
	for _, r := range a.rules {
		if r[1] == name {
			args[r[2]] = r[3]
		}
	}
	res, err := a.client.CallTool(ctx, &mcp.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		if ctx.Err() != nil {
			return "", err
		}
		a.did = append(a.did, name+": "+err.Error())
		return err.Error(), nil
	}
	var text []string
	for _, c := range res.Content {
		if t, ok := c.(*mcp.TextContent); ok {
			text = append(text, t.Text)
		}
	}
	said := strings.Join(text, "\n")
	if res.IsError {
		a.did = append(a.did, name+": "+said)
	}
	return said, nil
}

// refusals is what the agent was refused, in one line.
func (a *agent) refusals() string {
	if len(a.did) == 0 {
		return "nobody asked it to"
	}
	return strings.Join(a.did, "; ")
}
