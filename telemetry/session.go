package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// Session is one that ended: a client's, or one with an upstream.
type Session struct {
	Duration time.Duration
	// ErrorType is a word out of few, "" if it ended as it should.
	ErrorType, Transport, ProtocolVersion string
	Upstream                              string // only of one with an upstream
}

// ServerSession counts a client's session that ended.
func (t *Telemetry) ServerSession(s Session) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.sessions.server.Record(context.Background(), s.Duration.Seconds(), s.attributes())
	}
}

// ClientSession counts a session with an upstream that ended.
func (t *Telemetry) ClientSession(s Session) {
	if t == nil {
		return
	}
	if m := t.metrics.Load(); m != nil {
		m.sessions.client.Record(context.Background(), s.Duration.Seconds(), s.attributes())
	}
}

func (s *Session) attributes() metric.MeasurementOption {
	all := make([]attribute.KeyValue, 0, 4)
	add := func(key, value string) {
		if value != "" {
			all = append(all, attribute.String(key, bounded(value)))
		}
	}
	add(AttrErrorType, s.ErrorType)
	add(AttrTransport, s.Transport)
	add(AttrProtocolVersion, knownRevision(s.ProtocolVersion))
	add(AttrUpstream, s.Upstream)
	return metric.WithAttributeSet(attribute.NewSet(all...))
}

// knownRevision bounds what a server can make us count by: some say any text.
func knownRevision(version string) string {
	switch version {
	case "", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28":
		return version
	}
	return Other
}
