package telemetry

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// A bucket keeps its exemplar for a second, and each bucket has its own.
func TestExemplarsAreReplacedSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		d := newHistogram[series](serverDuration, buckets).new(attribute.NewSet())
		span := func(id byte) *Span {
			return &Span{ref: Ref{trace: traceID{id}, span: spanID{id}, flags: flagSampled}, began: time.Now(), rec: new(recording)}
		}
		traces := func() string {
			s := ""
			for _, x := range d.exemplars.Load().all(begun) {
				s += string(x.TraceID[0])
			}
			return s
		}
		for _, x := range []struct {
			value float64
			id    byte
			after time.Duration
			want  string
		}{
			{0.005, 'a', 0, "a"},
			{0.004, 'b', 100 * time.Millisecond, "a"},
			{400, 'c', 100 * time.Millisecond, "ac"},
			{0.003, 'd', 900 * time.Millisecond, "dc"},
		} {
			time.Sleep(x.after)
			d.record(x.value, span(x.id))
			if got := traces(); got != x.want {
				t.Errorf("after %c: %s, want %s", x.id, got, x.want)
			}
		}
		time.Sleep(time.Hour)
		unsampled := span('e')
		unsampled.ref.flags = 0
		d.record(0.003, unsampled)
		d.record(0.003, &Span{began: time.Now()})
		d.record(0.003, nil)
		if got := traces(); got != "dc" {
			t.Errorf("one that is not exported: %s", got)
		}
		t.Setenv("OTEL_METRICS_EXEMPLAR_FILTER", "always_off")
		without := newHistogram[series](serverDuration, buckets).new(attribute.NewSet())
		without.record(0.003, span('f'))
		if all := without.exemplars.Load().all(begun); all != nil {
			t.Errorf("exemplars that nobody wants: %v", all)
		}
		if r := d.read(); r.counts[0] != 6 || r.counts[14] != 1 {
			t.Error(r)
		}
	})
}

// Counting allocates nothing, with an exemplar or without, whether the call went
// well or not.
func TestCountAllocatesNothing(t *testing.T) {
	tel, err := Start(t.Context(), Defaults(), Resource{})
	if err != nil {
		t.Fatal(err)
	}
	tel.MetricsHandler()
	m := tel.ServerMeter(Operation{Method: "tools/call", Target: "x", TargetKind: Tool})
	s := &Span{ref: Ref{trace: traceID{1}, span: spanID{1}, flags: flagSampled}, began: time.Now(), rec: new(recording)}
	for _, o := range []Outcome{{}, {ErrorType: "timeout"}, {RPCCode: -32603}, {ToolError: true}} {
		for _, s := range []*Span{nil, s} {
			m.Count(time.Millisecond, o, s)
			if n := testing.AllocsPerRun(100, func() { m.Count(time.Millisecond, o, s) }); n != 0 {
				t.Errorf("%+v: %v allocations", o, n)
			}
		}
	}
	d := PolicyDecision{Policy: "p", Phase: "before", Effect: allowed}
	tel.PolicyDecided(t.Context(), d)
	if n := testing.AllocsPerRun(100, func() { tel.PolicyDecided(t.Context(), d) }); n != 0 {
		t.Errorf("a decision: %v allocations", n)
	}
}

// Many at once lose nothing, and a reader beside them sees no torn exemplar.
func TestCountsAtOnce(t *testing.T) {
	d := newHistogram[series](serverDuration, buckets).new(attribute.NewSet())
	var group sync.WaitGroup
	for i := range byte(4) {
		group.Go(func() {
			s := &Span{ref: Ref{trace: traceID{i + 1, 15: i + 1}, span: spanID{i + 1}, flags: flagSampled}, began: time.Now(), rec: new(recording)}
			for n := range 30_000 {
				s.began = s.began.Add(time.Second)
				d.record(float64(n%3)/100, s)
			}
		})
	}
	for range 100 {
		for _, x := range d.exemplars.Load().all(time.Time{}) {
			if x.TraceID[0] != x.TraceID[15] || x.TraceID[0] != x.SpanID[0] {
				t.Fatal("torn", x)
			}
		}
	}
	group.Wait()
	r := d.read()
	if r.counts[0]+r.counts[1] != 120_000 || r.sum < 1199.99 || r.sum > 1200.01 {
		t.Error(r)
	}
}

func BenchmarkCount(b *testing.B) {
	tel, err := Start(b.Context(), Defaults(), Resource{})
	if err != nil {
		b.Fatal(err)
	}
	tel.MetricsHandler()
	m := tel.ServerMeter(Operation{Method: "tools/call", Target: "x", TargetKind: Tool})
	s := &Span{ref: Ref{trace: traceID{1}, span: spanID{1}, flags: flagSampled}, began: time.Now(), rec: new(recording)}
	for _, x := range []struct {
		name string
		o    Outcome
		s    *Span
	}{{"good", Outcome{}, nil}, {"sampled", Outcome{}, s}, {"failed", Outcome{RPCCode: -32603}, nil}} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				m.Count(300*time.Microsecond, x.o, x.s)
			}
		})
	}
	b.Run("decision", func(b *testing.B) {
		b.ReportAllocs()
		d := PolicyDecision{Policy: "p", Phase: "before", Effect: allowed, Took: time.Microsecond}
		for b.Loop() {
			tel.PolicyDecided(b.Context(), d)
		}
	})
}

// BenchmarkScrape is what a scrape costs with as many series as there may be.
func BenchmarkScrape(b *testing.B) {
	for _, tools := range []int{100, 4096} {
		b.Run(fmt.Sprint("tools=", tools), func(b *testing.B) {
			tel, err := Start(b.Context(), Defaults(), Resource{})
			if err != nil {
				b.Fatal(err)
			}
			h := tel.MetricsHandler()
			for i := range tools {
				tel.ServerMeter(Operation{Method: "tools/call", Target: fmt.Sprint("tool", i), TargetKind: Tool}).Count(time.Second, Outcome{}, nil)
			}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
			}
		})
	}
}
