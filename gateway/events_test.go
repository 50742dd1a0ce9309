package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/gateway/config"
	"github.com/interlock-mcp/interlock/upstream"
	"github.com/interlock-mcp/interlock/upstream/linktest"
)

func TestEventRing(t *testing.T) {
	var l events
	if list, _ := l.after(0); len(list) != 0 {
		t.Errorf("before anything happened there are %d events", len(list))
	}
	for i := range keptEvents + 10 {
		l.add(admin.Event{Text: fmt.Sprint(i + 1)})
	}
	const last = keptEvents + 10
	for _, c := range []struct {
		name        string
		after       uint64
		first, want int
	}{
		{"all that are kept", 0, 11, keptEvents},
		{"some were forgotten", 5, 11, keptEvents},
		{"the first that is kept", 10, 11, keptEvents},
		{"the last three", last - 3, last - 2, 3},
		{"none", last, 0, 0},
		{"a number of an earlier run", last + 1, 11, keptEvents},
	} {
		list, _ := l.after(c.after)
		if len(list) != c.want {
			t.Errorf("%s: %d events, want %d", c.name, len(list), c.want)
			continue
		}
		for i, e := range list {
			if want := uint64(c.first + i); e.Seq != want || e.Text != fmt.Sprint(want) || e.At.IsZero() {
				t.Fatalf("%s: event %d is %+v, want number %d", c.name, i, e, want)
			}
		}
	}
	_, changed := l.after(last)
	select {
	case <-changed:
		t.Error("changed is closed before anything new happened")
	default:
	}
	l.add(admin.Event{})
	<-changed
	if list, _ := l.after(last); len(list) != 1 {
		t.Errorf("%d events after the change, want 1", len(list))
	}
}

// told returns the events of a kind about an upstream as "from>to stage".
func told(g *Gateway, kind, name string) []string {
	var out []string
	list, _ := g.Events(0)
	for _, e := range list {
		if e.Kind != kind || e.Upstream != name {
			continue
		}
		s := e.Stage
		if e.From != "" {
			s = strings.TrimSpace(e.From + ">" + e.To + " " + e.Stage)
		}
		out = append(out, s)
	}
	return out
}

func TestEventsOfAnUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := dialer("do")
		a := d.Server("a")
		r := start(t, settings(t, "a"), d).running()
		synctest.Wait()
		list, changed := r.Events(0)
		a.Script(func(s *linktest.Server) {
			s.Tools = []string{"do", "more"}
			s.OnDial = func(context.Context, int, *upstream.Dial) error {
				return &upstream.StartError{Stage: "spawn", Err: errors.New("gone")}
			}
		})
		a.Last().Lose()
		<-changed
		time.Sleep(time.Second) // the first restart is at once, the next one later
		a.Script(func(s *linktest.Server) { s.OnDial = nil })
		time.Sleep(time.Minute)
		synctest.Wait()

		want := []string{
			"not_started>starting", "starting>running", "running>error running",
			"starting>error spawn", "error>starting", "starting>running",
		}
		want = slices.Insert(want, 3, "error>starting")
		if got := told(r.Gateway, "state", "a"); !slices.Equal(got, want) {
			t.Errorf("states:\n got %q\nwant %q", got, want)
		}
		if got, want := told(r.Gateway, "breaker", "a"), []string{"closed>open", "open>half_open", "half_open>open", "open>half_open", "half_open>closed"}; !slices.Equal(got, want) {
			t.Errorf("breaker:\n got %q\nwant %q", got, want)
		}
		if got, want := told(r.Gateway, "start_stage", "a"), []string{"spawn", "handshake", "list", "spawn", "handshake", "spawn", "handshake", "probe", "list"}; !slices.Equal(got, want) {
			t.Errorf("stages:\n got %q\nwant %q", got, want)
		}
		if got := told(r.Gateway, "tools_changed", "a"); len(got) != 1 {
			t.Errorf("%d changes of tools, want 1: the first list is none", len(got))
		}
		list, _ = r.Events(list[len(list)-1].Seq)
		lost := slices.IndexFunc(list, func(e admin.Event) bool { return e.Kind == "state" })
		if text := list[lost].Text; text != "a is in error at stage running: connection lost: exit: signal: killed; it is restarted at once" {
			t.Errorf("the loss is told as %q", text)
		}
		r.Drain(done0())
		r.Drain(done0())
		if got := told(r.Gateway, "draining", ""); len(got) != 1 {
			t.Errorf("the end is told %d times, want once", len(got))
		}
	})
}

// What is removed and comes back under its name begins anew.
func TestEventsOfARemovedUpstream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := settings(t, "a", "b")
		r := start(t, cfg, new(linktest.Dialer)).running()
		less := *cfg
		less.Upstreams = cfg.Upstreams[1:]
		for _, c := range []*config.Config{&less, cfg} {
			if _, err := r.Apply(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		want := []string{
			"not_started>starting", "starting>running", "running>stopping", "stopping>stopped",
			"not_started>starting", "starting>running",
		}
		if got := told(r.Gateway, "state", "a"); !slices.Equal(got, want) {
			t.Errorf("states:\n got %q\nwant %q", got, want)
		}
	})
}

func TestCompareTools(t *testing.T) {
	before := items(`{"name":"kept","x":1}`, `{"name":"gone"}`, `{"name":"new words","description":"a"}`, `{}`)
	after := items(`{"name":"kept","x":1}`, `{"name":"new words","description":"b"}`, `{"name":"come"}`, `[]`)
	d := compareTools(before, after)
	if !slices.Equal(d.added, []string{"come"}) || !slices.Equal(d.removed, []string{"gone"}) || !slices.Equal(d.changed, []string{"new words"}) {
		t.Errorf("%+v", d)
	}
	if got := d.String(); got != "1 added, 1 removed, 1 changed" {
		t.Errorf("String() = %q", got)
	}
	if d := compareTools(before, slices.Clone(before)); !d.empty() {
		t.Errorf("equal lists differ: %+v", d)
	}
}

func items(list ...string) []json.RawMessage {
	out := make([]json.RawMessage, len(list))
	for i, s := range list {
		out[i] = json.RawMessage(s)
	}
	return out
}
