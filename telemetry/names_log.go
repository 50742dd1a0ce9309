package telemetry

// Names of events of the log, all of them exported with telemetry.otlp. Changes of
// breakers and alerts are there under the names that they have in traces, with upstream, from and to, and with upstream, state, stage and reason. On
// stderr those have no line: what they are about has.
const (
	// LogState is a change of an upstream's state. It has `upstream`, `from`, `to` and
	// `generation`; running also `pid`; stopped `how` and `because`; error `stage`,
	// `error`, `attempts` and `exhausted`.
	LogState = "interlock.upstream.state"
	// LogStage is a stage that a start came to, at level debug. It has `upstream`, `stage`
	// and `generation`. On stderr it has no line.
	LogStage = "interlock.upstream.start_stage"
	// LogTools is that an upstream's tools are others than before. It has `upstream`,
	// `added`, `removed` and `changed`.
	LogTools = "interlock.upstream.tools_changed"
	// LogAdded is that there is an upstream more. It has `upstream`. On stderr it has no
	// line.
	LogAdded = "interlock.upstream.added"
	// LogRemoved is that there is an upstream less. It has `upstream`. On stderr it has no
	// line.
	LogRemoved = "interlock.upstream.removed"
	// LogPolicyFailed is a policy that could not decide, told once a minute.
	LogPolicyFailed = "interlock.policy.failed"
	// LogDenied is that a policy refused something, at level debug.
	LogDenied = "interlock.policy.denied"
	// LogDefinition is what a policy says of a tool, or whatever else an upstream
	// offers.
	LogDefinition = "interlock.policy.definition"
	// LogApproved is that an operator approved such a definition.
	LogApproved = "interlock.definition.approved"
	// LogOrder is an order of an operator. It has `order`, `upstream` and `by`.
	LogOrder = "interlock.operator.order"
	// LogReloaded is a new configuration that is in force.
	LogReloaded = "interlock.configuration.reloaded"
	// LogReloadRefused is a new configuration that is none.
	LogReloadRefused = "interlock.configuration.refused"
	// LogSignedIn is that somebody signed in to an upstream. It has `upstream`, `issuer`,
	// and `principal` for one's own sign-in.
	LogSignedIn = "interlock.upstream.signed_in"
	// LogSignedOut is that a sign-in to an upstream is gone. It has what LogSignedIn has.
	LogSignedOut = "interlock.upstream.signed_out"
	// LogSignInFailed is that a person came back from an authorization server without a
	// sign-in. It has `upstream`, `issuer` and `error`.
	LogSignInFailed = "interlock.upstream.sign_in_failed"
	// LogNeedsAuth is that a person has to sign in to an upstream, told once. It has
	// `upstream`, `principal`, `error` and `mend`.
	LogNeedsAuth = "interlock.upstream.needs_auth"
	// LogTokenRenewed is that a token was renewed, at level debug; info after it could
	// not be.
	LogTokenRenewed = "interlock.token.renewed"
	// LogTokenFailed is that no token could be had for now, told once. It has `upstream`,
	// `principal` and `error`.
	LogTokenFailed = "interlock.token.failed"
	// LogDraining is that the gateway shuts down. On stderr it has no line.
	LogDraining = "interlock.gateway.draining"
)

// Attributes of lines of the log, besides those of the single line.
const (
	// EventName is what makes a line an event: what happened, in a stable word. In
	// OTLP it is the record's own field.
	EventName = "event.name"
	// LogTraceID is the trace that the line belongs to, as 32 hexadecimal digits. In
	// OTLP it is the record's own field.
	LogTraceID = "trace_id"
	// LogSpanID is the span that the line belongs to, as 16 hexadecimal digits. In
	// OTLP it is the record's own field.
	LogSpanID = "span_id"
)
