package demo

import (
	"context"
	"encoding/json"
	"strings"
)

// server is what an MCP server offers. It does not change once it serves; what
// its functions return may.
type server struct {
	name, title, instructions string
	tools                     []tool
	prompts                   []prompt
	// resources, templates and read are nil where there are none. read returns
	// the text at a URI and whether there is any.
	resources func() []resource
	templates []resourceTemplate
	read      func(uri string) (text, mimeType string, ok bool)
	// complete proposes values for an argument of a prompt or template.
	complete func(ref, argument, prefix string) []string
}

// tool is a function that a model may call. Its JSON is what tools/list says.
type tool struct {
	Name         string          `json:"name"`
	Title        string          `json:"title"`
	Description  string          `json:"description"`
	InputSchema  json.RawMessage `json:"inputSchema"`
	OutputSchema json.RawMessage `json:"outputSchema,omitempty"`
	Annotations  annotations     `json:"annotations"`

	// call runs the tool; an error becomes a result with isError, which the
	// model reads.
	call func(ctx context.Context, c *call) (*result, error)
}

// annotations are hints about what a tool does.
type annotations struct {
	ReadOnly    bool `json:"readOnlyHint"`
	Destructive bool `json:"destructiveHint"`
	Idempotent  bool `json:"idempotentHint"`
	OpenWorld   bool `json:"openWorldHint"`
}

var reads = annotations{ReadOnly: true, Idempotent: true}

// result is a CallToolResult.
type result struct {
	Content    []text `json:"content"`
	Structured any    `json:"structuredContent,omitempty"`
	IsError    bool   `json:"isError,omitempty"`
}

// text is a content block.
type text struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

// say returns a result of one text and, unless nil, the same as data.
func say(s string, structured any) *result {
	return &result{Content: []text{{"text", s}}, Structured: structured}
}

// prompt is a text that a person may choose.
type prompt struct {
	Name        string           `json:"name"`
	Title       string           `json:"title"`
	Description string           `json:"description"`
	Arguments   []promptArgument `json:"arguments"`

	get func(arguments map[string]string) string
}

type promptArgument struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	Required    bool   `json:"required"`
}

type resource struct {
	URI         string `json:"uri"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	MimeType    string `json:"mimeType"`
}

type resourceTemplate struct {
	URITemplate string `json:"uriTemplate"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	MimeType    string `json:"mimeType"`
}

// list never is null in JSON.
func list[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

// beginning returns those of words that begin with prefix, whatever its case.
func beginning(words []string, prefix string) []string {
	var out []string
	for _, w := range words {
		if len(w) >= len(prefix) && strings.EqualFold(w[:len(prefix)], prefix) {
			out = append(out, w)
		}
	}
	return out
}
