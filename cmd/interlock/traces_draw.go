package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/telemetry"
)

// What a waterfall is drawn with. All are in the fonts of old consoles, and tell
// apart without colour.
const (
	barDone   = "█"
	barFailed = "▒"
	barMoment = "◆" // a moment: an event, or a span without length
)

// Widths of a waterfall in columns.
const (
	pipeBar  = 40 // the bars where the width is unknown
	mostBar  = 80
	leastBar = 8
	leastTop = 12 // the names
)

// waterfall is a trace being drawn.
type waterfall struct {
	s          *screen
	from, to   time.Time
	names      map[string]string // of spans that links lead to, by trace and span id
	attributes bool
	lines      []traceLine
}

// traceLine is a span, or moments within one, or a remark below one.
type traceLine struct {
	lead, text string
	paint      func(string) string // the text; nil for plain
	remark     bool                // it is all there is in the line
	at, took   string
	began      time.Time
	length     time.Duration
	fill       string
	moments    []time.Time
	bar        func(string) string
}

// waterfall draws one trace: its spans, of which there is one at least.
func (s *screen) waterfall(spans []admin.Span, names map[string]string, view traceView) {
	w := &waterfall{s: s, names: names, attributes: view.attributes}
	w.from, w.to = extent(spans)
	for _, n := range spanTree(spans) {
		w.node(n, nil, "", "")
	}
	s.printf("%s %s\n", s.bold("trace"), s.cyan(printable(spans[0].Trace)))
	s.printf("%s\n\n", w.sum(spans))
	w.write()
}

// sum says in a line what the whole is.
func (w *waterfall) sum(spans []admin.Span) string {
	failed, remote := 0, ""
	for i := range spans {
		if spans[i].Failed {
			failed++
		}
		if spans[i].Remote && remote == "" {
			remote = ", below span " + printable(spans[i].Parent) + " of the client"
		}
	}
	text := w.from.Local().Format("2006-01-02 15:04:05.000")
	if whole := w.to.Sub(w.from); whole > 0 {
		text += ", " + brief(whole)
	}
	text += ", " + count(len(spans), "span")
	if failed > 0 {
		text += fmt.Sprintf(", %d failed", failed)
	}
	if text += remote; w.s.width > 0 {
		text = cut(text, w.s.width)
	}
	return text
}

// node adds a span and what is below it. lead is before its own line, pad before
// those below.
func (w *waterfall) node(n, parent *spanNode, lead, pad string) {
	text := printable(title(n.Span))
	if name := n.Attribute(telemetry.AttrUpstream); name != "" && (parent == nil || parent.Attribute(telemetry.AttrUpstream) != name) {
		text += " [" + printable(name) + "]"
	}
	l := traceLine{
		lead: lead, text: text, at: offset(n.Began.Sub(w.from)), took: brief(n.Took()),
		began: n.Began, length: n.Took(), fill: barDone, bar: w.kindColour(n),
	}
	if parent == nil {
		l.paint = w.s.bold
	}
	if n.Failed {
		l.paint, l.bar, l.fill = w.s.red, w.s.red, barFailed
	}
	w.lines = append(w.lines, l)
	w.details(n, pad)
	for i, child := range n.below {
		if i < len(n.below)-1 {
			w.node(child, n, pad+"├─ ", pad+"│  ")
		} else {
			w.node(child, n, pad+"└─ ", pad+"   ")
		}
	}
}

// The kinds of spans.
const (
	kindInternal = 1
	kindServer   = 2
	kindClient   = 3
)

func (w *waterfall) kindColour(n *spanNode) func(string) string {
	switch n.Kind {
	case kindServer:
		return w.s.cyan
	case kindClient:
		return w.s.green
	}
	return w.s.yellow
}

// details adds what is to be said of a span below its line.
func (w *waterfall) details(n *spanNode, pad string) {
	if len(n.below) > 0 {
		pad += "│  "
	} else {
		pad += "   "
	}
	remark := func(paint func(string) string, text string) {
		w.lines = append(w.lines, traceLine{lead: pad, text: printable(text), paint: paint, remark: true})
	}
	switch code := n.Attribute(telemetry.AttrStatusCode); {
	case n.Failed && n.Message != "":
		remark(w.s.red, "! "+ending(n.Span)+": "+n.Message)
	case n.Failed:
		remark(w.s.red, "! "+ending(n.Span))
	case code != "":
		remark(w.s.yellow, "! answered with error "+code)
	}
	if n.Open {
		remark(w.s.yellow, "("+underWay+")")
	}
	if text := notable(n.Span); text != "" {
		remark(w.s.faint, text)
	}
	if n.lost {
		remark(w.s.faint, "(what it is part of has not ended, or is kept no more)")
	}
	for i := range n.Links {
		remark(w.s.cyan, "→ "+w.link(&n.Links[i]))
	}
	if n.DroppedLinks > 0 {
		remark(w.s.faint, fmt.Sprintf("→ %d more", n.DroppedLinks))
	}
	w.events(n, pad)
	if w.attributes {
		for _, a := range n.Attributes {
			remark(w.s.faint, a.Key+" = "+a.Value)
		}
	}
}

// notable is what of the attributes is always said.
func notable(s *admin.Span) string {
	var said []string
	for _, key := range []string{
		telemetry.AttrBecause, telemetry.AttrStopHow, telemetry.AttrWaitReason, telemetry.AttrPolicyEffect, telemetry.AttrPolicyReason,
	} {
		if v := s.Attribute(key); v != "" {
			said = append(said, lastWord(key)+": "+v)
		}
	}
	return strings.Join(said, ", ")
}

// link says where a link leads.
func (w *waterfall) link(l *admin.SpanLink) string {
	why := strings.ReplaceAll(l.Attribute(telemetry.AttrLink), "_", " ")
	switch why {
	case "":
		why = "link"
	case telemetry.LinkCaused:
		why = "caused by"
	case telemetry.LinkHeader:
		why = "from the HTTP header"
	}
	if name := w.names[l.Trace+l.Span]; name != "" {
		return why + ": " + name
	}
	return why + ": span " + l.Span + " of trace " + l.Trace + ", which is not kept here"
}

// events adds a line for each event, and one for several of a kind in a row.
func (w *waterfall) events(n *spanNode, pad string) {
	for i := 0; i < len(n.Events); {
		e := &n.Events[i]
		l := traceLine{lead: pad, text: barMoment + " " + printable(e.Name), paint: w.s.faint, at: offset(e.At.Sub(w.from)), fill: barMoment, bar: w.s.bold}
		for ; i < len(n.Events) && n.Events[i].Name == e.Name; i++ {
			l.moments = append(l.moments, n.Events[i].At)
		}
		if len(l.moments) > 1 {
			l.text += fmt.Sprintf(" ×%d", len(l.moments))
		}
		w.lines = append(w.lines, l)
		if text := eventText(e, n.Span); text != "" && len(l.moments) == 1 {
			w.lines = append(w.lines, traceLine{lead: pad, text: "  " + text, paint: w.s.faint, remark: true})
		}
	}
	if n.DroppedEvents > 0 {
		w.lines = append(w.lines, traceLine{lead: pad, text: fmt.Sprintf("%s %d more", barMoment, n.DroppedEvents), paint: w.s.faint, remark: true})
	}
}

// eventText is what an event has to say that its span has not said already.
func eventText(e *admin.SpanEvent, s *admin.Span) string {
	var said []string
	for _, a := range e.Attributes {
		if s.Attribute(a.Key) != a.Value {
			said = append(said, printable(lastWord(a.Key)+": "+a.Value))
		}
	}
	return strings.Join(said, ", ")
}

// offset is how long after the beginning something was.
func offset(d time.Duration) string {
	if d <= 0 {
		return "0"
	}
	return "+" + brief(d)
}

// layout is how wide the columns are; 0 for one that is not shown.
type layout struct{ name, at, took, bar int }

// fit divides the width of the screen.
func (w *waterfall) fit() layout {
	l := layout{name: cells("SPAN"), at: cells("AT"), took: cells("TOOK")}
	for i := range w.lines {
		if x := &w.lines[i]; !x.remark {
			l.name = max(l.name, cells(x.lead)+cells(x.text))
			l.at, l.took = max(l.at, cells(x.at)), max(l.took, cells(x.took))
		}
	}
	if w.s.width <= 0 {
		l.bar = pipeBar
		return l
	}
	whole := l.name
	room := func(others ...int) int {
		left := w.s.width - l.took
		for _, o := range others {
			left -= o
		}
		return left - gap*(len(others)+1)
	}
	l.name = min(whole, max(leastTop, w.s.width*45/100))
	if l.bar = room(l.name, l.at); l.bar < leastBar { // when it began is seen in the bars
		l.at = 0
		l.bar = room(l.name)
	}
	if l.bar < leastBar {
		l.bar = 0
		l.name = min(whole, max(w.s.width-l.took-gap, 1))
	}
	if more := l.bar - mostBar; more > 0 {
		l.bar = mostBar
		l.name = min(whole, l.name+more)
	}
	return l
}

// write writes all lines.
func (w *waterfall) write() {
	at := w.fit()
	var b strings.Builder
	put := func(l *traceLine, bar string) {
		b.WriteString(w.line(at, l, bar))
		b.WriteByte('\n')
	}
	head := traceLine{text: "SPAN", paint: w.s.faint, at: "AT", took: "TOOK"}
	whole := ""
	if length := w.to.Sub(w.from); length > 0 {
		whole = w.s.faint(scale(at.bar, brief(length)))
	}
	put(&head, whole)
	for i := range w.lines {
		l := &w.lines[i]
		if l.remark {
			text := l.text
			if w.s.width > 0 {
				text = cut(text, max(w.s.width-cells(l.lead), 1))
			}
			b.WriteString(w.s.faint(l.lead) + l.paint(text) + "\n")
			continue
		}
		put(l, w.bar(at.bar, l))
	}
	w.s.printf("%s", b.String())
}

// scale is the head of the bars.
func scale(width int, whole string) string {
	if width < cells(whole)+2 {
		return ""
	}
	return "0" + strings.Repeat(" ", width-1-cells(whole)) + whole
}

// line is a line in its columns.
func (w *waterfall) line(at layout, l *traceLine, bar string) string {
	lead := cut(l.lead, at.name)
	text := ""
	if room := at.name - cells(lead); room > 0 {
		text = cut(l.text, room)
	}
	out := w.s.faint(lead)
	if fill := at.name - cells(lead) - cells(text); l.paint == nil {
		out += text + strings.Repeat(" ", fill)
	} else {
		out += l.paint(text) + strings.Repeat(" ", fill)
	}
	column := func(width int, text string) {
		if width > 0 {
			out += strings.Repeat(" ", gap+width-cells(text)) + text
		}
	}
	column(at.at, l.at)
	column(at.took, l.took)
	if bar != "" {
		out += strings.Repeat(" ", gap) + bar
	}
	return strings.TrimRight(out, " ")
}

// bar draws when a span was, or moments, in so many columns.
func (w *waterfall) bar(width int, l *traceLine) string {
	if width <= 0 {
		return ""
	}
	place := func(t time.Time) int {
		whole := w.to.Sub(w.from)
		if whole <= 0 {
			return 0
		}
		return min(max(int(float64(t.Sub(w.from))/float64(whole)*float64(width)), 0), width-1)
	}
	if l.moments == nil && l.length <= 0 {
		l.moments = []time.Time{l.began}
	}
	if l.moments == nil {
		first, last := place(l.began), place(l.began.Add(l.length-1))
		return strings.Repeat(" ", first) + l.bar(strings.Repeat(l.fill, max(last-first+1, 1)))
	}
	cols := []rune(strings.Repeat(" ", width))
	for _, t := range l.moments {
		cols[place(t)] = []rune(barMoment)[0]
	}
	return l.bar(strings.TrimRight(string(cols), " "))
}
