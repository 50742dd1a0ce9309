package demo

import (
	"encoding/json"
	"strconv"
)

// resourceNotFound is the code of the revisions up to 2025-11-25.
const resourceNotFound = -32002

// resource answers resources/read, subscribe and unsubscribe.
func (c *session) resource(method string, params json.RawMessage) (any, error) {
	var p struct {
		URI string `json:"uri"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, &rpcError{invalidParams, method + ": " + err.Error()}
	}
	content, mimeType, ok := c.read(p.URI)
	if !ok {
		return nil, &rpcError{resourceNotFound, "no resource at " + strconv.Quote(p.URI)}
	}
	if method == "resources/read" {
		return map[string]any{"contents": []any{
			map[string]string{"uri": p.URI, "mimeType": mimeType, "text": content},
		}}, nil
	}
	c.mu.Lock()
	c.subscribed[p.URI] = method == "resources/subscribe"
	c.mu.Unlock()
	return struct{}{}, nil
}

// updated tells a client that subscribed to uri that it changed.
func (c *session) updated(uri string) {
	c.mu.Lock()
	subscribed := c.subscribed[uri]
	c.mu.Unlock()
	if subscribed {
		c.notify("notifications/resources/updated", map[string]string{"uri": uri})
	}
}

func (c *session) getPrompt(params json.RawMessage) (any, error) {
	var p struct {
		Name      string            `json:"name"`
		Arguments map[string]string `json:"arguments"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, &rpcError{invalidParams, "prompts/get: " + err.Error()}
	}
	for _, q := range c.prompts {
		if q.Name != p.Name {
			continue
		}
		for _, a := range q.Arguments {
			if a.Required && p.Arguments[a.Name] == "" {
				return nil, &rpcError{invalidParams, "argument " + a.Name + " is missing"}
			}
		}
		return map[string]any{
			"description": q.Description,
			"messages":    []any{map[string]any{"role": "user", "content": text{"text", q.get(p.Arguments)}}},
		}, nil
	}
	return nil, &rpcError{invalidParams, "unknown prompt: " + strconv.Quote(p.Name)}
}

func (c *session) completion(params json.RawMessage) (any, error) {
	var p struct {
		Ref struct {
			Name string `json:"name"`
			URI  string `json:"uri"`
		} `json:"ref"`
		Argument struct {
			Name  string `json:"name"`
			Value string `json:"value"`
		} `json:"argument"`
	}
	if err := json.Unmarshal(params, &p); err != nil {
		return nil, &rpcError{invalidParams, "completion/complete: " + err.Error()}
	}
	var values []string
	if c.complete != nil {
		values = c.complete(p.Ref.Name+p.Ref.URI, p.Argument.Name, p.Argument.Value)
	}
	// No more than 100 may be sent.
	sent := values[:min(len(values), 100)]
	return map[string]any{"completion": map[string]any{
		"values": list(sent), "total": len(values), "hasMore": len(sent) < len(values),
	}}, nil
}
