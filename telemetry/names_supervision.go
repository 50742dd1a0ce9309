package telemetry

// Names of the spans of what is done to upstreams. Each start, stop and change of a
// breaker is a trace of its own, which is always sampled; links lead from the calls
// to them, and back.
const (
	// SpanStartUpstream is a start of an upstream, from its first moment until it runs
	// or has failed. It has [AttrUpstream], [AttrGeneration], [AttrStartCause],
	// [AttrRestart], [AttrStartOutcome], [AttrProcess] and [AttrBecause], and a span
	// below it for each stage.
	SpanStartUpstream = "upstream start"
	// SpanDependencies is the stage in which a start waits for what the upstream
	// depends on. It has [AttrUpstream] and [AttrGeneration], and links to the starts
	// that it waited for.
	SpanDependencies = "dependencies"
	// SpanSpawn is the stage until there is a process, or a remote that answered. It has
	// [AttrUpstream] and [AttrGeneration].
	SpanSpawn = "spawn"
	// SpanHandshake is the stage in which client and server agree on what they speak. It
	// has [AttrUpstream] and [AttrGeneration].
	SpanHandshake = "handshake"
	// SpanProbe is the stage, after a failure, in which the server is asked whether it
	// lives. Of an upstream that runs it is a probe that failed, in a trace of its own. It
	// has [AttrUpstream] and [AttrGeneration].
	SpanProbe = "probe"
	// SpanList is the stage in which the server is asked what it offers. Of an upstream
	// that runs it is that question, asked again and in vain, in a trace of its own. It
	// has [AttrUpstream] and [AttrGeneration].
	SpanList = "list"
	// SpanStopUpstream is a stop, until nothing is left of the process or session. It
	// has [AttrUpstream], [AttrGeneration], [AttrBecause] and [AttrStopHow].
	SpanStopUpstream = "upstream stop"
	// SpanBreaker is a change of the circuit breaker. It has no length. It has
	// [AttrUpstream], [AttrGeneration], [AttrBreakerFrom] and [AttrBreakerTo], and one of
	// the events [EventBreakerOpened], [EventBreakerHalfOpened] and [EventBreakerClosed].
	SpanBreaker = "breaker"
	// SpanQueueWait is what a call waited for before it was sent, below its CLIENT span.
	// It has [AttrUpstream] and [AttrWaitReason].
	SpanQueueWait = "queue wait"
)

// Names of events of breakers and of calls.
const (
	// EventBreakerOpened is a breaker that opened: calls are refused from then on.
	EventBreakerOpened = "interlock.breaker.opened"
	// EventBreakerHalfOpened is a breaker that lets one attempt be made.
	EventBreakerHalfOpened = "interlock.breaker.half_opened"
	// EventBreakerClosed is a breaker that closed: calls go on.
	EventBreakerClosed = "interlock.breaker.closed"
	// EventWaiting is a call that begins to wait for a start.
	EventWaiting = "waiting"
	// EventQueued is a call that begins to wait for one of limits.in_flight.
	EventQueued = "queued"
	// EventDial is a call that begins to wait for a connection of the client's own.
	EventDial = "dial"
	// EventRetry is a call that is made again, since it certainly was not executed, or
	// may be executed twice.
	EventRetry = "retry"
)

// Attributes of the spans of what is done to upstreams.
const (
	// AttrGeneration is which start of the upstream it is, counted from 1.
	AttrGeneration = "interlock.upstream.generation"
	// AttrStartCause is why the start began.
	AttrStartCause = "interlock.upstream.cause"
	// AttrRestart is whether the start followed a failure, or a stop that was made for
	// it.
	AttrRestart = "interlock.upstream.restart"
	// AttrStartOutcome is what the start led to.
	AttrStartOutcome = "interlock.upstream.outcome"
	// AttrBecause is the order behind a stop, or behind the end of a start that was
	// abandoned, in a sentence.
	AttrBecause = "interlock.upstream.because"
	// AttrStopHow is how the process or the session ended.
	AttrStopHow = "interlock.upstream.how"
	// AttrProcess is the id of the process that the start made.
	AttrProcess = "process.pid"
	// AttrBreakerFrom is the state that the breaker was in: closed, half_open or open.
	AttrBreakerFrom = "interlock.breaker.from"
	// AttrBreakerTo is the state that the breaker is in from then on.
	AttrBreakerTo = "interlock.breaker.to"
	// AttrWaitReason is what the call waited for.
	AttrWaitReason = "interlock.wait.reason"
)

// Values of [AttrStartCause].
const (
	// CauseConfigured is an upstream that is configured, and to run.
	CauseConfigured = "configured"
	// CauseOperator is an operator's order.
	CauseOperator = "operator"
	// CauseRecovery is an upstream that failed, and is tried again.
	CauseRecovery = "recovery"
	// CauseDemand is a call, a subscription or a dependent that needs it.
	CauseDemand = "demand"
	// CauseLearn is an upstream that starts on demand, of which nobody knows yet what it
	// lists.
	CauseLearn = "learn"
	// CauseDependency is something it depends on that was lost, or is back.
	CauseDependency = "dependency"
	// CauseReload is another configuration.
	CauseReload = "reload"
	// CauseSignIn is somebody who signed in to it, or gave that up.
	CauseSignIn = "sign_in"
)

// Values of [AttrStartOutcome].
const (
	// StartRunning is a start that led to a running upstream.
	StartRunning = "running"
	// StartFailed is a start that failed: [AttrErrorType] is the stage, in the words of
	// `interlock info`.
	StartFailed = "error"
	// StartAbandoned is a start that an order ended on its way.
	StartAbandoned = "abandoned"
)

// Values of [AttrStopHow].
const (
	// StopGraceful is a process that ended when its stdin was closed, or a session that
	// was ended.
	StopGraceful = "graceful"
	// StopTerminated is a process that ended on SIGTERM.
	StopTerminated = "terminated"
	// StopKilled is a process that ended on SIGKILL.
	StopKilled = "killed"
	// StopSurvived is a process that is still there.
	StopSurvived = "survived"
)

// Values of [AttrWaitReason].
const (
	// WaitStart is a start that is under way, or begins for the call.
	WaitStart = "start"
	// WaitSlot is one of limits.in_flight.
	WaitSlot = "slot"
	// WaitDial is a connection of the client's own.
	WaitDial = "dial"
)

// Values of [AttrLink]: what calls, starts, stops and breakers have to do with each
// other.
const (
	// LinkWaitedFor is from a call, and from the wait below it, to the start that it
	// waited for, and from a start to those of what it depends on.
	LinkWaitedFor = "waited_for"
	// LinkRefusedBy is from a call to what it was refused for: a breaker that opened, a
	// start that failed, a stop.
	LinkRefusedBy = "refused_by"
	// LinkHurtBy is from a call that was on its way when its process died, to the breaker
	// that opened for that; or when a stop ended it, to the stop.
	LinkHurtBy = "hurt_by"
	// LinkCaused is to what led to it: from a start to calls and to the breaker, from a
	// breaker to the calls that failed, or to the start.
	LinkCaused = "caused"
	// LinkPrevious is from a start to the start or the stop before it, from a stop to the
	// start that it ends, from a breaker to its change before.
	LinkPrevious = "previous"
)
