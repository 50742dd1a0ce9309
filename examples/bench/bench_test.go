package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"math"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be what bench runs again in other roles.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-role" {
		main()
		return
	}
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0")
	dir, err := os.MkdirTemp("", "il")
	if err != nil {
		panic(err)
	}
	binary = sync.OnceValues(func() (string, error) { return build(context.Background(), dir) })
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// binary builds the gateway once.
var binary func() (string, error)

// tiny runs every path of the program, and measures nothing.
func tiny(t *testing.T) plan {
	t.Helper()
	built, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return plan{
		binary: built, rounds: 1, slice: 20 * time.Millisecond, tell: io.Discard,
		sizes: sizes{
			inFlight: []int{1}, lists: []int{50}, slow: 4, sessions: []int{20}, streams: 5, upstreams: []int{1, 3},
		},
		// Each path of the program once. A server over HTTP that was killed is away
		// for seconds.
		only: regexp.MustCompile(`^(calls-1/.*|five/http|result/http|arguments/stdio|list.*|slow/stdio|sessions.*|streams.*|cold.*|memory.*|killed/stdio|refused.*|telemetry/http.*)$`),
	}
}

// Every case runs, every answer was the right one, and what was measured makes
// sense.
func TestScenarios(t *testing.T) {
	t.Parallel()
	p := tiny(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	r, err := measure(ctx, p)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases(r)) != 18 {
		t.Errorf("%d cases, want 18: %v", len(cases(r)), cases(r))
	}
	for _, w := range r.Rows {
		if len(w.Figures) == 0 {
			t.Errorf("%s %s: nothing was measured", w.Case, w.Way)
		}
		for name, f := range w.Figures {
			if f.Low > f.Median || f.Median > f.High {
				t.Errorf("%s %s %s is %+v", w.Case, w.Way, name, f.spread)
			}
			if f.Median <= 0 && name != perSession && name != addedP50 && name != objectsPerCall && name != shortLists && name != spansPerCall {
				t.Errorf("%s %s %s is %v", w.Case, w.Way, name, f.Median)
			}
			floor := r.find(w.Case, w.Floor)
			if floor == nil || floor.Figures[name] == nil || floor.Figures[name].High <= 0 { // so few calls may allocate less than the reading does
				continue
			}
			if f.Ratio == nil && name != addedP50 {
				t.Errorf("%s %s %s is not compared", w.Case, w.Way, name)
			}
		}
		if f := w.Figures[p50]; f != nil && w.Figures[p99] != nil && w.Figures[p99].Median < f.Median {
			t.Errorf("%s %s: p99 %v, p50 %v", w.Case, w.Way, w.Figures[p99].Median, f.Median)
		}
	}
	var out bytes.Buffer
	if err := r.writeTable(&out); err != nil {
		t.Fatal(err)
	}
	for _, s := range scenarios(p.sizes) {
		if p.only.MatchString(s.name) && !strings.Contains(out.String(), "\n"+s.title+" ("+s.upstream) {
			t.Errorf("the table has no %q", s.title)
		}
	}
}

func cases(r *report) map[string]bool {
	all := map[string]bool{}
	for _, w := range r.Rows {
		all[w.Case] = true
	}
	return all
}

// nobody answers, and at once.
type nobody struct{}

func (nobody) exchange(int, []byte) (response, error) { return response{}, nil }

func (nobody) close() {}

// Who comes late has asked all the same: else a slice in which the machine stands still
// has no figures, and calls that are to wait all through a load are never made.
func TestAsksOnce(t *testing.T) {
	asked := 0
	c := &caller{wire: nobody{}, targets: []target{{}}}
	err := c.run(func(*caller, int) error { asked++; return nil }, time.Now().Add(-time.Second))
	if err != nil || asked != 1 || len(c.latencies) != 1 {
		t.Errorf("asked %d times, %d latencies, %v; want one", asked, len(c.latencies), err)
	}
}

func TestAnswer(t *testing.T) {
	s := newServer(0, "")
	for _, c := range []struct{ name, message, want string }{
		{
			"call", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hi"}}}`,
			`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"hi"}]}}`,
		},
		{
			"measure", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"measure","arguments":{"message":"123456789"}}}`,
			`{"jsonrpc":"2.0","id":7,"result":{"content":[{"type":"text","text":"11 2203660321"}]}}`,
		},
		{"string id at the end", `{"method":"ping","id":"a-1"}`, `{"jsonrpc":"2.0","id":"a-1","result":{}}`},
		{"notification", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(s.answer(nil, []byte(c.message))); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, n := range []int{0, 6, 100} {
		if got := bytes.Count(newServer(n, "").answer(nil, []byte(list)), []byte(`"inputSchema"`)); got != max(n, len(ownTools)) {
			t.Errorf("a server of %d tools lists %d", n, got)
		}
	}
}

// Ratios are taken in each repetition, and a bar looks at their median.
func TestReport(t *testing.T) {
	r := new(report)
	ways := []*way{{name: direct}, {name: proxy}, {name: interlock, floor: proxy}}
	rows := r.open(&scenario{name: "calls-1/http"}, ways)
	for _, v := range [][3]float64{{10, 30, 40}, {10, 20, 30}, {10, 110, 60}} {
		add(rows, []figures{{p50: v[0]}, {p50: v[1]}, {p50: v[2]}})
	}
	r.finish()
	got := r.find("calls-1/http", interlock).Figures[addedP50]
	if want := (spread{Median: 1.5, Low: 0.5, High: 2}); *got.Ratio != want {
		t.Errorf("ratio of the added time is %+v, want %+v", *got.Ratio, want)
	}
	if want := (spread{Median: 30, Low: 20, High: 50}); got.spread != want {
		t.Errorf("added time is %+v, want %+v", got.spread, want)
	}
	if len(r.Bars) != 1 || r.Bars[0].Pass || r.failed() != 1 {
		t.Errorf("bars are %+v, want one that failed", r.Bars)
	}
	if got := (verdict{More: true, spread: spread{Median: 1.2}}); !got.meets(1.1) || got.meets(1.3) {
		t.Error("more is not better where it should be")
	}
}

// A page keeps all but the figures of the run before.
func TestPage(t *testing.T) {
	r := new(report)
	add(r.open(&scenario{name: "calls-1/http", title: "small"}, []*way{{name: direct}}), []figures{{p50: 10}})
	r.finish()
	page := t.TempDir() + "/page.md"
	for range 2 {
		before, _ := os.ReadFile(page)
		if len(before) == 0 {
			before = []byte("above\n" + figuresFrom + "old\n" + figuresTo + "below\n")
		}
		if err := os.WriteFile(page, before, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := r.insert(page); err != nil {
			t.Fatal(err)
		}
		got, _ := os.ReadFile(page)
		s := string(got)
		if !strings.HasPrefix(s, "above\n"+figuresFrom) || !strings.HasSuffix(s, figuresTo+"below\n") || strings.Contains(s, "old") ||
			strings.Count(s, "\nsmall (") != 1 {
			t.Errorf("the page is\n%s", s)
		}
	}
	if err := os.WriteFile(page, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r.insert(page) == nil {
		t.Error("a page without a place for figures was changed")
	}
}

// A bar that names a case or a way which is not there is never judged.
func TestBarsHaveCases(t *testing.T) {
	known := map[string]bool{}
	for _, s := range scenarios(fullSizes()) {
		known[s.name] = true
	}
	for _, b := range bars {
		if !known[b.scenario] {
			t.Errorf("the bar %q is of %s, which is no case", b.text, b.scenario)
		}
	}
}

// A picture is well-formed, and says what it shows.
func TestPlot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := tiny(t)
	small := dimension{"sessions", "Calls & sessions", "sessions", []int{1, 3}, growSessions}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	if err := grow(ctx, p, dir, []dimension{small}); err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile(dir + "/growth-sessions.svg")
	if err != nil {
		t.Fatal(err)
	}
	texts, d := "", xml.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, raw)
		}
		if s, ok := token.(xml.CharData); ok {
			texts += string(s)
		}
	}
	for _, want := range []string{"Calls & sessions", "sessions", "µs a call", "MiB", "● ReverseProxy", "● Interlock"} {
		if !strings.Contains(texts, want) {
			t.Errorf("the picture does not say %q", want)
		}
	}
	if got := strings.Count(string(raw), "<circle"); got != 8 || strings.Contains(string(raw), "NaN") {
		t.Errorf("%d points, want 8: two ways at two places in two panels\n%s", got, raw)
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.5: "0.5", 999: "999", 1000: "1,000", 50000: "50,000"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) is %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]float64{0.3: 0.5, 1: 1, 1.1: 2, 21: 50, 70: 100} {
		if got := nice(v); math.Abs(got-want) > 1e-9 {
			t.Errorf("nice(%v) is %v, want %v", v, got, want)
		}
	}
}
