package telemetrytest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
)

const someNames = `package telemetry

// Names of spans.
const (
	// SpanPolicy is what a policy did: ` + "`policy {name}`" + `. It has [AttrWhy],
	// and an event [EventDone].
	SpanPolicy = "policy"
)

// Names of events.
const (
	// EventDone tells the end.
	EventDone = "done"
)

// Attributes of ours.
const (
	// AttrWhy is why.
	AttrWhy = "why"
	// AttrLink is why a link is there.
	AttrLink = "interlock.link"
)

// Values of [AttrWhy]: reasons.
const (
	// WhyNot is if nothing is against it.
	WhyNot = "not"
)

const internal = "nobody's"
`

func namesFrom(t *testing.T, text string) (*Names, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "names.go")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return readNames([]string{file})
}

func TestNames(t *testing.T) {
	n, err := namesFrom(t, someNames)
	if err != nil {
		t.Fatal(err)
	}
	want := Name{
		Const: "SpanPolicy", Value: "policy", Shape: "policy {name}", Group: "Names of spans.", Attrs: []string{"why"},
		Tells: "What a policy did: `policy {name}`. It has `why`, and an event `done`.",
	}
	if diff := cmp.Diff(n.Spans, []Name{want}, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".raw" }, cmp.Ignore())); diff != "" {
		t.Error(diff)
	}
	if n.Events[0].Tells != "Tells the end." || len(n.Attrs) != 2 || n.Values["why"][0].Value != "not" {
		t.Errorf("%+v", n)
	}
	if s := n.Spans[0]; !s.Is("policy of mine") || s.Is("policy") || s.Is("policy ") || s.Is("a policy x") {
		t.Error("what is called policy {name} is not told from what is not")
	}
}

// A constant that the page could not be made of is an error that names it.
func TestNamesThatSayTooLittle(t *testing.T) {
	for _, x := range []struct{ name, old, text, want string }{
		{"no comment", "// AttrWhy is why.\n", "\n", "AttrWhy has no comment"},
		{"another's comment", "// AttrWhy is why.", "// AttrNot is why.", "the comment of AttrWhy does not begin with its name"},
		{"a reference to nothing", "[EventDone]", "[EventGone]", "names EventGone"},
		{"values of nothing", "Values of [AttrWhy]", "Values of [AttrGone]", "no AttrGone for WhyNot"},
		{"a prefix of no kind", "Values of [AttrWhy]", "More of [AttrWhy]", "WhyNot: its prefix"},
		{"no constants", "const internal =", "var internal =", "more than constants"},
		{"two at once", `AttrWhy = "why"`, `AttrWhy, AttrHow = "why", "how"`, "one name and one value"},
		{"no text", `"done"`, `1`, "EventDone is no text"},
	} {
		t.Run(x.name, func(t *testing.T) {
			_, err := namesFrom(t, strings.Replace(someNames, x.old, x.text, 1))
			if err == nil || !strings.Contains(err.Error(), x.want) {
				t.Errorf("got %v, want %q", err, x.want)
			}
		})
	}
}

// What came and is not documented is a fault that says where it was.
func TestFaults(t *testing.T) {
	n, err := namesFrom(t, someNames)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		name string
		span Span
		want string
	}{
		{"an attribute", Span{Name: "policy p", Attrs: Attrs{"how": "so"}}, `no attribute "how" is documented`},
		{"a value", Span{Name: "policy p", Attrs: Attrs{"why": "because"}}, `why may not be "because"`},
		{"a span", Span{Name: "polis p"}, "no span of that name"},
		{"an event", Span{Name: "policy p", Events: []Event{{Name: "over"}}}, `no event "over"`},
		{"an attribute of an event", Span{Name: "policy p", Events: []Event{{Name: "done", Attrs: Attrs{"why": "not"}}}}, `may have "why"`},
		{"an attribute of another", Span{Name: "policy p", Attrs: Attrs{"interlock.link": "x"}}, `may have "interlock.link"`},
		{"a link", Span{Name: "policy p", Links: []Link{{}}}, "a link does not say"},
		{"a request", Span{Name: "tools/call x", Attrs: Attrs{"mcp.method.name": "tools/list"}}, `a span of "tools/list" is not called so`},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := strings.Join(n.Faults(&x.span), "\n")
			if !strings.Contains(got, x.want) {
				t.Errorf("got %q, want %q", got, x.want)
			}
		})
	}
	good := Span{
		Name: "policy p", Attrs: Attrs{"why": "not"}, Events: []Event{{Name: "done"}}, Links: []Link{{Attrs: Attrs{"interlock.link": "x"}}},
	}
	if got := n.Faults(&good); len(got) != 0 {
		t.Errorf("faults of what is documented: %q", got)
	}
}

func TestFaultsOfMetricsAndLogs(t *testing.T) {
	n, err := ReadNames()
	if err != nil {
		t.Fatal(err)
	}
	attribute := func(key string) []*common.KeyValue { return []*common.KeyValue{{Key: key}} }
	gauge := func(name, key string) *metrics.Metric {
		return &metrics.Metric{Name: name, Data: &metrics.Metric_Gauge{Gauge: &metrics.Gauge{DataPoints: []*metrics.NumberDataPoint{{Attributes: attribute(key)}}}}}
	}
	line := func(event, key string) *logs.LogRecord {
		return &logs.LogRecord{EventName: event, Attributes: attribute(key)}
	}
	for _, x := range []struct {
		name string
		got  []string
		want string // "" for none
	}{
		{"a metric", n.MetricFaults(gauge("interlock.upstream.state", "interlock.upstream")), ""},
		{"no such metric", n.MetricFaults(gauge("interlock.upstream.mood", "interlock.upstream")), "metric interlock.upstream.mood is not"},
		{"no such attribute", n.MetricFaults(gauge("interlock.upstream.state", "interlock.mood")), `no attribute "interlock.mood"`},
		{"a line", n.LogFaults(line("interlock.upstream.added", "upstream")), ""},
		{"an alert", n.LogFaults(line("interlock.alert.error", "stage")), ""},
		{"no such event", n.LogFaults(line("interlock.upstream.moody", "upstream")), `no event "interlock.upstream.moody"`},
		{"no such attribute of a line", n.LogFaults(line("", "mood")), `no attribute "mood"`},
	} {
		if got := strings.Join(x.got, "\n"); got != x.want && (x.want == "" || !strings.Contains(got, x.want)) {
			t.Errorf("%s: got %q, want %q", x.name, got, x.want)
		}
	}
}
