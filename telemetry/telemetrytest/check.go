package telemetrytest

import (
	"fmt"
	"slices"
	"strings"

	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// Faults says what of a span, its events and its links is not among the names.
func (n *Names) Faults(s *Span) (faults []string) {
	bad := func(format string, args ...any) {
		faults = append(faults, fmt.Sprintf("%s %s: ", s.Kind, s.Name)+fmt.Sprintf(format, args...))
	}
	if method := s.Attr("mcp.method.name"); method != "" {
		name, _, _ := strings.Cut(s.Name, " ")
		if name != method && name != "_other" {
			bad("a span of %q is not called so", method)
		}
		n.attributes(s.Attrs, nil, bad)
	} else if known := find(n.Spans, s.Name); known == nil {
		bad("no span of that name is documented")
	} else {
		n.attributes(s.Attrs, append([]string{"error.type"}, known.Attrs...), bad)
	}
	for _, e := range s.Events {
		if known := find(n.Events, e.Name); known == nil {
			bad("no event %q is documented", e.Name)
		} else {
			n.attributes(e.Attrs, append([]string{}, known.Attrs...), bad)
		}
	}
	for _, l := range s.Links {
		if l.Attrs.Text("interlock.link") == "" {
			bad("a link does not say why it is there")
		}
		n.attributes(l.Attrs, nil, bad)
	}
	return faults
}

// attributes looks for those that are not documented, or not for what has them:
// nil is any.
func (n *Names) attributes(all Attrs, of []string, bad func(string, ...any)) {
	for name, v := range all {
		if find(n.Attrs, name) == nil {
			bad("no attribute %q is documented", name)
			continue
		}
		if of != nil && !slices.Contains(of, name) {
			bad("the comment of its name does not say that it, or an event in it, may have %q", name)
		}
		if values := n.Values[name]; values != nil && find(values, fmt.Sprint(v)) == nil {
			bad("%s may not be %q", name, v)
		}
	}
}

// MetricFaults says what of a metric is not on the page.
func (n *Names) MetricFaults(m *metrics.Metric) (faults []string) {
	if !n.tells(m.Name) {
		faults = append(faults, fmt.Sprintf("metric %s is not documented", m.Name))
	}
	for _, key := range pointKeys(m) {
		if !n.tells(key) {
			faults = append(faults, fmt.Sprintf("metric %s: no attribute %q is documented", m.Name, key))
		}
	}
	return faults
}

// LogFaults says what of a line of the log is not on the page.
func (n *Names) LogFaults(r *logs.LogRecord) (faults []string) {
	if name := r.EventName; name != "" && find(n.LogEvents, name) == nil && find(n.Events, name) == nil {
		faults = append(faults, fmt.Sprintf("no event %q of the log is documented", name))
	}
	for key := range attrsOf(r.Attributes) {
		if !n.tells(key) {
			faults = append(faults, fmt.Sprintf("line %q: no attribute %q is documented", r.Body.GetStringValue(), key))
		}
	}
	return faults
}

// tells reports whether the page has a name.
func (n *Names) tells(name string) bool { return strings.Contains(n.page, "`"+name+"`") }

// pointKeys are the names of the attributes that the points of a metric have.
func pointKeys(m *metrics.Metric) (keys []string) {
	add := func(all []*common.KeyValue) {
		for _, kv := range all {
			if !slices.Contains(keys, kv.Key) {
				keys = append(keys, kv.Key)
			}
		}
	}
	for _, p := range m.GetGauge().GetDataPoints() {
		add(p.Attributes)
	}
	for _, p := range m.GetSum().GetDataPoints() {
		add(p.Attributes)
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		add(p.Attributes)
	}
	return keys
}
