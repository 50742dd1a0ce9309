package telemetry

// The names of what traces tell. docs/telemetry.md is made from the files
// names*.go, and telemetrytest.Collector holds all that comes against them, so
// a name that is not here fails the tests that export it. To add one:
//
//   - The constant's prefix says what it names: Span, Event or Attr (of spans,
//     events and links alike). All others stand in a group with a comment that says
//     it: "Attributes of lines of the log", "Names of events of the log", or "Values
//     of [AttrX]", and then the attribute may have no other value.
//   - It has a comment, which is its row on the page; the page drops "AttrX is".
//     Other names in it are written [AttrX].
//   - If something is added to a name, its comment shows how: `policy {name}`.
//   - The comment of a span names the attributes that it may have, that of an event
//     too. What a failed span has besides is the same for all: [AttrErrorType].
//   - Then: go test ./telemetry -run Page -update

// Names of spans of our own. Spans of requests are called by their method and their
// target.
const (
	// SpanPolicy is what a policy did, unless it just allowed: `policy {name}`, below
	// the SERVER span, as long as the policy took. It has [AttrPolicy],
	// [AttrPolicyPhase], [AttrPolicyEffect], [AttrPolicyReason] and [AttrPolicyDryRun].
	SpanPolicy = "policy"
	// SpanAlert is an alert that was raised or taken back, in a trace of its own. It
	// has [AttrUpstream], and an event [EventAlert] that tells the rest.
	SpanAlert = "alert"
)

// Names of events.
const (
	// EventAlert is the alert of a [SpanAlert]: `interlock.alert.{event}`, where the
	// event is one that a webhook can ask for. It has [AttrUpstream], [AttrState],
	// [AttrAlertReason], [AttrAlertStage] and [AttrAlertText].
	EventAlert = "interlock.alert."
)

// Values of [AttrLink]: what ties the span to the one it links to.
const (
	// LinkHeader is to the trace context of the HTTP header, where that in _meta is
	// another and became the parent.
	LinkHeader = "header"
)
