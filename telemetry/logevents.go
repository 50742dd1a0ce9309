package telemetry

// Names of the events in the log, all of them exported with telemetry.otlp. Changes of
// breakers and alerts are there under the names that they have in traces (EventAlert and
// the like), with upstream, from and to, and with upstream, state, stage and reason. On
// stderr those have no line: what they are about has.
const (
	// LogState is a change of an upstream's state. It has upstream, from, to,
	// generation, and what belongs to the state.
	LogState = "interlock.upstream.state"
	// LogStage is a stage that a start came to, at level debug. It has upstream, stage
	// and generation. On stderr it has no line.
	LogStage = "interlock.upstream.start_stage"
	// LogTools is that an upstream's tools are others than before. It has upstream,
	// added, removed and changed.
	LogTools = "interlock.upstream.tools_changed"
	// LogAdded and LogRemoved are that there is an upstream more, or less. They have
	// upstream.
	LogAdded   = "interlock.upstream.added"
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
	// LogOrder is an order of an operator. It has order, upstream and by.
	LogOrder = "interlock.operator.order"
	// LogReloaded and LogReloadRefused are what came of a new configuration.
	LogReloaded      = "interlock.configuration.reloaded"
	LogReloadRefused = "interlock.configuration.refused"
	// LogDraining is that the gateway shuts down.
	LogDraining = "interlock.gateway.draining"
)
