package telemetry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/interlock-mcp/interlock/upstream/addrtest"
)

// sick is a collector that does one thing wrong. held is closed when the test lets
// go of what it holds; until then one that is slow takes each export when something
// is sent on turn.
type sick struct {
	collector.UnimplementedTraceServiceServer
	fault      string
	held, turn chan struct{}
	letGo      func()
	took       atomic.Int64 // spans, of one that is slow
}

func (s *sick) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	switch s.fault {
	case "hung":
		select {
		case <-s.held:
		case <-r.Context().Done():
		}
	case "slow":
		in := new(collector.ExportTraceServiceRequest)
		if err := proto.Unmarshal(body, in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.take(in)
	case "garbage":
		w.Header().Set("Content-Type", "application/x-protobuf")
		_, _ = w.Write([]byte("\xff\xff\xff{not protobuf"))
	case "500":
		http.Error(w, "no", http.StatusInternalServerError)
	case "429":
		w.Header().Set("Retry-After", "3600")
		http.Error(w, "later", http.StatusTooManyRequests)
	case "partial":
		w.Header().Set("Content-Type", "application/x-protobuf")
		b, _ := proto.Marshal(partial())
		_, _ = w.Write(b)
	case "cut":
		w.Header().Set("Content-Length", "1000")
		_, _ = w.Write([]byte("half"))
		panic(http.ErrAbortHandler)
	}
}

// take takes spans slowly.
func (s *sick) take(in *collector.ExportTraceServiceRequest) {
	select {
	case <-s.turn:
	case <-s.held:
	}
	s.took.Add(int64(len(in.ResourceSpans[0].ScopeSpans[0].Spans)))
}

func partial() *collector.ExportTraceServiceResponse {
	return &collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{RejectedSpans: 7, ErrorMessage: "too old"}}
}

func (s *sick) Export(ctx context.Context, in *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	switch s.fault {
	case "hung":
		select {
		case <-s.held:
		case <-ctx.Done():
		}
	case "slow":
		s.take(in)
	case "500":
		return nil, status.Error(codes.Internal, "no")
	case "429":
		return nil, status.Error(codes.ResourceExhausted, "later")
	case "partial":
		return partial(), nil
	case "garbage", "cut":
		return nil, status.Error(codes.DataLoss, "cut")
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// listen serves s and returns where.
func (s *sick) listen(t *testing.T, protocol string) string {
	t.Helper()
	s.held, s.turn = make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.letGo = func() { once.Do(func() { close(s.held) }) }
	l, err := net.Listen("tcp", addrtest.Free(t))
	if err != nil {
		t.Fatal(err)
	}
	at := "http://" + l.Addr().String()
	switch {
	case s.fault == "down":
		_ = l.Close()
	case protocol == GRPC:
		server := grpc.NewServer()
		collector.RegisterTraceServiceServer(server, s)
		done := make(chan struct{})
		go func() { defer close(done); _ = server.Serve(l) }()
		t.Cleanup(func() { s.letGo(); server.Stop(); <-done })
	default:
		server := httptest.NewUnstartedServer(s)
		server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
		_ = server.Listener.Close()
		server.Listener = l
		server.Start()
		t.Cleanup(func() { s.letGo(); server.Close() })
	}
	return at
}

// F30: whatever a collector does wrong, calls go on, what waits for it is bounded, and
// what it did not get is counted and told in one line. To each try an hour is given, so
// that a call that waited for one would not return.
func TestSickCollectors(t *testing.T) {
	for _, v := range []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT"} {
		t.Setenv(v, "3600000")
	}
	const calls = 5000 // 10,000 spans: five times what the queue holds
	for _, protocol := range []string{HTTPProtobuf, GRPC} {
		for _, fault := range []string{"down", "hung", "slow", "garbage", "500", "429", "partial", "cut"} {
			t.Run(protocol+" "+fault, func(t *testing.T) {
				s := &sick{fault: fault}
				var out bytes.Buffer
				c := Defaults()
				c.OTLP = OTLP{Endpoint: s.listen(t, protocol), Protocol: protocol, Signals: []string{"traces"}}
				tel, err := Start(t.Context(), c, Resource{Log: timeless(&out)})
				if err != nil {
					t.Fatal(err)
				}
				most, bytes := 0, 0
				for i := range calls {
					call(tel)
					if fault == "slow" && i%500 == 499 { // half as many as come
						s.turn <- struct{}{}
					}
					tel.queue.mu.Lock()
					most, bytes = max(most, tel.queue.spans), max(bytes, tel.queue.bytes)
					tel.queue.mu.Unlock()
				}
				if most > tel.queue.limits.spans || bytes > maxQueued {
					t.Errorf("%d spans in %d bytes waited", most, bytes)
				}
				if fault == "slow" { // what waits is exported at the end
					s.letGo()
					if err := tel.Patient().Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
				defer cancel()
				_ = tel.Shutdown(ctx)
				lost := tel.Dropped()["traces"]
				switch fault {
				case "slow":
					if took := s.took.Load(); lost == 0 || took+lost != 2*calls {
						t.Errorf("%d of %d spans arrived and %d are told to be lost", took, 2*calls, lost)
					}
				case "down", "hung", "500", "429":
					if fault == "500" && protocol == HTTPProtobuf || fault != "500" {
						if lost < calls {
							t.Errorf("%d spans are told to be lost", lost)
						}
					}
				case "partial":
					if lost == 0 {
						t.Error("what was refused was not counted")
					}
				}
				if lost > 0 && strings.Count(out.String(), "level=WARN") != 1 {
					t.Errorf("lost %d, and the log says\n%s", lost, out.String())
				}
			})
		}
	}
}

// A queue that is full takes no more, by number or by bytes, and says so once.
func TestQueueIsBounded(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{}, 8)
	told := make(chan int, 8)
	q := newSpanQueue(batchLimits{spans: 8, batch: 4, delay: time.Hour, timeout: time.Hour}, func(context.Context, []byte, int) error {
		entered <- struct{}{}
		<-hold
		return nil
	}, func(n int) { told <- n })
	for range 4 {
		q.add([]byte("x"))
	}
	<-entered // a batch is on its way, and counts no more
	for range 20 {
		q.add([]byte("x"))
	}
	if got := q.dropped.Load(); got != 12 {
		t.Errorf("%d spans were dropped, want 12", got)
	}
	close(hold)
	if n := <-told; n != 12 {
		t.Errorf("%d were told of, want 12", n)
	}
	if err := q.close(t.Context()); err != nil {
		t.Error(err)
	}
	if q.spans != 0 || q.bytes != 0 {
		t.Errorf("%d spans in %d bytes are left", q.spans, q.bytes)
	}

	q = newSpanQueue(batchLimits{spans: 1000, batch: 1000, delay: time.Hour, timeout: time.Hour}, func(context.Context, []byte, int) error { return nil }, nil)
	large := make([]byte, 1<<20)
	for range 20 {
		q.add(large)
	}
	if got := q.dropped.Load(); got != 5 {
		t.Errorf("%d MiB were dropped, want 5 of 20", got)
	}
	if err := q.close(t.Context()); err != nil {
		t.Error(err)
	}
}

// What the collector refuses while the queue is closed is what the end tells of. It once
// told of what was left alone: not of full batches, which went out before that.
func TestQueueTellsWhatTheEndLost(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{}, 2)
	refused := errors.New("refused")
	q := newSpanQueue(batchLimits{spans: 8, batch: 4, delay: time.Hour, timeout: time.Hour}, func(context.Context, []byte, int) error {
		entered <- struct{}{}
		<-hold
		return refused
	}, nil)
	for range 8 {
		q.add([]byte("x"))
	}
	<-entered
	ended := make(chan error)
	go func() { ended <- q.close(t.Context()) }()
	<-q.stop
	close(hold)
	if err := <-ended; !errors.Is(err, refused) {
		t.Errorf("the end says %v, want %v", err, refused)
	}
}
