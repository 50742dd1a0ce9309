package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestThreeServers has three real servers behind one endpoint: each call reaches
// its own, and what they do is seen on disk.
func TestThreeServers(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	shared := filepath.Join(dir, "shared")
	if err := os.Mkdir(shared, 0o700); err != nil {
		t.Fatal(err)
	}
	notes := filepath.Join(dir, "memory.json")
	remembers := memory(notes)
	remembers["depends_on"] = []string{"files"}
	g := newGateway(ctx, t, dir, fields{"files": filesystem(shared), "memory": remembers, "every": everythingStdio()})
	c := newClient(ctx, t, dir)
	c.must("connect", fields{"url": g.url()}, nil) // a client that can do nothing

	var all struct{ Items []struct{ Name string } }
	c.must("listAll", fields{"method": "listTools", "key": "tools"}, &all)
	counts := map[string]int{}
	for _, tool := range all.Items {
		prefix, _, _ := strings.Cut(tool.Name, "__")
		counts[prefix]++
	}
	for name, u := range g.list() {
		if counts[name] == 0 || counts[name] != u.Tools {
			t.Errorf("a client sees %d tools of %s, and the operator %d", counts[name], name, u.Tools)
		}
	}

	file := filepath.Join(shared, "hello.txt")
	c.text("files__write_file", fields{"path": file, "content": "grüße\n"})
	if got, err := os.ReadFile(file); err != nil || string(got) != "grüße\n" {
		t.Errorf("the file holds %q, %v", got, err)
	}
	if got := c.text("files__read_text_file", fields{"path": file}); !strings.Contains(got, "grüße") {
		t.Errorf("read_text_file answered %q", got)
	}
	if text, isError := c.call("files__read_text_file", fields{"path": "/etc/passwd"}); !isError {
		t.Errorf("a file outside of what is allowed was read: %.80q", text)
	}
	c.text("memory__create_entities", fields{"entities": []fields{{"name": "Interlock", "entityType": "signal box", "observations": []string{"sets routes"}}}})
	if got := c.text("memory__search_nodes", fields{"query": "Interlock"}); !strings.Contains(got, "sets routes") {
		t.Errorf("search_nodes answered %q", got)
	}
	if got, err := os.ReadFile(notes); err != nil || !strings.Contains(string(got), "signal box") {
		t.Errorf("memory keeps %q, %v", got, err)
	}
	if _, err := c.do("callTool", tool("files__no_such_tool", nil)); err == nil {
		t.Error("a tool that does not exist was called")
	}
}

// TestRootsOfSession gives each session a process of its own, so that one
// client's roots decide what its own calls may touch, and nobody else's.
func TestRootsOfSession(t *testing.T) {
	t.Parallel()
	ctx, dir := deadline(t, 2*time.Minute), home(t)
	base := filepath.Join(dir, "base")
	mine, other := filepath.Join(dir, "mine"), filepath.Join(dir, "other")
	for _, d := range []string{base, mine, other} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	own := filesystem(base)
	own["isolation"] = "session"
	g := newGateway(ctx, t, dir, fields{"files": own})

	connect := func(root string) *client {
		c := newClient(ctx, t, dir)
		f := capable(g.url())
		f["answers"].(fields)["roots/list"] = fields{"roots": []fields{{"uri": "file://" + root}}}
		c.must("connect", f, nil)
		// The first call opens the session's own link; the server asks for roots
		// after its handshake and may take this call before it has them.
		c.text("files__list_allowed_directories", nil)
		c.seen("request", "for roots", func(e event) bool { return e.Method == "roots/list" })
		return c
	}
	a, b := connect(mine), connect(other)
	for _, x := range []struct {
		c       *client
		has, no string
	}{{a, mine, other}, {b, other, mine}} {
		retry := time.NewTicker(50 * time.Millisecond)
		defer retry.Stop()
		for got := ""; !strings.Contains(got, x.has); {
			if got = x.c.text("files__list_allowed_directories", nil); strings.Contains(got, x.no) {
				t.Fatalf("one client's roots reached another's server: %q", got)
			}
			select {
			case <-retry.C:
			case <-ctx.Done():
				t.Fatalf("the roots %s never arrived: %q; %s", x.has, got, x.c.history())
			}
		}
	}
}
