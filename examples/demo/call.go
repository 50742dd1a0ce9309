package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
)

// call is a running tools/call, as its tool sees it.
type call struct {
	*session
	arguments json.RawMessage
	token     json.RawMessage // of the progress, nil for none wanted
}

// start runs a tools/call on a goroutine of its own.
func (c *session) start(ctx context.Context, m message) {
	var p struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
		Meta      struct {
			ProgressToken json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
	}
	if err := json.Unmarshal(m.Params, &p); err != nil {
		c.reply(m.ID, nil, &rpcError{invalidParams, "tools/call: " + err.Error()})
		return
	}
	t := c.tool(p.Name)
	if t == nil {
		c.reply(m.ID, nil, &rpcError{invalidParams, "unknown tool: " + strconv.Quote(p.Name)})
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	key := string(m.ID)
	c.mu.Lock()
	c.running[key] = cancel
	c.mu.Unlock()
	c.calls.Go(func() {
		r, err := t.call(ctx, &call{c, p.Arguments, p.Meta.ProgressToken})
		c.mu.Lock()
		delete(c.running, key)
		c.mu.Unlock()
		cancelled := ctx.Err() != nil
		cancel()
		if cancelled {
			return // a cancelled request is not answered
		}
		if err != nil {
			r = say(err.Error(), nil)
			r.IsError = true
		}
		c.reply(m.ID, r, nil)
	})
}

func (c *session) tool(name string) *tool {
	for i := range c.tools {
		if c.tools[i].Name == name {
			return &c.tools[i]
		}
	}
	return nil
}

// bind decodes the arguments into v, a pointer to a struct.
func (c *call) bind(v any) error {
	if len(c.arguments) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(c.arguments))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return errors.New("invalid arguments: " + err.Error())
	}
	return nil
}

// progress tells the client how far the call is, if it wants to know.
func (c *call) progress(done, total int, text string) {
	if c.token == nil {
		return
	}
	c.notify("notifications/progress", map[string]any{
		"progressToken": c.token, "progress": done, "total": total, "message": text,
	})
}

// log sends the client a line for its log.
func (c *call) log(text string) {
	c.notify("notifications/message", map[string]any{"level": "info", "logger": c.name, "data": text})
}

// confirm asks the person in front of the client for a yes. It blocks until
// they answer.
func (c *call) confirm(ctx context.Context, question string) (bool, error) {
	c.mu.Lock()
	if !c.elicits {
		c.mu.Unlock()
		return false, errors.New("this needs a person's confirmation, and the client cannot ask (it has no elicitation)")
	}
	c.nextID++
	id := json.RawMessage(strconv.Quote("ask-" + strconv.Itoa(c.nextID)))
	answer := make(chan message, 1) // the reader never waits for us
	c.asked[string(id)] = answer
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.asked, string(id))
		c.mu.Unlock()
	}()
	params, err := json.Marshal(map[string]any{
		"mode": "form", "message": question,
		"requestedSchema": json.RawMessage(`{"type":"object","properties":{"confirm":{"type":"boolean","title":"Publish it?","default":true}},"required":["confirm"]}`),
	})
	if err != nil {
		return false, err
	}
	c.send(message{ID: id, Method: "elicitation/create", Params: params})
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case m := <-answer:
		if m.Error != nil {
			return false, errors.New("the client could not ask: " + m.Error.Message)
		}
		var r struct {
			Action  string `json:"action"`
			Content struct {
				Confirm bool `json:"confirm"`
			} `json:"content"`
		}
		raw, _ := m.Result.(json.RawMessage)
		if err := json.Unmarshal(raw, &r); err != nil {
			return false, errors.New("the client's answer is not understood: " + err.Error())
		}
		return r.Action == "accept" && r.Content.Confirm, nil
	}
}
