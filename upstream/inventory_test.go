package upstream_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/jsonrpc"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

// TestListChangedIsCoalesced is F23.
func TestListChangedIsCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		s.Tools = []string{"one"}
		b := begin(t, d, command("a"))
		time.Sleep(5 * time.Second)
		<-b.set.Changed()
		s.Script(func(s *linktest.Server) { s.Tools = []string{"one", "two"} })
		for range 10_000 {
			s.Last().Say("notifications/tools/list_changed")
			time.Sleep(100 * time.Microsecond)
		}
		<-b.set.Changed()
		time.Sleep(5 * time.Second)
		if n := s.Asked("tools/list"); n > 1+2+1 {
			t.Errorf("%d lists for a burst", n)
		}
		if got := len(b.up("a").Inventory().Tools); got != 2 {
			t.Errorf("%d tools", got)
		}
		// A server whose list says that it changed.
		s.Script(func(s *linktest.Server) {
			s.OnRequest = func(_ context.Context, l *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
				if method == "tools/list" {
					l.Say("notifications/tools/list_changed")
				}
				return nil, nil
			}
		})
		before := s.Asked("tools/list")
		s.Last().Say("notifications/tools/list_changed")
		time.Sleep(20 * time.Second)
		if n := s.Asked("tools/list") - before; n < 2 || n > 21 {
			t.Errorf("%d lists in 20s, want one a second at most", n)
		}
	})
}

func TestInventoryIsKept(t *testing.T) {
	dir := t.TempDir()
	c := command("a/b.c")
	file := filepath.Join(dir, "inventories", "a%2Fb.c-"+c.RestartKey()+".json")
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		d.Server(c.Name).Tools = []string{"one"}
		set := upstream.NewSet(upstream.Options{Dialer: d, StateDir: dir})
		run(t, set, c)
		if len(set.Upstream(c.Name).Inventory().Tools) != 1 {
			t.Fatal("not learnt")
		}
	})
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	synctest.Test(t, func(t *testing.T) {
		set := upstream.NewSet(upstream.Options{Dialer: new(linktest.Dialer), StateDir: dir})
		if _, err := set.Apply([]upstream.Config{c}); err != nil {
			t.Fatal(err)
		}
		if inv := set.Upstream(c.Name).Inventory(); inv == nil || string(inv.Tools[0]) != `{"name":"one","inputSchema":{"type":"object"}}` {
			t.Errorf("from the first moment: %+v", inv)
		}
		// Another key is another server.
		other := c
		other.Args = []string{"x"}
		set = upstream.NewSet(upstream.Options{Dialer: new(linktest.Dialer), StateDir: dir})
		run(t, set, other)
	})
	if files, _ := filepath.Glob(filepath.Join(dir, "inventories", "*")); len(files) != 1 || files[0] == file {
		t.Errorf("kept: %v", files)
	}
	if err := os.WriteFile(file, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	set := upstream.NewSet(upstream.Options{Dialer: new(linktest.Dialer), StateDir: dir})
	if _, err := set.Apply([]upstream.Config{c}); err != nil || set.Upstream(c.Name).Inventory() != nil {
		t.Errorf("a broken file: %v", err)
	}
}

// run runs a set of one until it is running, and stops it.
func run(t *testing.T, set *upstream.Set, c upstream.Config) {
	t.Helper()
	if _, err := set.Apply([]upstream.Config{c}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan error)
	go func() { over <- set.Run(ctx) }()
	synctest.Wait()
	if s := set.Upstream(c.Name).Status(); s.State != upstream.Running {
		t.Errorf("it is %s", s.State)
	}
	cancel()
	<-over
}

// TestSubscriptionsAreRenewed is the upstream's part of F13.
func TestSubscriptionsAreRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		b := begin(t, d, command("a"))
		a, shared := b.up("a"), upstream.Scope{}
		for range 2 {
			if err := a.Subscribe(t.Context(), shared, "file:///x"); err != nil {
				t.Fatal(err)
			}
		}
		a.SetLevel(t.Context(), shared, "debug")
		if s.Asked("resources/subscribe") != 1 || s.Asked("logging/setLevel") != 1 {
			t.Error("asked more than once, or never")
		}
		s.Last().Lose()
		time.Sleep(time.Second)
		if s.Asked("resources/subscribe") != 2 || s.Asked("logging/setLevel") != 2 {
			t.Error("not renewed")
		}
		for i := range 2 {
			if err := a.Unsubscribe(t.Context(), shared, "file:///x"); err != nil || s.Asked("resources/unsubscribe") != i {
				t.Errorf("unsubscribe %d: %v, asked %d times", i, err, s.Asked("resources/unsubscribe"))
			}
		}
		s.Last().Lose()
		time.Sleep(7 * time.Second)
		if n := s.Asked("resources/subscribe"); n != 2 {
			t.Errorf("asked %d times in all: renewed what nobody wants", n)
		}
		s.Script(func(s *linktest.Server) {
			s.OnRequest = func(context.Context, *linktest.Link, string, *upstream.Request) (json.RawMessage, error) {
				return nil, &upstream.ServerError{Code: jsonrpc.CodeInvalidParams, Message: "no such resource"}
			}
		})
		err := a.Subscribe(t.Context(), shared, "file:///y")
		if e, ok := err.(*upstream.ServerError); !ok || e.Code != jsonrpc.CodeInvalidParams {
			t.Errorf("got %v", err)
		}
	})
}

// TestLevelBeforeFirstCall: a scope's link was used while it was still being told
// what its client wants to see, and the first lines of the first call were lost.
func TestLevelBeforeFirstCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := new(linktest.Dialer)
		s := d.Server("a")
		var order []string
		s.OnRequest = func(ctx context.Context, l *linktest.Link, method string, _ *upstream.Request) (json.RawMessage, error) {
			if l.Dial.Exclusive {
				order = append(order, method)
				if method == "logging/setLevel" {
					_ = linktest.Sleep(ctx, time.Second)
					order = append(order, "level is set")
				}
			}
			return nil, nil
		}
		b := begin(t, d, command("a"))
		a, own := b.up("a"), upstream.Scope{Key: "one", Exclusive: true}
		a.SetLevel(t.Context(), own, "debug")
		x := tool("x")
		x.Scope = own
		if _, err := a.Call(t.Context(), x); err != nil {
			t.Fatal(err)
		}
		if want := []string{"logging/setLevel", "level is set", "tools/call"}; !slices.Equal(order, want) {
			t.Errorf("the link was asked %v, want %v", order, want)
		}
	})
}
