package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"strconv"
)

// ask is one thing that clients do over and over. It returns an error for any
// answer that is not the right one.
type ask func(c *caller, id int) error

// begin begins a message that calls a tool: its arguments and three braces are to
// follow.
func (c *caller) begin(id int, tool string) {
	c.message = append(c.message[:0], `{"jsonrpc":"2.0","id":`...)
	c.message = strconv.AppendInt(c.message, int64(id), 10)
	c.message = append(append(append(c.message, `,"method":"tools/call","params":{"name":"`...), c.prefix...), tool...)
	c.message = append(c.message, `",`...)
	switch {
	case c.era == modern && c.trace != "":
		c.message = append(append(append(c.message, modernMeta[:len(modernMeta)-1]...), ','), c.trace...)
		c.message = append(c.message, "},"...)
	case c.era == modern:
		c.message = append(append(c.message, modernMeta...), ',')
	case c.trace != "":
		c.message = append(append(append(c.message, `"_meta":{`...), c.trace...), "},"...)
	}
	c.message = append(c.message, `"arguments":{`...)
}

// modern is the era of revision 2026-07-28; modernMeta is what each of its
// requests must say.
const (
	modern     = "modern"
	modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
)

// send ends the message, sends it, and sees that the answer is to this call.
func (c *caller) send(id int, end string) (response, error) {
	c.message = append(c.message, end...)
	res, err := c.wire.exchange(c.to, c.message)
	if err != nil {
		return res, err
	}
	if res.status != 200 || !bytes.Equal(value(res.body, `"id":`), strconv.AppendInt(c.scratch[:0], int64(id), 10)) {
		return res, wrong(id, res)
	}
	return res, nil
}

// answerError is an answer that is not the right one.
type answerError struct {
	id, status int
	body       string
}

func (e *answerError) Error() string {
	return fmt.Sprintf("request %d was answered with status %d: %s", e.id, e.status, e.body)
}

func wrong(id int, res response) error {
	return &answerError{id: id, status: res.status, body: fmt.Sprintf("%.300s", res.body)}
}

// echo has a few bytes back.
func echo(c *caller, id int) error {
	c.begin(id, "echo")
	c.message = append(strconv.AppendInt(append(c.message, `"message":"nonce `...), int64(id), 10), `"`...)
	res, err := c.send(id, "}}}")
	if err != nil {
		return err
	}
	want := append(strconv.AppendInt(append(c.scratch[:0], `"nonce `...), int64(id), 10), '"')
	if !bytes.Equal(value(res.body, `"text":`), want) {
		return wrong(id, res)
	}
	return nil
}

// large wants a result of 1 MiB.
func large(fill []byte) ask {
	return func(c *caller, id int) error {
		c.begin(id, "large")
		c.message = append(strconv.AppendInt(append(c.message, `"message":"nonce `...), int64(id), 10), `"`...)
		res, err := c.send(id, "}}}")
		if err != nil {
			return err
		}
		rest, ok := bytes.CutPrefix(value(res.body, `"text":`), strconv.AppendInt(append(c.scratch[:0], `"nonce `...), int64(id), 10))
		if !ok || len(rest) != len(fill)+1 || !bytes.Equal(rest[:len(fill)], fill) {
			return wrong(id, res)
		}
		return nil
	}
}

// measured sends 1 MiB, and the server says what it got.
func measured(fill []byte) ask {
	return func(c *caller, id int) error {
		c.begin(id, "measure")
		c.message = append(c.message, `"message":`...)
		from := len(c.message)
		c.message = append(strconv.AppendInt(append(c.message, `"nonce `...), int64(id), 10), fill...)
		c.message = append(c.message, '"')
		size, sum := len(c.message)-from, crc32.ChecksumIEEE(c.message[from:])
		res, err := c.send(id, "}}}")
		if err != nil {
			return err
		}
		if !bytes.Equal(value(res.body, `"text":`), fmt.Appendf(c.scratch[:0], `"%d %d"`, size, sum)) {
			return wrong(id, res)
		}
		return nil
	}
}

// slow is a call that the server answers after ms milliseconds.
func slow(ms int) ask {
	return func(c *caller, id int) error {
		c.begin(id, "slow")
		c.message = fmt.Appendf(c.message, `"ms":%d,"message":"late"`, ms)
		_, err := c.send(id, "}}}")
		return err
	}
}

// change has the server add a tool to its list, or take it away.
func change(c *caller, id int) error {
	c.begin(id, "change")
	_, err := c.send(id, `"message":"done"}}}`)
	return err
}

// listed has the whole list of tools, all pages of it.
func listed(tools int) ask {
	return func(c *caller, id int) error {
		got := 0
		meta, comma := "", ""
		if c.era == modern {
			meta, comma = modernMeta, ","
		}
		for cursor := ""; ; {
			c.message = fmt.Appendf(c.message[:0], `{"jsonrpc":"2.0","id":%d,"method":"tools/list","params":{%s%s}}`, id, cursor, meta)
			res, err := c.send(id, "")
			if err != nil {
				return err
			}
			got += bytes.Count(res.body, []byte(`"inputSchema":`))
			i := bytes.LastIndex(res.body, []byte(`"nextCursor":`))
			if i < 0 {
				break
			}
			cursor = `"cursor":` + string(value(res.body[i:], `"nextCursor":`)) + comma
		}
		if got != tools {
			return &answerError{id: id, status: 200, body: fmt.Sprintf("a list of %d tools, want %d", got, tools)}
		}
		return nil
	}
}
