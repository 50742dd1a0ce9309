package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/interlock-mcp/interlock/gateway/admin"
	"github.com/interlock-mcp/interlock/telemetry"
)

// noon is when made-up traces begin.
var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.Local)

// made is a span of the trace 4bf9..., from and to in milliseconds.
func made(id, parent, name string, kind int, from, to float64, change ...func(*admin.Span)) admin.Span {
	ms := func(f float64) time.Time { return noon.Add(time.Duration(f * float64(time.Millisecond))) }
	s := admin.Span{Trace: "4bf92f3577b34da6a3ce929d0e0e4736", ID: id, Parent: parent, Name: name, Kind: kind, Began: ms(from), Ended: ms(to)}
	for _, c := range change {
		c(&s)
	}
	return s
}

func with(key, value string) func(*admin.Span) {
	return func(s *admin.Span) { s.Attributes = append(s.Attributes, admin.SpanAttribute{Key: key, Value: value}) }
}

func failing(kind, message string) func(*admin.Span) {
	return func(s *admin.Span) {
		s.Failed, s.Message = true, message
		with(telemetry.AttrErrorType, kind)(s)
	}
}

func at(ms int, name string, attributes ...admin.SpanAttribute) func(*admin.Span) {
	return func(s *admin.Span) {
		s.Events = append(s.Events, admin.SpanEvent{At: noon.Add(time.Duration(ms) * time.Millisecond), Name: name, Attributes: attributes})
	}
}

func linked(trace, span, why string) func(*admin.Span) {
	return func(s *admin.Span) {
		s.Links = append(s.Links, admin.SpanLink{Trace: trace, Span: span, Attributes: []admin.SpanAttribute{{Key: telemetry.AttrLink, Value: why}}})
	}
}

// open is a span that has not ended.
func open(s *admin.Span) { s.Open = true }

// sickCall is a call that waited for a restart and timed out in the end.
func sickCall() []admin.Span {
	const start = "99999999999999999999999999999999"
	return []admin.Span{
		made("d", "c", "queue wait", 1, 1, 400, with(telemetry.AttrUpstream, "files")),
		made("c", "a", "tools/call read", 3, 0.9, 1199, with(telemetry.AttrUpstream, "files"), failing("timeout", "no answer within 800ms"),
			at(500, "notifications/progress"), at(700, "notifications/progress"), at(1190, "retry", admin.SpanAttribute{Key: "interlock.attempt", Value: "2"}),
			linked(start, "5", "waited_for"), linked("77777777777777777777777777777777", "6", "caused")),
		made("b", "a", "policy secrets", 1, 0.1, 0.85),
		made("a", "f0f0f0f0f0f0f0f0", "tools/call files__read", 2, 0, 1200, func(s *admin.Span) { s.Remote = true }, failing("timeout", "")),
		made("e", "gone", "breaker", 1, 1100, 1100),
	}
}

var linkedTo = map[string]string{"99999999999999999999999999999999" + "5": "upstream start [files], took 400.0ms (trace 99999999)"}

func TestWaterfall(t *testing.T) {
	for width, want := range map[int][]string{
		0: {
			`trace 4bf92f3577b34da6a3ce929d0e0e4736`,
			`2026-11-22 12:00:00.000, 1.20s, 5 spans, 2 failed, below span f0f0f0f0f0f0f0f0 of the client`,
			``,
			`SPAN                                     AT     TOOK  0                                  1.20s`,
			`tools/call files__read                    0    1.20s  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒`,
			`│  ! timeout`,
			`├─ policy secrets                    +100µs    750µs  █`,
			`└─ tools/call read [files]           +900µs    1.20s  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒`,
			`   │  ! timeout: no answer within 800ms`,
			`   │  → waited for: upstream start [files], took 400.0ms (trace 99999999)`,
			`   │  → caused by: span 6 of trace 77777777777777777777777777777777, which is not kept here`,
			`   │  ◆ notifications/progress ×2  +500.0ms                           ◆      ◆`,
			`   │  ◆ retry                        +1.19s                                                  ◆`,
			`   │    attempt: 2`,
			`   └─ queue wait                     +1.0ms  399.0ms  ██████████████`,
			`breaker                              +1.10s        -                                      ◆`,
			`   (what it is part of has not ended, or is kept no more)`,
		},
		72: {
			`trace 4bf92f3577b34da6a3ce929d0e0e4736`,
			`2026-11-22 12:00:00.000, 1.20s, 5 spans, 2 failed, below span f0f0f0f0f…`,
			``,
			`SPAN                                    AT     TOOK  0             1.20s`,
			`tools/call files__read                   0    1.20s  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒`,
			`│  ! timeout`,
			`├─ policy secrets                   +100µs    750µs  █`,
			`└─ tools/call read [files]          +900µs    1.20s  ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒`,
			`   │  ! timeout: no answer within 800ms`,
			`   │  → waited for: upstream start [files], took 400.0ms (trace 9999999…`,
			`   │  → caused by: span 6 of trace 77777777777777777777777777777777, wh…`,
			`   │  ◆ notifications/progress …  +500.0ms                  ◆   ◆`,
			`   │  ◆ retry                       +1.19s                             ◆`,
			`   │    attempt: 2`,
			`   └─ queue wait                    +1.0ms  399.0ms  ███████`,
			`breaker                             +1.10s        -                   ◆`,
			`   (what it is part of has not ended, or is kept no more)`,
		},
		40: {
			`trace 4bf92f3577b34da6a3ce929d0e0e4736`,
			`2026-11-22 12:00:00.000, 1.20s, 5 spans…`,
			``,
			`SPAN                   TOOK  0     1.20s`,
			`tools/call files_…    1.20s  ▒▒▒▒▒▒▒▒▒▒▒`,
			`│  ! timeout`,
			`├─ policy secrets     750µs  █`,
			`└─ tools/call rea…    1.20s  ▒▒▒▒▒▒▒▒▒▒▒`,
			`   │  ! timeout: no answer within 800ms`,
			`   │  → waited for: upstream start [fil…`,
			`   │  → caused by: span 6 of trace 7777…`,
			`   │  ◆ notificat…               ◆ ◆`,
			`   │  ◆ retry                          ◆`,
			`   │    attempt: 2`,
			`   └─ queue wait    399.0ms  ████`,
			`breaker                   -            ◆`,
			`   (what it is part of has not ended, o…`,
		},
		20: {
			`trace 4bf92f3577b34da6a3ce929d0e0e4736`,
			`2026-11-22 12:00:00…`,
			``,
			`SPAN            TOOK`,
			`tools/call…    1.20s`,
			`│  ! timeout`,
			`├─ policy …    750µs`,
			`└─ tools/c…    1.20s`,
			`   │  ! timeout: no…`,
			`   │  → waited for:…`,
			`   │  → caused by: …`,
			`   │  ◆ no…`,
			`   │  ◆ re…`,
			`   │    attempt: 2`,
			`   └─ queu…  399.0ms`,
			`breaker            -`,
			`   (what it is part…`,
		},
	} {
		got := on(width, func(s *screen) { s.waterfall(sickCall(), linkedTo, traceView{}) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d columns: %s", width, diff)
		}
	}
}

// The drawing in the documentation is one that the program makes.
func TestWaterfallOfTheDocumentation(t *testing.T) {
	const start = "325fc4c0d68c9f2a6e1b7a5d3c9e8f10"
	spans := []admin.Span{
		made("a", "", "tools/call files__read", 2, 0, 1241),
		made("b", "a", "policy secrets", 1, 0.1, 0.45, with(telemetry.AttrPolicyEffect, "change"), with(telemetry.AttrPolicyReason, "1 credential was masked")),
		made("c", "a", "tools/call read", 3, 0.6, 1240, with(telemetry.AttrUpstream, "files"), linked(start, "5", telemetry.LinkWaitedFor),
			at(900, "notifications/progress"), at(1100, "notifications/progress")),
		made("d", "c", "queue wait", 1, 0.7, 780, with(telemetry.AttrUpstream, "files"), with(telemetry.AttrWaitReason, telemetry.WaitStart)),
	}
	page, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{start + "5": "upstream start (recovery) [files], 11:59:59.871, took 909.2ms (trace 325fc4c0)"}
	drawn := strings.Join(on(0, func(s *screen) { s.waterfall(spans, names, traceView{}) }), "\n")
	if !strings.Contains(string(page), "```\n"+drawn+"\n```") {
		t.Errorf("docs/operations.md does not have it:\n%s", drawn)
	}
}

// However narrow the terminal is, no line is longer.
func TestWaterfallFits(t *testing.T) {
	for width := leastTop; width < 200; width++ {
		lines := on(width, func(s *screen) { s.waterfall(sickCall(), linkedTo, traceView{attributes: true}) })
		for _, line := range lines[1:] { // the first is the whole id, to be copied
			if cells(line) > width {
				t.Fatalf("%d columns: %d in %q", width, cells(line), line)
			}
		}
	}
}

func TestWaterfallAttributes(t *testing.T) {
	got := on(0, func(s *screen) {
		s.waterfall([]admin.Span{made("a", "", "ping", 2, 0, 5, with("mcp.method.name", "ping"))}, nil, traceView{attributes: true})
	})
	want := []string{
		"trace 4bf92f3577b34da6a3ce929d0e0e4736",
		"2026-11-22 12:00:00.000, 5.0ms, 1 span", "",
		"SPAN  AT   TOOK  0                                  5.0ms",
		"ping   0  5.0ms  ████████████████████████████████████████",
		"   mcp.method.name = ping",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What a server names may hold what a terminal obeys, and spans may name each
// other as parents, or many of them.
func TestWaterfallOfHostileSpans(t *testing.T) {
	const evil = "\x1b]0;owned\x07\x1b[2J\n\u202e"
	spans := []admin.Span{
		made("a", "b", "a"+evil, 2, 0, 5, failing("x"+evil, "y"+evil), with(telemetry.AttrUpstream, "u"+evil), with("k"+evil, "v"+evil), at(1, "e"+evil), linked("t"+evil, "s"+evil, "w"+evil)),
		made("b", "a", "circle", 1, 0, 5),
		made("c", "c", "circle", 1, 0, 0),
	}
	for i := range 100 {
		spans = append(spans, made(strings.Repeat("x", i+1), strings.Repeat("x", i), "deep", 1, 0, 1))
	}
	spans[0].Trace += evil
	for _, width := range []int{0, 80} {
		out := strings.Join(on(width, func(s *screen) {
			s.waterfall(spans, map[string]string{}, traceView{attributes: true})
			s.traces([][]admin.Span{spans})
			s.traceLine(summaryOf(spans))
		}), "\n")
		if strings.ContainsAny(out, "\x1b\x07\u202e") {
			t.Errorf("%q", out)
		}
		if deep, round := strings.Count(out, "deep"), strings.Count(out, "circle"); width == 0 && (deep < 100 || round < 2) {
			t.Errorf("%d of 100 spans in a row are drawn, and %d of 2 in circles", deep, round)
		}
	}
}

// Of what has not ended one sees how far it has come.
func TestWaterfallOfWhatIsUnderWay(t *testing.T) {
	spans := []admin.Span{made("a", "", "tools/call clock__wait", 2, 0, 1000, open), made("b", "a", "queue wait", 1, 0, 500)}
	want := []string{
		"2026-11-22 12:00:00.000, 1.00s, 2 spans", "",
		"SPAN                    AT     TOOK  0                                  1.00s",
		"tools/call clock__wait   0    1.00s  ████████████████████████████████████████",
		"│  (under way)",
		"└─ queue wait            0  500.0ms  ████████████████████",
	}
	if diff := cmp.Diff(want, on(0, func(s *screen) { s.waterfall(spans, nil, traceView{}) })[1:]); diff != "" {
		t.Error(diff)
	}
	if got := spanName(&spans[0]); !strings.HasSuffix(got, ", under way") {
		t.Errorf("a link leads to %s", got)
	}
}

func TestTracesTable(t *testing.T) {
	ok := []admin.Span{made("a", "", "tools/call clock__now", 2, 0, 12, with(telemetry.AttrUpstream, "")), made("b", "a", "tools/call now", 3, 1, 11, with(telemetry.AttrUpstream, "clock"))}
	retried := []admin.Span{made("a", "", "tools/list", 2, 10, 60), made("b", "a", "tools/list", 3, 11, 30, with(telemetry.AttrUpstream, "a"), failing("reset", "")), made("c", "a", "tools/list", 3, 31, 60, with(telemetry.AttrUpstream, "b"))}
	refused := []admin.Span{made("a", "", "tools/call _other", 2, 20, 20.05, with(telemetry.AttrStatusCode, "-32602"))}
	for i := range refused {
		refused[i].Trace = "4bf92f35ffffffffffffffffffffffff"
	}
	going := []admin.Span{made("a", "", "tools/call clock__wait", 2, 30, 2030, open), made("b", "a", "tools/call wait", 3, 31, 2030, open, with(telemetry.AttrUpstream, "clock"))}
	got := on(0, func(s *screen) { s.traces([][]admin.Span{going, refused, retried, sickCall(), ok, {}}) })
	for i := range got { // the day is said of what is not of today
		got[i] = strings.Replace(got[i], "2026-11-22 ", "", 1)
	}
	want := []string{
		"TRACE      WHAT                    UPSTREAM  TOOK    OUTCOME        SPANS",
		"4bf92f357  tools/call clock__now   clock     12.0ms  ok             2",
		"4bf92f357  tools/call files__read  files     1.20s   timeout        5",
		"4bf92f357  tools/list              a, b      50.0ms  ok (1 failed)  3",
		"4bf92f35f  tools/call _other       -         50µs    error -32602   1",
		"4bf92f357  tools/call clock__wait  clock     2.00s   under way      2",
	}
	for i := range got {
		_, got[i], _ = strings.Cut(strings.TrimLeft(got[i], "AT0123456789:."), "  ")
		got[i] = strings.TrimLeft(got[i], " ")
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
