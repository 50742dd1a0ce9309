package upstream_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/interlock-mcp/interlock/upstream"
)

// annals is a Chronicle that writes each episode down as one line.
type annals struct {
	mu    sync.Mutex // guards the rest
	zero  time.Time
	all   []*deed
	count map[string]int
	wrong []string
}

// deed is an episode, or a call, as a Mark.
type deed struct {
	label string
	e     upstream.Episode
	o     upstream.Ending
	ended bool
	parts []*deed
}

func (d *deed) Trace() upstream.Trace { return upstream.Trace{Parent: "of " + d.label} }

func newAnnals() *annals { return &annals{zero: time.Now(), count: make(map[string]int)} }

func (a *annals) Begun(e upstream.Episode) upstream.Mark {
	a.mu.Lock()
	defer a.mu.Unlock()
	label := e.Upstream + "." + string(e.Kind)
	if e.Name != "" {
		label = e.Upstream + "." + e.Name
	}
	a.count[label]++
	d := &deed{label: fmt.Sprint(label, a.count[label]), e: e}
	if e.Kind == upstream.EpisodeStage {
		in, ok := e.Within.(*deed)
		if !ok || in.ended {
			a.wrong = append(a.wrong, label+" is a stage of no start under way")
			return d
		}
		in.parts = append(in.parts, d)
		return d
	}
	a.all = append(a.all, d)
	return d
}

func (a *annals) Ended(m upstream.Mark, o upstream.Ending) {
	a.mu.Lock()
	defer a.mu.Unlock()
	d := m.(*deed)
	if d.ended {
		a.wrong = append(a.wrong, d.label+" ended twice")
	}
	d.o, d.ended = o, true
}

// told returns what was written of one upstream, a line for each episode but for
// what the supervisor asked and was answered.
func (a *annals) told(name string) []string {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []string
	for _, d := range a.all {
		if d.e.Upstream == name && (d.e.Kind != upstream.EpisodeAsked || d.o.Err != "") {
			out = append(out, a.line(d))
		}
	}
	return out
}

// at is a time since the begin. The breaker waits for a microsecond now and then.
func (a *annals) at(t time.Time) string {
	if t.IsZero() {
		return "?"
	}
	return t.Sub(a.zero).Round(time.Millisecond).String()
}

func (a *annals) line(d *deed) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s gen %d %v", d.label, d.e.Generation, a.at(d.e.At))
	if d.ended && a.at(d.o.At) != a.at(d.e.At) {
		fmt.Fprintf(&b, " to %v", a.at(d.o.At))
	}
	if !d.ended {
		b.WriteString(" goes on")
	}
	say := func(what string, is any) {
		if s := fmt.Sprint(is); s != "" && s != "false" && s != "0" {
			b.WriteString("; " + what + " " + s)
		}
	}
	if d.e.From != "" {
		say("from", string(d.e.From)+" to "+string(d.e.To))
	}
	say("because", d.e.Because)
	say("restart", d.e.Restart)
	say("pid", d.o.PID)
	say("how", d.o.How)
	say("abandoned", d.o.Abandoned)
	say("failed at", d.o.Stage)
	say("error", d.o.Err)
	for _, t := range slices.Concat(d.e.Ties, d.o.Ties) {
		say(string(t.How), t.To.(*deed).label)
	}
	for _, p := range d.parts {
		fmt.Fprintf(&b, "; [%s %v to %v", p.e.Name, a.at(p.e.At), a.at(p.o.At))
		if p.o.Err != "" {
			b.WriteString(" " + p.o.Err)
		}
		for _, t := range p.o.Ties {
			b.WriteString(" " + string(t.How) + " " + t.To.(*deed).label)
		}
		b.WriteString("]")
	}
	return b.String()
}

// check compares what was written of an upstream.
func (a *annals) check(t *testing.T, name string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, a.told(name)); diff != "" {
		t.Errorf("of %s was told (-want +got):\n%s", name, diff)
	}
}

// closed wants all to have ended, each once.
func (a *annals) closed(t interface {
	Helper()
	Error(args ...any)
},
) {
	t.Helper()
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.all {
		for _, x := range append(d.parts, d) {
			if !x.ended {
				a.wrong = append(a.wrong, x.label+" goes on for ever")
			} else if x.o.At.Before(x.e.At) {
				a.wrong = append(a.wrong, x.label+" ended before it began")
			}
		}
	}
	for _, w := range a.wrong {
		t.Error(w)
	}
}

// seen returns a tools/call that is watched.
func seen(name string) *upstream.Call {
	c := tool(name)
	c.Witness = &witness{mark: &deed{label: "call"}}
	return c
}

// watched returns a call that is watched, under a label.
func watched(label string) (*upstream.Call, *witness) {
	w := &witness{mark: &deed{label: label}}
	c := tool("x")
	c.Witness = w
	return c, w
}

// tied says what a mark is of.
func tied(m upstream.Mark) string {
	if m == nil {
		return ""
	}
	return m.(*deed).label
}

// tied says what the call has to do with other things.
func (w *witness) tied() string {
	var out []string
	for _, t := range w.ties {
		out = append(out, string(t.How)+" "+tied(t.To))
	}
	return strings.Join(out, ", ")
}

// said says what the call waited for.
func (w *witness) said(zero time.Time) []string {
	var out []string
	for _, d := range w.delays {
		s := fmt.Sprintf("%s %v to %v", d.For, d.Began.Sub(zero), d.Over.Sub(zero))
		if d.Start != nil {
			s += " " + tied(d.Start)
		}
		if d.Err != nil {
			s += " in vain"
		}
		out = append(out, s)
	}
	return out
}
