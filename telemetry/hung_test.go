package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	sdklog "go.opentelemetry.io/otel/sdk/log"
	traces "go.opentelemetry.io/proto/otlp/trace/v1"
)

// hung is a collector that answers nothing, as the client sees it.
type hung struct{}

func (hung) Start(context.Context) error { return nil }

func (hung) Stop(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func (h hung) UploadTraces(ctx context.Context, _ []*traces.ResourceSpans) error { return h.Stop(ctx) }

// hungLogs is the same for lines of the log.
type hungLogs struct{ hung }

func (h hungLogs) Export(ctx context.Context, _ []sdklog.Record) error { return h.Stop(ctx) }
func (h hungLogs) Shutdown(ctx context.Context) error                  { return h.Stop(ctx) }
func (h hungLogs) ForceFlush(ctx context.Context) error                { return h.Stop(ctx) }

// startHung returns a telemetry that exports spans and lines to a collector that hangs.
// It is to be called in a synctest bubble.
func startHung(t *testing.T) (*Telemetry, *slog.Logger) {
	t.Helper()
	c, about := Defaults(), Resource{Log: slog.New(slog.DiscardHandler)}
	tel, err := Start(t.Context(), c, about)
	if err != nil {
		t.Fatal(err)
	}
	tel.exportWith(&uploader{client: hung{}, resource: messageOf(tel.resource), trouble: &trouble{signal: signalTraces, log: about.Log}})
	tel.logs = logsTo(hungLogs{}, c, tel.resource, about)
	return tel, tel.Logger(about.Log)
}

// F30: a collector that hangs costs the end five seconds, whatever waits for it, and
// less where the caller has less.
func TestShutdownOfHungCollector(t *testing.T) {
	for _, patience := range []time.Duration{2 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			tel, log := startHung(t)
			for range 3000 { // more than the queues hold
				call(tel)
				log.Info("called")
			}
			synctest.Wait() // an export is on its way
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			began := time.Now()
			err := tel.Shutdown(ctx)
			if took, want := time.Since(began), min(patience, 5*time.Second); took != want {
				t.Errorf("with %v the end took %v, want %v", patience, took, want)
			}
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("what was lost is not told: %v", err)
			}
			if lost := tel.Dropped()["traces"]; lost != 6000 {
				t.Errorf("%d spans of 6000 are told to be lost", lost)
			}
		})
	}
}

// An export of lines that was about to begin when the others were broken off once went on
// for as long as it had time, after the end.
func TestNoExportAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &logExporter{Exporter: hungLogs{}}
		e.breakOff()
		_ = e.Export(t.Context(), make([]sdklog.Record, 3))
		if lost := e.trouble.losses.Load(); lost != 3 {
			t.Errorf("%d lines of 3 are told to be lost", lost)
		}
	})
}

// F30: however long a collector is dead, what waits for it is bounded by number and by
// bytes, with what is held to be used again; and what is dropped is counted.
func TestQueueOfDeadCollector(t *testing.T) {
	const spans = 100_000
	for _, size := range []int{300, 20 << 10} { // the first is bounded by number, the second by bytes
		synctest.Test(t, func(t *testing.T) {
			tel, _ := startHung(t)
			q, span := tel.queue, make([]byte, size)
			most, mostBytes, spare := 0, 0, 0
			for i := range spans {
				q.add(span)
				if i%1000 == 999 {
					time.Sleep(11 * time.Second) // exports give up meanwhile
					synctest.Wait()
				}
				waiting, bytes, idle := q.holds()
				most, mostBytes, spare = max(most, waiting), max(mostBytes, bytes), max(spare, idle)
			}
			if most > 2048 || mostBytes > maxQueued {
				t.Errorf("%d spans in %d bytes waited, want 2048 in %d at most", most, mostBytes, maxQueued)
			}
			if spare > 4*maxSpare {
				t.Errorf("%d bytes are kept to be used again", spare)
			}
			if size == 300 && most != 2048 || size > 300 && mostBytes < maxQueued-2*size {
				t.Errorf("%d spans in %d bytes waited: the queue was never full", most, mostBytes)
			}
			_ = tel.Shutdown(t.Context())
			if lost := tel.Dropped()["traces"]; lost != spans {
				t.Errorf("%d spans of %d are told to be lost", lost, spans)
			}
			if waiting, bytes, _ := q.holds(); waiting != 0 || bytes != 0 {
				t.Errorf("%d spans in %d bytes are left", waiting, bytes)
			}
		})
	}
}

// holds counts what waits, by looking at it, and the bytes that are kept besides.
func (q *spanQueue) holds() (spans, bytes, spare int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.batches {
		spans, bytes = spans+b.n, bytes+len(b.b)
	}
	for _, b := range q.spare {
		spare += cap(b)
	}
	return spans, bytes, spare
}
