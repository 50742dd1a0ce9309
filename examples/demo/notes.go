package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

const allNotes = "notes://all"

// notes keeps notes in file, which it makes with a few to begin with when it is
// absent.
func notes(file string) (*server, error) {
	b, err := openNotebook(file)
	if err != nil {
		return nil, err
	}
	return &server{
		name: "notes", title: "Notes", instructions: "Keeps short notes with tags. All of them are the resource notes://all.",
		tools: []tool{
			{
				Name: "add", Title: "Add a note", Description: "Keeps a note and returns its number.",
				InputSchema: json.RawMessage(`{"type":"object","properties":{"text":{"type":"string"},"tags":{"type":"array","items":{"type":"string"}}},"required":["text"]}`),
				call:        b.add,
			},
			{
				Name: "list", Title: "List notes", Description: "All notes, or those with a tag.", Annotations: reads,
				InputSchema: json.RawMessage(`{"type":"object","properties":{"tag":{"type":"string"}}}`), call: b.list,
			},
			{
				Name: "search", Title: "Search notes", Description: "Notes that contain all of some words.", Annotations: reads,
				InputSchema: json.RawMessage(`{"type":"object","properties":{"query":{"type":"string"}},"required":["query"]}`), call: b.search,
			},
			{
				Name: "remove", Title: "Remove a note", Description: "Forgets a note for good.", Annotations: annotations{Destructive: true, Idempotent: true},
				InputSchema: json.RawMessage(`{"type":"object","properties":{"id":{"type":"integer"}},"required":["id"]}`), call: b.remove,
			},
		},
		prompts: []prompt{{
			Name: "summarise", Title: "Summarise notes", Description: "Asks for a summary of the notes with a tag.",
			Arguments: []promptArgument{{"tag", "which notes", true}},
			get: func(arguments map[string]string) string {
				return "Summarise these notes in three sentences:\n\n" + render(b.tagged(arguments["tag"]))
			},
		}},
		resources: b.resources,
		templates: []resourceTemplate{{"notes://note/{id}", "note", "One note by its number.", "text/plain"}},
		read:      b.read,
		complete:  b.complete,
	}, nil
}

func (b *notebook) add(_ context.Context, c *call) (*result, error) {
	var a struct {
		Text string
		Tags []string
	}
	if err := c.bind(&a); err != nil {
		return nil, err
	}
	if strings.TrimSpace(a.Text) == "" {
		return nil, fmt.Errorf("a note needs a text")
	}
	n, err := b.keep(a.Text, a.Tags)
	if err != nil {
		return nil, err
	}
	c.changed()
	return say(fmt.Sprintf("Kept as note %d.", n.ID), n), nil
}

func (b *notebook) list(_ context.Context, c *call) (*result, error) {
	var a struct{ Tag string }
	if err := c.bind(&a); err != nil {
		return nil, err
	}
	found := b.tagged(a.Tag)
	return say(render(found), map[string]any{"notes": list(found)}), nil
}

func (b *notebook) search(_ context.Context, c *call) (*result, error) {
	var a struct{ Query string }
	if err := c.bind(&a); err != nil {
		return nil, err
	}
	words := strings.Fields(strings.ToLower(a.Query))
	found := slices.DeleteFunc(b.tagged(""), func(n note) bool {
		return slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(strings.ToLower(n.Text), w) })
	})
	return say(render(found), map[string]any{"notes": list(found)}), nil
}

func (b *notebook) remove(_ context.Context, c *call) (*result, error) {
	var a struct{ ID int }
	if err := c.bind(&a); err != nil {
		return nil, err
	}
	ok, err := b.forget(a.ID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("there is no note %d", a.ID)
	}
	c.changed()
	return say(fmt.Sprintf("Note %d is gone.", a.ID), nil), nil
}

// changed tells the client that there are other notes now.
func (c *call) changed() {
	c.notify("notifications/resources/list_changed", struct{}{})
	c.updated(allNotes)
}

func (b *notebook) resources() []resource {
	out := []resource{{allNotes, "all notes", "Every note, one a line.", "text/plain"}}
	for _, n := range b.tagged("") {
		title := n.Text
		if r := []rune(title); len(r) > 40 {
			title = string(r[:39]) + "…"
		}
		out = append(out, resource{"notes://note/" + strconv.Itoa(n.ID), title, "", "text/plain"})
	}
	return out
}

func (b *notebook) read(uri string) (content, mimeType string, ok bool) {
	if uri == allNotes {
		return render(b.tagged("")), "text/plain", true
	}
	for _, n := range b.tagged("") {
		if uri == "notes://note/"+strconv.Itoa(n.ID) {
			return n.Text, "text/plain", true
		}
	}
	return "", "", false
}

// complete proposes tags for the prompt and numbers for the template.
func (b *notebook) complete(_, argument, prefix string) []string {
	words := map[string]bool{}
	for _, n := range b.tagged("") {
		switch argument {
		case "tag":
			for _, t := range n.Tags {
				words[t] = true
			}
		case "id":
			words[strconv.Itoa(n.ID)] = true
		}
	}
	return beginning(slices.Sorted(maps.Keys(words)), prefix)
}
