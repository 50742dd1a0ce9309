package upstream

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// engineLimit is how long an engine has to find and remove a container; it is
	// engineForce once a stop must be at once.
	engineLimit = 10 * time.Second
	engineForce = 2 * time.Second
)

// The labels of a container: whose it is, for people, and which child's, by which
// it is found where its id is not known.
const (
	upstreamLabel = "interlock.upstream"
	childLabel    = "interlock.child"
)

// container is what one child runs. Its JSON is kept until the container is
// removed, for the next gateway to do it if this one cannot.
type container struct {
	Upstream string `json:"upstream"`
	// Child is the child's marker, and the container's label.
	Child string `json:"child"`
	// Command, its options and the rest are how the engine is reached.
	Command string   `json:"command"`
	Global  []string `json:"global,omitempty"`
	Cwd     string   `json:"cwd,omitempty"`
	Env     []string `json:"env,omitempty"`
	// CIDFile is where the engine's client writes the id, "" for nowhere. Before is
	// what the user's own file held before: such a container is another's.
	CIDFile string `json:"cidfile,omitempty"`
	Before  string `json:"before,omitempty"`

	record string // the file of the JSON, "" for none
	log    *slog.Logger
}

// id returns the container's id as far as the client has told it.
func (c *container) id() string {
	if id := readCID(c.CIDFile); id != c.Before {
		return id
	}
	return ""
}

func readCID(file string) string {
	if file == "" {
		return ""
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return "" // not written yet
	}
	return string(bytes.TrimSpace(b))
}

// remove removes the container, running or not, and forgets it. It blocks for
// that, for engineLimit at most, and reports whether nothing is left. A fault is
// logged; the next gateway tries again.
func (c *container) remove(force <-chan struct{}) bool {
	ctx, cancel := context.WithTimeout(context.Background(), engineLimit)
	defer cancel()
	over := make(chan struct{})
	defer close(over)
	go func() {
		if !until(over, engineLimit, force) && !until(over, engineForce, nil) {
			cancel()
		}
	}()
	ids, err := c.find(ctx)
	if err == nil && len(ids) > 0 {
		_, err = c.ask(ctx, append([]string{"rm", "-f"}, ids...)...)
	}
	if err != nil && !gone(err) {
		c.log.Warn("container not removed", "upstream", c.Upstream, "container", ids, "error", err)
		return false
	}
	for _, file := range []string{c.CIDFile, c.record} {
		// The user's own cidfile too: with one that is there the engine starts nothing.
		if file != "" && (file != c.CIDFile || c.Before == "" || readCID(file) != c.Before) {
			_ = os.Remove(file) // often it was never written
		}
	}
	return true
}

// forget is remove of a container whose client was never started.
func (c *container) forget() {
	if c != nil && c.record != "" {
		_ = os.Remove(c.record)
	}
}

// find returns the ids of what the child ran. Without an id it is looked for: its
// client may have been killed before it wrote one.
func (c *container) find(ctx context.Context) ([]string, error) {
	if id := c.id(); id != "" {
		return []string{id}, nil
	}
	out, err := c.ask(ctx, "ps", "-aq", "--no-trunc", "--filter", "label="+childLabel+"="+c.Child)
	return strings.Fields(out), err
}

// gone reports whether an engine says that a container is not there any more, or
// is being removed as --rm has it.
func gone(err error) bool {
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "no such container") || strings.Contains(text, "already in progress")
}

// ask runs the engine's client.
func (c *container) ask(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Command, slices.Concat(c.Global, args)...)
	cmd.Dir, cmd.Env = c.Cwd, c.Env
	cmd.WaitDelay = 100 * time.Millisecond
	var stdout, stderr Tail // bounded, whatever it says
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w", filepath.Base(c.Command), args[0], err)
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, ctx.Err())
		}
		if said := stderr.Lines(3); len(said) > 0 {
			err = fmt.Errorf("%w: %s", err, strings.Join(said, " "))
		}
	}
	return strings.Join(stdout.Lines(1000), "\n"), err
}
