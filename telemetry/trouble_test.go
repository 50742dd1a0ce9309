package telemetry

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// timeless logs without the time.
func timeless(out *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func TestTroubleIsToldSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		x := &trouble{signal: signalTraces, log: timeless(&out)}
		err := errors.New("refused")
		export := func() { x.export(3, func() error { return err }) }
		for range 10 {
			export()
			time.Sleep(5 * time.Second)
		}
		time.Sleep(logEvery)
		export()
		export()
		err = nil
		export()
		export()
		err = errors.New("OTLP partial success: too old (2 spans rejected)")
		time.Sleep(logEvery)
		export()
		const want = `level=WARN msg="telemetry cannot be exported" signal=traces lost=3 error=refused
level=WARN msg="telemetry cannot be exported" signal=traces lost=30 error=refused
level=INFO msg="telemetry is exported again" signal=traces lost=3
level=WARN msg="telemetry cannot be exported" signal=traces lost=2 error="OTLP partial success: too old (2 spans rejected)"
`
		if out.String() != want {
			t.Errorf("got\n%s", out.String())
		}
		(&trouble{signal: signalTraces}).export(1, func() error { return err }) // nobody is told
	})
}

// A collector without a signal is told once how to mend it, and is left alone.
func TestSignalThatIsNotTaken(t *testing.T) {
	for _, err := range []error{
		fmt.Errorf("failed to send metrics to http://localhost:4318/v1/metrics: 404 Not Found (body: %s)", "404 page not found"),
		errors.Join(nil, errors.New("failed to send to http://localhost/v1/traces: 501 Not Implemented (body: (empty))")),
		fmt.Errorf("failed to upload metrics: %w", status.Error(codes.Unimplemented, "unknown service")),
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			x := &trouble{signal: signalMetrics, log: timeless(&out)}
			sent := 0
			result := err
			export := func() { x.export(1, func() error { sent++; return result }) }
			for range 24 * 60 { // a day, once a minute
				export()
				time.Sleep(time.Minute)
			}
			if sent != 24*6 {
				t.Errorf("sent %d times", sent)
			}
			result = nil
			export()
			want := fmt.Sprintf(`level=WARN msg="the collector does not take this signal" signal=metrics lost=1 error=%q again_in=10m0s mend="leave metrics out of telemetry.otlp.signals, or send them where they are taken: OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
level=INFO msg="telemetry is exported again" signal=metrics lost=1439
`, err.Error())
			if out.String() != want {
				t.Errorf("got\n%s\nwant\n%s", out.String(), want)
			}
		})
	}
}

// The exporters quote what the collector answers, up to 4 MiB of it.
func TestWhatCollectorSaysIsCut(t *testing.T) {
	var out bytes.Buffer
	x := &trouble{signal: signalTraces, log: timeless(&out)}
	x.export(1, func() error { return errors.New("said: " + strings.Repeat("é", 1<<20)) })
	if got := out.String(); len(got) > 700 || !strings.Contains(got, "éé…") {
		t.Errorf("%.900q", got)
	}
}
