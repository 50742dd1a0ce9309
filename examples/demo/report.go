package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

const latestReport = "report://latest"

// press writes reports about the notes in a file.
type press struct {
	notesFile string

	mu     sync.Mutex // guards latest
	latest string
}

// report is slow on purpose, shows how far it is, and asks before it publishes.
func report(notesFile string) *server {
	p := &press{notesFile: notesFile}
	return &server{
		name: "report", title: "Report", instructions: "Writes reports about the notes. Writing takes a while and shows its progress; publishing asks a person first.",
		tools: []tool{
			{
				Name: "write", Title: "Write a report", Description: "Writes a report about all notes, slowly, with progress. It is then the resource report://latest.",
				InputSchema: json.RawMessage(`{"type":"object","properties":{"title":{"type":"string","default":"Notes"},` +
					`"seconds":{"type":"number","description":"how long to take","default":2,"minimum":0,"maximum":600}}}`),
				call: p.write,
			},
			{
				Name: "publish", Title: "Publish the report", Description: "Publishes the latest report, if a person confirms it.",
				InputSchema: json.RawMessage(`{"type":"object","properties":{}}`), Annotations: annotations{OpenWorld: true}, call: p.publish,
			},
		},
		resources: func() []resource {
			if _, _, ok := p.read(latestReport); !ok {
				return nil
			}
			return []resource{{latestReport, "latest report", "The report written last.", "text/markdown"}}
		},
		read: p.read,
	}
}

func (p *press) read(uri string) (content, mimeType string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.latest, "text/markdown", uri == latestReport && p.latest != ""
}

func (p *press) write(ctx context.Context, c *call) (*result, error) {
	a := struct {
		Title   string
		Seconds float64
	}{"Notes", 2}
	if err := c.bind(&a); err != nil {
		return nil, err
	}
	if a.Seconds < 0 || a.Seconds > 600 {
		return nil, errors.New("seconds must be between 0 and 600")
	}
	steps := []string{"reading the notes", "counting the words", "sorting the tags", "writing it down"}
	for i, step := range steps {
		c.progress(i, len(steps), step)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Duration(a.Seconds * float64(time.Second) / float64(len(steps)))):
		}
	}
	notes, err := readNotes(p.notesFile)
	if err != nil {
		return nil, err
	}
	words, tags := 0, map[string]bool{}
	for _, n := range notes {
		words += len(strings.Fields(n.Text))
		for _, t := range n.Tags {
			tags[t] = true
		}
	}
	content := fmt.Sprintf("# %s\n\n%d notes, %d words, %d tags.\n\n%s\n", a.Title, len(notes), words, len(tags), render(notes))
	p.mu.Lock()
	first := p.latest == ""
	p.latest = content
	p.mu.Unlock()
	if first {
		c.notify("notifications/resources/list_changed", struct{}{})
	}
	c.updated(latestReport)
	c.log("wrote " + a.Title)
	c.progress(len(steps), len(steps), "done")
	return say(content, nil), nil
}

func (p *press) publish(ctx context.Context, c *call) (*result, error) {
	content, _, ok := p.read(latestReport)
	if !ok {
		return nil, errors.New("there is no report yet: call write first")
	}
	title, _, _ := strings.Cut(strings.TrimPrefix(content, "# "), "\n")
	yes, err := c.confirm(ctx, fmt.Sprintf("Publish the report %q?", title))
	if err != nil {
		return nil, err
	}
	if !yes {
		return say("Not published: the answer was no.", nil), nil
	}
	c.log("published " + title)
	return say(fmt.Sprintf("Published %q.", title), nil), nil
}
